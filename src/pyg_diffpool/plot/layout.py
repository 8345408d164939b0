"""Node positions for drawing: stress majorisation from a spectral start."""

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def stress_layout(graph: nx.Graph, iterations: int = 200, seed: int = 0) -> Floats:
    """Place nodes so that distances on paper follow distances in the graph.

    This minimises the function of Kamada and Kawai by the iteration of Gansner et
    al. (2004); networkx needs SciPy for it. Made for drawings: time and memory
    grow with the square of the number of nodes.

    Args:
        graph: Graph with the nodes 0, 1, ...
        iterations: Number of steps.
        seed: Seed of the shift by which nodes at one place are told apart.

    Returns:
        Positions [N, 2], the longer extent along the first axis.
    """
    if len(graph) < 3:
        return np.stack([np.arange(len(graph)), np.zeros(len(graph))], axis=1)
    distances = _distances(graph)
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=(len(graph), 2))
    places = _classical_scaling(distances) + noise
    weights = 1 / (distances + np.eye(len(graph))) ** 2 - np.eye(len(graph))
    inverse = np.linalg.pinv(_laplacian(weights))
    for _ in range(iterations):
        lengths = np.linalg.norm(places[:, None] - places, axis=-1)
        ratios = weights * distances / np.maximum(lengths, 1e-9)
        places = inverse @ (_laplacian(ratios) @ places)
    places -= places.mean(axis=0)
    rotation: Floats = np.linalg.svd(places, full_matrices=False)[2]
    return places @ rotation.T


def _distances(graph: nx.Graph) -> Floats:
    """Return all shortest paths; separate parts are put a little further apart."""
    distances = np.asarray(nx.floyd_warshall_numpy(graph, range(len(graph))))
    apart = np.isinf(distances)
    distances[apart] = distances[~apart].max() + 2
    return distances


def _classical_scaling(distances: Floats) -> Floats:
    centre = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-centre @ distances**2 @ centre / 2)
    scaled: Floats = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    return scaled


def _laplacian(weights: Floats) -> Floats:
    return np.diag(weights.sum(axis=1)) - weights
