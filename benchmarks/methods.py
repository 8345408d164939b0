"""The pooling methods that are measured, ours and the peers'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric import nn
from torch_geometric.index import index2ptr
from torch_geometric.utils import coalesce, to_dense_adj, to_dense_batch

from benchmarks.batches import PoolingBatch, small_batch
from benchmarks.timing import Call
from pyg_diffpool import diff_pool

Forward = Callable[[], Sequence[Tensor]]
Make = Callable[[PoolingBatch], Forward]


@dataclass(frozen=True)
class Method:
    """A way from the loader's mini-batch to the pooled graph.

    Attributes:
        name: Short, unique.
        computes: One line on what comes out.
        make: Builds the forward pass for a mini-batch whose features and logits
            collect gradients; an `ImportError` says what is not installed.
        with_layer: Whether the linear layer that makes the logits from the features
            is part of the work.
        ours: Whether it is this package.
        equals: Of a peer's DiffPool, the options with which ours gives the same.
    """

    name: str
    computes: str
    make: Make
    with_layer: bool = False
    ours: bool = False
    equals: Mapping[str, Any] | None = None


@dataclass
class TrainingPass:
    """A forward pass, and a backward pass from random gradients of all outputs."""

    forward: Forward
    leaves: Sequence[Tensor]
    gradients: list[Tensor] = field(default_factory=list)

    def __call__(self) -> Sequence[Tensor]:
        """Run; gradients are then in the leaves."""
        for leaf in self.leaves:
            leaf.grad = None
        outputs = self.forward()
        differentiable = [out for out in outputs if out.requires_grad]
        if not self.gradients:
            random = torch.Generator().manual_seed(1)
            self.gradients = [
                torch.randn(out.shape, generator=random).to(out)
                for out in differentiable
            ]
        torch.autograd.backward(differentiable, self.gradients)
        return outputs

    def results(self) -> list[Tensor | None]:
        """The outputs of a pass and the gradients of the leaves."""
        outputs = [out.detach() for out in self()]
        return [*outputs, *(leaf.grad for leaf in self.leaves)]


def training_pass(make: Make, batch: PoolingBatch) -> TrainingPass:
    leaves = batch.leaves()
    return TrainingPass(make(leaves), (leaves.x, leaves.s))


def prepare_pass(name: str, path: str) -> Call:
    """A pass of the method, or the floor, on the mini-batch in a file.

    A pass on a small mini-batch goes before, to load what the method uses. Both of our
    backends run too, as `auto` may take another one on a small mini-batch.
    """
    batch = PoolingBatch(**torch.load(path))
    if name == "floor":
        return floor(batch)
    for each in {"sparse", "padded", name}:
        training_pass(METHODS[each].make, small_batch())()
    return training_pass(METHODS[name].make, batch)


def floor(batch: PoolingBatch) -> Call:
    """The arithmetic that no DiffPool operator can avoid.

    Two sparse products `A S` and three dense ones of the size of the forward's, that is
    `S^T [Z | A S | S]` as a single product over all nodes at once, with the adjacency
    in compressed rows, by int32, and all operands in place beforehand.
    """
    n, s = batch.x.size(0), batch.s
    row, col = coalesce(batch.edge_index)
    crow, value = index2ptr(row, n).int(), torch.ones(row.numel())
    adj = torch.sparse_csr_tensor(
        crow, col.int(), value, (n, n), check_invariants=False
    )
    right = torch.cat([batch.x, s, s], -1)

    def run() -> None:
        for _ in range(2):
            adj @ s
        for _ in range(3):
            s.t() @ right

    return run


def assert_same(
    mine: Sequence[Tensor | None],
    theirs: Sequence[Tensor | None],
    what: str,
    num_entries: int = 0,
) -> None:
    """Raise an `AssertionError` where results differ by more than rounding.

    Padded peers take a float32 norm over all `B * M * M` entries, which is off by 0.5 %
    at 3e8 entries (this package's differs from float64 by 4e-8 there); so above 1e7 of
    them the link loss and what its gradient reaches are compared to 2 % only.
    """
    loose = ("link loss", "gradient of s") if num_entries > 1e7 else ()
    names = ("x", "adj", "link loss", "entropy loss", "gradient of x", "gradient of s")
    for name, a, b in zip(names, mine, theirs, strict=True):
        rtol = 2e-2 if name in loose else 1e-3
        atol = 0.0 if b is None else 1e-5 * float(b.abs().max())
        message = partial("{}: {} differs. {}".format, what, name)
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol, msg=message)


def ours(data: PoolingBatch, with_layer: bool = False, **options: Any) -> Forward:
    """This package, from the mini-batch as it comes."""
    layer = _assignment_layer(data)

    def forward() -> Sequence[Tensor]:
        s = layer(data.x) if with_layer else data.s
        out = diff_pool(data.x, data.edge_index, s, batch=data.batch, **options)
        return out.x, out.adj, out.link_loss, out.entropy_loss

    return forward


def _pyg_dense(
    data: PoolingBatch, function: Callable[..., Sequence[Tensor]]
) -> Forward:
    """A dense function of PyG as its users write it."""

    def forward() -> Sequence[Tensor]:
        x, mask = to_dense_batch(data.x, data.batch)
        s, _ = to_dense_batch(data.s, data.batch)
        adj = to_dense_adj(data.edge_index, data.batch).to(x.dtype)
        return function(x, adj, s, mask)

    return forward


def _dmon(data: PoolingBatch) -> Forward:
    """PyG's DMoN, whose assignment layer is its own."""
    pool = nn.DMoNPooling(data.x.size(1), data.s.size(1))
    pool.mlp.lins[0].load_state_dict(_assignment_layer(data).state_dict())

    def forward() -> Sequence[Tensor]:
        x, mask = to_dense_batch(data.x, data.batch)
        out: Sequence[Tensor] = pool(x, to_dense_adj(data.edge_index, data.batch), mask)
        return out[1:]

    return forward


def _tgp(data: PoolingBatch, pooler: str, batched: bool) -> Forward:
    """torch-geometric-pool, without self-loop removal and degree normalisation."""
    poolers: Any = import_module("tgp.poolers")
    widths = data.x.size(1), data.s.size(1)
    plain = {"remove_self_loops": False, "degree_norm": False, "adj_transpose": False}
    pool = getattr(poolers, pooler)(*widths, batched=batched, **plain)
    pool.selector.mlp.lins[0].load_state_dict(_assignment_layer(data).state_dict())

    def forward() -> Sequence[Tensor]:
        out = pool(data.x, data.edge_index, batch=data.batch)
        return out.x, out.edge_index, *out.loss.values()

    return forward


def _pan(data: PoolingBatch) -> Forward:
    """PyG's PAN, with the adjacency as the matrix of paths."""
    pool = nn.PANPooling(data.x.size(1), ratio=data.ratio)
    entries = (*data.edge_index, torch.ones(data.edge_index.size(1)))
    paths = SimpleNamespace(coo=lambda: entries)  # of torch-sparse's, all it asks for
    return lambda: (pool(data.x, paths, data.batch)[0],)


def _memory(data: PoolingBatch) -> Forward:
    c = data.x.size(1)
    pool = nn.MemPooling(c, c, heads=4, num_clusters=data.s.size(1))
    return lambda: (pool(data.x, data.batch)[0],)


def _assignment_layer(batch: PoolingBatch) -> Linear:
    """The linear layer from features to logits, the same for all methods."""
    layer = Linear(batch.x.size(1), batch.s.size(1))
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) / 8)
    return layer


def _ours(name: str, computes: str, with_layer: bool = False, **options: Any) -> Method:
    make = partial(ours, with_layer=with_layer, **options)
    return Method(name, f"{_SOFT}; {computes}", make, with_layer, ours=True)


def _tgp_soft(name: str, computes: str, pooler: str, batched: bool = True) -> Method:
    make = partial(_tgp, pooler=pooler, batched=batched)
    equals = {"normalize": False, "with_layer": True} if pooler == "DiffPool" else None
    computes += ", with the assignment layer"
    return Method(name, computes, make, with_layer=True, equals=equals)


def _pyg(layer: str, computes: str, keeps: bool = True) -> Method:
    """A layer that keeps as many nodes as DiffPool makes clusters, or merges nodes."""

    def make(data: PoolingBatch) -> Forward:
        options = {"ratio": data.ratio} if keeps else {}
        pool = getattr(nn, layer)(data.x.size(1), **options)
        return lambda: (pool(data.x, data.edge_index, batch=data.batch)[0],)

    return Method(f"PyG {layer}", computes, make)


_SOFT = "soft clusters, dense pooled graph, link and entropy loss"
_HARD = "hard selection of nodes"
_MERGES = "merges nodes along"
_ALL = (
    _ours("auto", "default settings"),
    _ours("sparse", "no padding", backend="sparse"),
    _ours("padded", "dense blocks", backend="padded"),
    _ours("auto + layer", "with the assignment layer", with_layer=True),
    Method(
        "PyG dense_diff_pool",
        f"{_SOFT}; to_dense_batch, to_dense_adj first",
        lambda data: _pyg_dense(data, nn.dense_diff_pool),
        equals={"normalize": "padded"},
    ),
    _tgp_soft("tgp diff", f"{_SOFT}; padded", "DiffPool"),
    _tgp_soft("tgp diff_u", f"{_SOFT}; loop over graphs", "DiffPool", batched=False),
    Method(
        "PyG dense_mincut_pool",
        "soft clusters, padded, two cut losses",
        lambda data: _pyg_dense(data, nn.dense_mincut_pool),
    ),
    Method(
        "PyG DMoNPooling",
        "soft clusters, padded, three modularity losses, with the assignment layer",
        _dmon,
        with_layer=True,
    ),
    _tgp_soft("tgp mincut", "soft clusters, padded, two cut losses", "MinCutPooling"),
    Method("PyG MemPooling", "soft clusters of nodes, padded, edges unused", _memory),
    _pyg("TopKPooling", f"{_HARD} by a learned projection"),
    _pyg("SAGPooling", f"{_HARD} by a GNN's score"),
    Method("PyG PANPooling", f"{_HARD} by a score of paths", _pan),
    _pyg("ASAPooling", "hard selection of neighbourhoods, attention within"),
    _pyg("EdgePooling", f"{_MERGES} edges, about half of the nodes stay", keeps=False),
    _pyg("ClusterPooling", f"{_MERGES} all high-scored edges", keeps=False),
)
METHODS = {method.name: method for method in _ALL}
