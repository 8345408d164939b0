"""The mini-batches that operators are measured on."""

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import InMemoryDataset
from torch_geometric.datasets import TUDataset
from torch_geometric.loader import DataLoader

from pyg_diffpool.datasets import PythonFunctions, cache_folder

CHANNELS = 64


@dataclass(frozen=True)
class BatchSpec:
    """Which graphs of which data set.

    The seed draws the graphs. Seeds were chosen for sizes, not for times: nodes, edges
    and the largest graph are within 2 % of those that the operator was designed on,
    which have up to a tenth more nodes than a mean batch, on COLLAB 30 % more edges.
    """

    dataset: str
    graphs: int
    clusters: int
    seed: int = 0


SPECS = (
    BatchSpec("ENZYMES", 64, 16, 1827),
    BatchSpec("PROTEINS", 64, 32, 1765),
    BatchSpec("DD", 32, 64, 565),
    BatchSpec("COLLAB", 64, 32, 1546),
    BatchSpec("REDDIT-MULTI-12K-GSM1111", 32, 64, 1532),
    BatchSpec("PythonFunctions", 64, 16),
)


@dataclass(frozen=True)
class PoolingBatch:
    """What a pooling operator gets; features and logits are seeded noise."""

    x: Tensor  # [N, C]
    s: Tensor  # [N, K]
    edge_index: Tensor  # [2, E]
    batch: Tensor  # [N]

    @property
    def num_clusters(self) -> int:
        """K."""
        return self.s.size(1)

    @property
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        return torch.bincount(self.batch)

    @property
    def ratio(self) -> float:
        """Clusters over nodes of the whole batch, at most 1: what selections keep."""
        return min(self.sizes.numel() * self.num_clusters / self.x.size(0), 1.0)

    def leaves(self) -> "PoolingBatch":
        """The same with features and logits that collect gradients."""
        x, s = (t.detach().clone().requires_grad_() for t in (self.x, self.s))
        return PoolingBatch(x, s, self.edge_index, self.batch)

    def describe(self) -> dict[str, int]:
        """Its sizes, for JSON."""
        sizes = self.sizes
        return {
            "graphs": sizes.numel(),
            "nodes": self.x.size(0),
            "edges": self.edge_index.size(1),
            "max_nodes": int(sizes.max()),
            "clusters": self.num_clusters,
            "channels": self.x.size(1),
        }


def default_root() -> Path:
    """Where data sets are looked for."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("PYG_DIFFPOOL_DATA", beside))


def load_dataset(name: str, root: Path) -> InMemoryDataset | None:
    """`PythonFunctions`, or a TU set from `root`; `None` if it is not there.

    `root` holds a folder NAME with the raw files, or NAME.tar.xz, which is unpacked to
    the user's cache folder.
    """
    if name == "PythonFunctions":
        return PythonFunctions()
    archive, cache = root / f"{name}.tar.xz", cache_folder() / "benchmarks"
    if not (root / name / "raw").is_dir():
        if not archive.exists():
            return None
        root = cache
        if not (root / name / "raw").is_dir():
            with tarfile.open(archive) as file:
                file.extractall(root, filter="data")
    return TUDataset(str(root), name)


def draw_batch(spec: BatchSpec, dataset: InMemoryDataset) -> PoolingBatch:
    """The mini-batch of `spec` as PyG's loader yields it."""
    random = torch.Generator().manual_seed(spec.seed)
    chosen = torch.randperm(len(dataset), generator=random)[: spec.graphs]
    graphs = [dataset[int(i)] for i in chosen]
    data = next(iter(DataLoader(graphs, batch_size=spec.graphs)))
    return with_noise(data.edge_index, data.batch, spec.clusters)


def with_noise(
    edge_index: Tensor,  # [2, E]
    batch: Tensor,  # [N]
    clusters: int,
    channels: int = CHANNELS,
) -> PoolingBatch:
    """A mini-batch of these graphs."""
    random = torch.Generator().manual_seed(0)
    x, s = (
        torch.randn(batch.numel(), width, generator=random)
        for width in (channels, clusters)
    )
    return PoolingBatch(x, s, edge_index, batch)


def small_batch(clusters: int = 4, channels: int = CHANNELS) -> PoolingBatch:
    """Three small graphs, to warm up and to test with."""
    sizes = torch.tensor([9, 4, 14])
    batch = torch.arange(3).repeat_interleave(sizes)
    linked = batch.unsqueeze(1) == batch
    random = torch.Generator().manual_seed(0)
    linked &= torch.rand(linked.shape, generator=random) < 0.4
    edge_index = (linked | linked.t()).nonzero().t().contiguous()
    return with_noise(edge_index, batch, clusters, channels)
