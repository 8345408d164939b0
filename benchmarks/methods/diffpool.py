"""DiffPool: this package, PyG, torch-geometric-pool."""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import dense_diff_pool
from torch_geometric.utils import to_dense_adj, to_dense_batch

from benchmarks.batches import PoolingBatch
from benchmarks.methods.method import Forward, Make, Method, assignment_layer
from pyg_diffpool import diff_pool
from pyg_diffpool.operator import Backend, Normalize


def ours(with_layer: bool = False, **options: Any) -> Make:
    """This package, from the mini-batch as it comes."""

    def make(data: PoolingBatch) -> Forward:
        layer = assignment_layer(data)

        def forward() -> Sequence[Tensor]:
            s = layer(data.x) if with_layer else data.s
            out = diff_pool(data.x, data.edge_index, s, batch=data.batch, **options)
            return out.x, out.adj, out.link_loss, out.entropy_loss

        return forward

    return make


def pyg(data: PoolingBatch) -> Forward:
    """PyG as its users write it."""

    def forward() -> Sequence[Tensor]:
        x, mask = to_dense_batch(data.x, data.batch)
        s, _ = to_dense_batch(data.s, data.batch)
        adj = to_dense_adj(data.edge_index, data.batch)
        out: Sequence[Tensor] = dense_diff_pool(x, adj, s, mask)
        return out

    return forward


def tgp(pooler: str, batched: bool) -> Make:
    """torch-geometric-pool, without self-loop removal and degree normalisation."""

    def make(data: PoolingBatch) -> Forward:
        poolers: Any = import_module("tgp.poolers")
        pool = getattr(poolers, pooler)(
            data.x.size(1),
            data.num_clusters,
            batched=batched,
            remove_self_loops=False,
            degree_norm=False,
            adj_transpose=False,
        )
        layer = assignment_layer(data)
        pool.selector.mlp.lins[0].load_state_dict(layer.state_dict())

        def forward() -> Sequence[Tensor]:
            out = pool(data.x, data.edge_index, batch=data.batch)
            return out.x, out.edge_index, *out.loss.values()

        return forward

    return make


def equal_work(normalize: Normalize, with_layer: bool, backend: Backend) -> Make:
    """Our side with the peer's normalisation of the losses, so that results compare."""
    return ours(with_layer, normalize=normalize, backend=backend)


def compare(
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
        scale = 0.0 if b is None else float(b.abs().max())
        torch.testing.assert_close(
            a,
            b,
            rtol=2e-2 if name in loose else 1e-3,
            atol=1e-5 * scale,
            msg=partial("{}: {} differs. {}".format, what, name),
        )


_SOFT = "soft clusters, dense pooled graph, link and entropy loss"

DIFFPOOL = (
    Method("auto", f"{_SOFT}; default settings", ours(), ours=True),
    Method("sparse", f"{_SOFT}; no padding", ours(backend="sparse"), ours=True),
    Method("padded", f"{_SOFT}; dense blocks", ours(backend="padded"), ours=True),
    Method(
        "auto + layer",
        f"{_SOFT}; with the assignment layer",
        ours(with_layer=True),
        with_layer=True,
        ours=True,
    ),
    Method("PyG dense_diff_pool", f"{_SOFT}; to_dense_batch, to_dense_adj first", pyg),
    Method(
        "tgp diff",
        f"{_SOFT}; padded, with the assignment layer",
        tgp("DiffPool", batched=True),
        with_layer=True,
    ),
    Method(
        "tgp diff_u",
        f"{_SOFT}; loop over graphs, with the assignment layer",
        tgp("DiffPool", batched=False),
        with_layer=True,
    ),
)
