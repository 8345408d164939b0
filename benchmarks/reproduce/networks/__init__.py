"""The methods: the same embedding layers and classifier, another pooling between."""

from benchmarks.reproduce.networks.build import METHODS, make_network
from benchmarks.reproduce.networks.shape import Shape

__all__ = ["METHODS", "Shape", "make_network"]
