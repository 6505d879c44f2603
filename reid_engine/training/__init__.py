"""Training: one record of options, one loop, two strategies."""
