"""Models: random programs, made by hypothesis, whose every answer is compared with that of a dictionary (and a fake clock)."""
