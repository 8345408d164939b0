"""What a GPU makes of the package, in minutes: `python -m benchmarks gpu`."""
