"""The graphs of the tests, ordinary and degenerate, and how they are pooled."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool import DiffPoolOutput, diff_pool, to_padded

Arguments = dict[str, Any]
BACKENDS = ["sparse", "padded"]
RESULTS = ["x", "adj", "assignment", "link_loss", "entropy_loss"]


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

    @property
    def weights(self) -> Tensor:
        """The weights of the edges, ones if there are none."""
        if self.edge_weight is not None:
            return self.edge_weight
        return self.x.new_ones(self.edge_index.size(1))

    @property
    def positive(self) -> "Sample":
        """The same with weights of at least 0, as GCN and means over edges want."""
        weight = self.edge_weight
        return replace(self, edge_weight=None if weight is None else weight.abs())


def flat(sample: Sample) -> Arguments:
    """The arguments of `diff_pool` for an edge list, those of `reference` too."""
    given = dict(vars(sample))
    return {"adj": given.pop("edge_index"), **given}


def layer_arguments(sample: Sample) -> Arguments:
    """Those of a `DiffPool` with an `assign` GNN, or of a network."""
    return {name: value for name, value in flat(sample).items() if name != "s"}


def pad(sample: Sample, rows: Tensor, **options: Any) -> Any:
    """`to_padded` of these rows in place of `x`."""
    edges = sample.edge_index, sample.batch, sample.edge_weight
    return to_padded(rows, *edges, batch_size=sample.batch_size, **options)


def padded(sample: Sample) -> Arguments:
    """The arguments of `diff_pool` for dense blocks."""
    x, adj, mask = pad(sample, sample.x)
    return {"x": x, "adj": adj, "s": pad(sample, sample.s).x, "mask": mask}


def pool(sample: Sample, **options: object) -> DiffPoolOutput:
    """The operator on a sample."""
    return diff_pool(**flat(sample), **options)


def leaves(given: Arguments) -> Arguments:
    """A copy of the arguments, of which those that can have a gradient will."""
    copies = {}
    for name, value in given.items():
        is_float = isinstance(value, Tensor) and value.is_floating_point()
        copies[name] = value.detach().clone().requires_grad_() if is_float else value
    return copies


def total(results: object, names: Iterable[str] = RESULTS) -> Tensor:
    """One number that hangs on every entry of these results."""
    generator = torch.Generator().manual_seed(3)
    values = [getattr(results, name) for name in names]
    factors = [torch.rand(v.shape, generator=generator).to(v) for v in values]
    return sum((v * f).sum() for v, f in zip(values, factors, strict=True))


def gradients(value: Tensor, given: Arguments, *names: str) -> list[Tensor]:
    """Those of a number by the arguments with gradient, or by the named ones."""
    names = names or tuple(given)
    wanted = [given[n] for n in names if getattr(given[n], "requires_grad", False)]
    options = {"materialize_grads": True, "retain_graph": True}
    return list(torch.autograd.grad(value, wanted, **options))


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
