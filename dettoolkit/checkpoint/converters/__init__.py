"""Weights of other toolkits under our names, and ours under theirs: one module a format."""
