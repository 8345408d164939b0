"""By what the losses are divided, in one process and over several."""

from collections.abc import Callable

import torch
from torch import Tensor

from pyg_diffpool import losses
from pyg_diffpool.distributed import is_shared, max_over_ranks, sum_over_ranks
from pyg_diffpool.fused import LossScale
from pyg_diffpool.graphs import MiniBatch
from pyg_diffpool.options import Options


def loss_scale(graph: MiniBatch, options: Options, dtype: torch.dtype) -> LossScale:
    """The scale of a level's losses; none where `shared_losses` is to follow."""
    if _shares(options):
        return LossScale()
    pairs, largest = _num_pairs(graph), lambda: graph.max_num_nodes
    counts = (pairs, graph.num_nodes, graph.batch_size, largest)
    return _scale(*counts, options, dtype)


def shared_losses(
    link_loss: Tensor,  # []
    entropy: Tensor,  # []
    graph: MiniBatch,
    options: Options,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """The losses of the joined mini-batch of all processes, or else these."""
    if not _shares(options):
        return link_loss, entropy
    norm, pairs = options.link == "frobenius", _num_pairs(graph)
    own = (_like(pairs, n) for n in (graph.num_nodes, graph.batch_size))
    link_loss, entropy, pairs, num_nodes, num_graphs = sum_over_ranks(
        link_loss.square() if norm else link_loss, entropy, pairs, *own
    )
    link_loss = losses.root(link_loss) if norm else link_loss  # their squares add up
    counts = (pairs, num_nodes, num_graphs)
    scale = _scale(*counts, lambda: _largest_of_all(graph, pairs), options, dtype)
    return scale.divide(link_loss, entropy)


def _scale(
    num_pairs: Tensor,  # []
    num_nodes: int | Tensor,
    num_graphs: int | Tensor,
    largest: Callable[[], int | Tensor],
    options: Options,
    dtype: torch.dtype,
) -> LossScale:
    if options.normalize == "padded":
        m = _like(num_pairs, largest())
        num_nodes, num_pairs = num_graphs * m, num_graphs * m * m
    if not options.normalize:
        return LossScale(1.0, num_nodes, dtype)
    return LossScale(num_pairs.clamp(min=1), num_nodes, dtype)


def _shares(options: Options) -> bool:
    return options.sync_losses and is_shared()


def _num_pairs(graph: MiniBatch) -> Tensor:
    return graph.sizes.double().square().sum()


def _largest_of_all(graph: MiniBatch, like: Tensor) -> Tensor:
    return max_over_ranks(_like(like, graph.max_num_nodes))


def _like(scalar: Tensor, value: int | Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=scalar.dtype, device=scalar.device)
