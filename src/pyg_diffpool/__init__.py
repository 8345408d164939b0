"""DiffPool for PyTorch Geometric, from sparse mini-batches of any size."""
