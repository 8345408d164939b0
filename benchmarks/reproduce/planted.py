"""Graphs with a planted structure: GraphClass, and stochastic block models.

GraphClass is the benchmark of Bianchi, Gallicchio and Micheli 2022 (*Pyramidal
Reservoir Graph Neural Network*), made anew by its recipe, or its published small sets.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import networkx
import numpy as np
import torch
from sklearn.datasets import make_blobs, make_gaussian_quantiles, make_moons
from sklearn.neighbors import kneighbors_graph
from torch import Tensor
from torch.nn.functional import normalize, one_hot
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE
from torch_geometric.utils import stochastic_blockmodel_graph, to_undirected

from benchmarks.reproduce.sets import AbsentSetError, Graphs
from pyg_diffpool.train.splits import Split

PARTS = ("train", "val", "test")
PLACES = ((4.0, 0.0), (0.0, 0.0), (2.0, -2.0))
ORDERS = ((0, 1, 2), (2, 0, 1), (1, 2, 0))  # the place of each group, by class


class Recipe(NamedTuple):
    """How a GraphClass set is made."""

    cov: float  # of the Gaussian; half the deviation of the blob
    neighbors: int
    sizes: tuple[int, int]  # least number of points, and one past the largest
    per_class: int


RECIPES = {
    "hard": Recipe(0.2, 3, (100, 200), 600),
    "easy": Recipe(0.4, 5, (100, 200), 600),
    "hard-small": Recipe(0.2, 3, (40, 80), 100),
    "easy-small": Recipe(0.4, 5, (40, 80), 100),
}
PUBLISHED_SMALL = {f"{kind}-small-published": kind for kind in ("hard", "easy")}


COMMUNITIES = "communities"
POSITIONED = f"{COMMUNITIES}-positions"


@lru_cache(maxsize=1)
def load_planted(name: str, root: Path | None) -> tuple[Graphs, Split]:
    """A set and its split: the published one, or 81, 9 and 10 % of GraphClass."""
    if name == COMMUNITIES:
        return communities(600, has_positions=False)
    if name == POSITIONED:
        return communities(2000, has_positions=True)
    if name in PUBLISHED_SMALL:
        return _published(root, PUBLISHED_SMALL[name])
    recipe, random = RECIPES[name], np.random.RandomState(0)
    classes = np.repeat(np.arange(len(ORDERS)), recipe.per_class)
    graphs = Graphs(_point_graph(recipe, int(c), random) for c in classes)
    order = torch.from_numpy(random.permutation(len(classes)))
    ends = [round(share * len(order)) for share in (0.81, 0.9)]
    parts = torch.tensor_split(order, ends)
    return graphs, {p: rows.sort().values for p, rows in zip(PARTS, parts, strict=True)}


def _published(root: Path | None, kind: str) -> tuple[Graphs, Split]:
    path = (root or Path()) / f"graphclass_{kind}_small.npz"
    if not path.is_file():
        raise AbsentSetError(
            f"Expected '{path}' (got no such file). Make it of {kind}_small.npz of "
            "github.com/FilippoMB/Benchmark_dataset_for_graph_classification."
        )
    arrays = {name: torch.from_numpy(a).long() for name, a in np.load(path).items()}
    nodes, edges = (arrays[f"num_{n}"].tolist() for n in ("nodes", "edges"))
    labels = one_hot(arrays["node_label"], 5).float().split(nodes)
    pairs = torch.stack([arrays["row"], arrays["col"]]).split(edges, 1)
    each = zip(labels, pairs, arrays["y"].split(1), strict=True)
    graphs = Graphs(Data(x, edge_index, y=y) for x, edge_index, y in each)
    where = ((arrays["split"] == i).nonzero().view(-1) for i in range(3))
    return graphs, dict(zip(PARTS, where, strict=True))


def _point_graph(recipe: Recipe, y: int, random: Any) -> Data:
    """Three groups of points, each joined to its nearest."""
    n, cov = random.randint(*recipe.sizes) // 3, recipe.cov
    moons, moon = make_moons(n, noise=0.1, random_state=random)
    inner = {"cov": cov, "n_samples": n, "n_features": 2, "n_classes": 2}
    gauss, ring = make_gaussian_quantiles(**inner, random_state=random)
    blob, _ = make_blobs(
        n, 2, centers=[(0, 0)], cluster_std=2 * cov, random_state=random
    )
    groups, places = (moons, gauss, blob), np.array(PLACES)[list(ORDERS[y])]
    points = np.concatenate([g + at for g, at in zip(groups, places, strict=True)])
    points /= points.max(0)  # along each axis
    label = torch.from_numpy(np.concatenate([moon, 2 + ring, np.full(n, 4)]))
    near = kneighbors_graph(points, recipe.neighbors).tocoo()
    pairs = torch.from_numpy(np.stack([near.row, near.col])).long()
    x = one_hot(label.long(), 5).float()
    return Data(x, to_undirected(pairs), y=torch.tensor([y]))


class Partition(NamedTuple):
    """How blocks are planted: the mean degree within one, and outside it."""

    inside: float
    outside: float
    noise: float  # deviation of the features about their block's mean


PARTITIONS = {
    "easy": Partition(14.0, 2.0, 1.0),
    "medium": Partition(11.0, 5.0, 2.0),
    "hard": Partition(9.5, 6.5, 4.0),
}
CHANNELS = 16


def planted(difficulty: str, has_features: bool, seed: int) -> Data:
    """A stochastic block model of 50 to 500 nodes in 3 to 8 blocks, `data.block`.

    Without features of its own a node has normal noise.
    """
    own, random = PARTITIONS[difficulty], torch.Generator().manual_seed(seed)
    n = int(50 * 10 ** torch.rand((), generator=random))
    k = int(torch.randint(3, 9, (), generator=random))
    shares = 0.5 + torch.rand(k, generator=random)
    sizes = (n * shares / shares.sum()).round().long()
    probability = _probabilities(sizes, own)
    block = torch.repeat_interleave(torch.arange(k), sizes)
    x = _features(block, own.noise if has_features else None, random)
    return Data(x, _block_model(sizes, probability, seed), block=block.view(-1, 1))


def nested(seed: int) -> Data:
    """Three communities of three blocks each; `data.block` `[n, 2]`, fine and coarse.

    A node of 20 to 40 a block has 10 neighbours in its block, 4 in the others of its
    community and 2 elsewhere, on average.
    """
    random = torch.Generator().manual_seed(seed)
    sizes = torch.randint(20, 41, (9,), generator=random)
    coarse = torch.arange(9) // 3
    together = coarse.unsqueeze(0) == coarse.unsqueeze(1)
    own, n = torch.eye(9, dtype=torch.bool), float(sizes.sum())
    probability = torch.full((9, 9), 2 / (n * 2 / 3))
    probability[together] = 4 / (n * 2 / 9)
    probability[own] = 10 / (n / 9)
    block = torch.repeat_interleave(torch.arange(9), sizes)
    x = _features(block, 2.0, random)
    both = torch.stack([block, coarse[block]], 1)
    return Data(x, _block_model(sizes, probability.clamp(max=1), seed), block=both)


def _probabilities(sizes: Tensor, own: Partition) -> Tensor:
    """Of an edge, so that all blocks have the same mean degrees, `[K, K]`."""
    n = sizes.sum().double()
    size = sizes.double()
    between = own.outside / (n - (size.unsqueeze(0) + size.unsqueeze(1)) / 2)
    return between.where(
        ~torch.eye(len(sizes), dtype=torch.bool), own.inside / size
    ).clamp(max=1)


def _block_model(sizes: Tensor, probability: Tensor, seed: int) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        edges: Tensor = stochastic_blockmodel_graph(sizes, probability)
    return edges


def _features(block: Tensor, noise: float | None, random: torch.Generator) -> Tensor:
    normal: Callable[..., Tensor] = torch.randn
    own = normal(len(block), CHANNELS, generator=random)
    if noise is None:
        return own
    centres = normal(int(block.max()) + 1, CHANNELS, generator=random)
    return centres[block] + noise * own


FEW, MANY = 4, 5
POSITIONS = 8


def communities(train: int, has_positions: bool) -> tuple[Graphs, Split]:
    """Graphs of nine communities, two colours: the label is that of five of them.

    The four communities of the other colour are larger by a quarter, so that both
    colours have equally many nodes on average. Every node has four neighbours in its
    community; one in eight has one outside it, of either colour. Up to 44 % of a
    community's nodes have the wrong colour. So neighbourhoods look alike under both
    labels: communities must be told apart and counted. `data.clusters` has them.

    So many train, 200 choose the epoch and 400 test.
    """
    graphs = [_communities(seed) for seed in range(600 + train)]
    if has_positions:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            graphs = [with_positions(graph) for graph in graphs]
    val, test, train_rows = torch.arange(len(graphs)).split([200, 400, train])
    return Graphs(graphs), {"train": train_rows, "val": val, "test": test}


def with_positions(data: Data) -> Data:
    """Eigenvectors of the Laplacian, their signs drawn, beside the features.

    Rows have unit length, as in the spectral clustering of Ng et al. 2002: the squared
    length of a node's row is about 1 over the size of its community. All eigenvectors
    are computed, since solvers for the first of a sparse matrix start at random.
    """
    name = "positions"
    transform = AddLaplacianEigenvectorPE(POSITIONS, attr_name=name)
    transform.SPARSE_THRESHOLD = data.num_nodes + 1
    data = transform(data)
    data.x = torch.cat([data.x, normalize(data[name])], 1)
    del data[name]
    return data


def _communities(seed: int) -> Data:
    random = np.random.RandomState(seed)
    y, ratio = random.randint(2), MANY / FEW
    small = random.uniform(14, 26, MANY)
    large = random.uniform(14 * ratio, 26 * ratio, FEW)
    sizes = 2 * np.rint(np.concatenate([small, large]) / 2).astype(int)
    colors = np.repeat([y, 1 - y], [MANY, FEW])
    order = random.permutation(len(sizes))
    sizes, colors = sizes[order], colors[order]
    community = np.repeat(np.arange(len(sizes)), sizes)
    edges, x = [], np.repeat(colors, sizes)
    for n, end, color in zip(sizes, sizes.cumsum(), colors, strict=True):
        graph, start = networkx.random_regular_graph(4, int(n), seed=random), end - n
        edges.append(np.array(graph.edges()).T + start)
        wrong = random.choice(n, int(random.uniform(0.06, 0.44) * n), replace=False)
        x[start + wrong] = 1 - color
    edges.append(_outside(community, random))
    pairs = to_undirected(torch.from_numpy(np.concatenate(edges, 1)).long())
    both = torch.from_numpy(np.stack([community, 0 * community], 1))
    features = one_hot(torch.from_numpy(x), 2).float()
    return Data(features, pairs, y=torch.tensor([y]), clusters=both)


def _outside(community: Any, random: Any) -> Any:
    """Edges that pair an eighth of the nodes, each with one of another community."""
    while True:
        ends = random.permutation(np.flatnonzero(random.rand(len(community)) < 1 / 8))
        pairs = ends[: len(ends) // 2 * 2].reshape(2, -1)
        if (community[pairs[0]] != community[pairs[1]]).all():
            return pairs
