"""What breaks things: python -m tests.crash NAME [--seed N] [--rounds N]. Each campaign prints its counts and one verdict."""
