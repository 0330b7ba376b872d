"""Ratios to named peers and floors, each measured in the same run: ``python -m benchmarks``."""
