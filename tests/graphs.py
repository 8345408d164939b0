"""The graphs of the tests, ordinary and degenerate, and how they are pooled."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyg_diffpool import DiffPoolOutput, diff_pool


@dataclass(frozen=True)
class Sample:
    """One mini-batch with assignment logits."""

    x: Tensor  # [N, C]
    edge_index: Tensor  # [2, E]
    s: Tensor  # [N, K]
    batch: Tensor  # [N]
    batch_size: int
    edge_weight: Tensor | None = None  # [E]

    def to(self, dtype: torch.dtype) -> "Sample":
        weight = self.edge_weight
        return replace(
            self,
            x=self.x.to(dtype),
            s=self.s.to(dtype),
            edge_weight=None if weight is None else weight.to(dtype),
        )


def pool(sample: Sample, **options: object) -> DiffPoolOutput:
    """The operator on a sample."""
    return diff_pool(
        sample.x,
        sample.edge_index,
        sample.s,
        edge_weight=sample.edge_weight,
        batch=sample.batch,
        batch_size=sample.batch_size,
        **options,
    )


def assert_same(out: DiffPoolOutput, expected: DiffPoolOutput) -> None:
    """All results agree, the shape of the assignment apart."""
    for field in ("x", "adj", "mask", "link_loss", "entropy_loss"):
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))


def sample(
    sizes: list[int],
    edges: list[list[tuple[int, int]]] | float = 0.3,
    k: int = 4,
    channels: int = 3,
    weighted: bool = False,
    directed: bool = True,
    seed: int = 0,
) -> Sample:
    """Random graphs of the given sizes, or the given edges, in float64."""
    generator = torch.Generator().manual_seed(seed)
    pairs: list[tuple[int, int]] = []
    start = 0
    for b, size in enumerate(sizes):
        if isinstance(edges, float):
            hit = torch.rand(size, size, generator=generator) < edges
            hit = hit if directed else (hit | hit.t()).fill_diagonal_(False)
            local = [(int(i), int(j)) for i, j in hit.nonzero()]
        else:
            local = edges[b]
        pairs += [(start + i, start + j) for i, j in local]
        start += size
    options = {"generator": generator, "dtype": torch.double}
    return Sample(
        x=torch.randn(start, channels, **options),
        edge_index=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t(),
        s=2 * torch.randn(start, k, **options),
        batch=torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)),
        batch_size=len(sizes),
        edge_weight=torch.randn(len(pairs), **options) if weighted else None,
    )


ZOO = {
    "ordinary": sample([5, 3, 7]),
    "undirected": sample([6, 4, 9], directed=False, seed=1),
    "weighted": sample([5, 3, 7], weighted=True, seed=2),
    "one node each": sample([1, 1, 1], [[], [(0, 0)], []]),
    "no edges": sample([3, 2], [[], []]),
    "isolated nodes": sample([4, 3], [[(0, 1), (1, 0)], []]),
    "self-loops": sample([3, 2], [[(0, 0), (1, 2), (2, 2)], [(1, 1)]]),
    "one-way path": sample([4], [[(0, 1), (1, 2), (2, 3)]]),
    "repeated edges": sample([3, 2], [[(0, 1), (0, 1), (1, 2)], [(1, 0), (1, 0)]]),
    "repeated, weighted": sample(
        [3, 2], [[(0, 1), (0, 1), (1, 2)], [(1, 0), (1, 0)]], weighted=True
    ),
    "unsorted edges": sample([4], [[(3, 1), (0, 2), (3, 0), (1, 1), (0, 1)]]),
    "more clusters than nodes": sample([2, 3], k=9),
    "one cluster": sample([4, 2], k=1),
    "empty graph in the middle": sample([3, 0, 4]),
    "empty graph at the end": sample([3, 4, 0]),
    "empty graph first": sample([0, 4]),
    "very uneven": sample([70, 1, 2], edges=0.05),
}
