"""The mini-batches that operators are measured on."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch, InMemoryDataset
from torch_geometric.utils import remove_self_loops, to_undirected

from benchmarks.sets import draw

CHANNELS = 64


@dataclass(frozen=True)
class PoolingBatch:
    """What a pooling operator gets; features and logits are seeded noise."""

    x: Tensor  # [N, C]
    s: Tensor  # [N, K]
    edge_index: Tensor  # [2, E]
    batch: Tensor  # [N]

    @property
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        return torch.bincount(self.batch)

    @property
    def ratio(self) -> float:
        """Clusters over nodes of the whole batch, at most 1: what selections keep."""
        return min(self.sizes.numel() * self.s.size(1) / self.x.size(0), 1.0)

    def to(self, device: str, dtype: torch.dtype) -> "PoolingBatch":
        """The same elsewhere, features and logits in another precision."""
        x, s = (t.to(device, dtype) for t in (self.x, self.s))
        return PoolingBatch(x, s, self.edge_index.to(device), self.batch.to(device))

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
            "clusters": self.s.size(1),
            "channels": self.x.size(1),
        }


def draw_batch(
    dataset: InMemoryDataset, graphs: int, clusters: int, seed: int = 0
) -> PoolingBatch:
    """So many graphs of `dataset` as PyG's loader yields them."""
    data = Batch.from_data_list(draw(dataset, graphs, seed))
    return with_noise(data.edge_index, data.batch, clusters)


def with_noise(
    edge_index: Tensor,  # [2, E]
    batch: Tensor,  # [N]
    clusters: int,
) -> PoolingBatch:
    """A mini-batch of these graphs."""
    random = torch.Generator().manual_seed(0)
    x, s = (
        torch.randn(batch.numel(), width, generator=random)
        for width in (CHANNELS, clusters)
    )
    return PoolingBatch(x, s, edge_index, batch)


def random_batch(sizes: Tensor, density: float, clusters: int) -> PoolingBatch:
    """Random undirected graphs of `sizes` nodes, loops among their edges."""
    batch = torch.arange(sizes.numel()).repeat_interleave(sizes)
    n, first = int(sizes.max()), sizes.cumsum(0) - sizes
    random = torch.Generator().manual_seed(0)
    linked = torch.rand(sizes.numel(), n, n, generator=random) < density
    inside = torch.arange(n) < sizes.unsqueeze(1)
    linked = (linked | linked.mT) & inside.unsqueeze(1) & inside.unsqueeze(2)
    graph, i, j = linked.nonzero(as_tuple=True)
    return with_noise(torch.stack([i, j]) + first[graph], batch, clusters)


def sparse_batch(graphs: int, nodes: int, degree: int, clusters: int) -> PoolingBatch:
    """Random graphs of so many nodes each, of this mean degree or somewhat less."""
    random = torch.Generator().manual_seed(0)
    first = torch.arange(graphs).repeat_interleave(nodes * degree // 2) * nodes
    edges = first + torch.randint(nodes, (2, first.numel()), generator=random)
    edges = to_undirected(remove_self_loops(edges)[0], num_nodes=graphs * nodes)
    return with_noise(edges, torch.arange(graphs).repeat_interleave(nodes), clusters)


def small_batch() -> PoolingBatch:
    """Three small graphs, to warm up and to test with."""
    return random_batch(torch.tensor([9, 4, 14]), density=0.4, clusters=4)
