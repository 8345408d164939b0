"""Time and memory of the package beside its peers; run as `python -m benchmarks`."""

import warnings

warnings.filterwarnings("ignore", "Sparse invariant checks are implicitly disabled")
