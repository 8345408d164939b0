"""Accuracies of published tables, run anew: `python -m benchmarks.reproduce`."""
