"""Scripts that measure: each is run by itself, as ``python -m benchmarks.NAME``."""
