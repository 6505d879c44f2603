"""Losses of section 1 and 3 of the method: identity, triplet, center."""
