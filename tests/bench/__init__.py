"""What measures: python -m tests.bench [NAME...]. Ratios against a floor or a peer of the same run, never times alone."""
