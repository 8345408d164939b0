"""One training: a plain loop over mini-batches cut from the store."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from benchmarks.reproduce.graph_store import GraphBatch, GraphStore
from benchmarks.reproduce.settings import Training

EVALUATION_NODES = 20_000
"""About how many nodes an evaluation mini-batch has."""


@dataclass(frozen=True)
class Curves:
    """What a training gave, an entry for each epoch."""

    loss: list[float]
    train: list[float]
    parts: dict[str, list[float]]
    seconds: float


def train(
    network: Module,
    store: GraphStore,
    graphs: Tensor,  # [B']
    parts: Mapping[str, Tensor],
    settings: Training,
    seed: int,
    on_epoch: Callable[[], object] = lambda: None,
    measure: Callable[[Module, GraphStore, Tensor], float] | None = None,
) -> Curves:
    """Train on `graphs` and measure every part after every epoch, by accuracy.

    The network gives logits `[B, classes]` and what to add to the loss, `[]`.

    Raises:
        FloatingPointError: If the loss of an epoch is not finite.
    """
    measure = accuracy if measure is None else measure
    random = torch.Generator().manual_seed(seed)
    averaged = copy.deepcopy(network)
    steps = settings.epochs * math.ceil(graphs.numel() / settings.batch_size)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        settings.lr,
        weight_decay=settings.weight_decay,
        foreach=True,
    )
    schedule = make_schedule(optimizer, settings, steps)
    curves = Curves([], [], {name: [] for name in parts}, 0.0)
    start = time.perf_counter()
    for epoch in range(settings.epochs):
        network.train()
        decay = min(settings.averaging, epoch / (epoch + 1))
        loss_sum, correct = torch.zeros(()), torch.zeros(())
        for batch in store.batches(graphs, settings.batch_size, random):
            out, auxiliary = network(augmented(batch, settings))
            loss = cross_entropy(out.flatten(0, -2), batch.y.flatten()) + auxiliary
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average_weights(averaged, network, decay)
            loss_sum += loss.detach() * batch.num_graphs
            right = out.detach().argmax(-1) == batch.y
            correct += right.float().mean() * batch.num_graphs
        copy_buffers(averaged, network)
        curves.loss.append(_finite(float(loss_sum) / graphs.numel(), epoch))
        curves.train.append(round(float(correct) / graphs.numel(), 4))
        for name, part in parts.items():
            curves.parts[name].append(measure(averaged, store, part))
        on_epoch()
    return replace(curves, seconds=round(time.perf_counter() - start, 1))


def _finite(loss: float, epoch: int) -> float:
    if math.isfinite(loss):
        return round(loss, 4)
    raise FloatingPointError(
        f"Expected a finite training loss (got {loss} in epoch {epoch + 1}). Lower the "
        "learning rate, or look at what the method divides by."
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: Training, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The course of the learning rate."""
    if settings.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.lr, total_steps=steps + 1, pct_start=0.05
    )


def accuracy(
    network: Module,
    store: GraphStore,
    graphs: Tensor,  # [B']
) -> float:
    """The share of the graphs that are classified rightly."""
    network.eval()
    mean_size = max(1.0, float(store.sizes[graphs].float().mean()))
    batch_size = max(1, int(EVALUATION_NODES / mean_size))
    with torch.no_grad():
        correct = sum(
            int((network(batch)[0].argmax(1) == batch.y).sum())
            for batch in store.batches(graphs, batch_size)
        )
    return correct / graphs.numel()


def augmented(batch: GraphBatch, settings: Training) -> GraphBatch:
    """The mini-batch with some nodes and edges left out and noise on the features.

    The first node of each graph stays.
    """
    if settings.noise:
        batch = replace(batch, x=batch.x + settings.noise * torch.randn_like(batch.x))
    if settings.drop_edges:
        kept = torch.rand(batch.edge_index.size(1)) >= settings.drop_edges
        batch = replace(batch, edge_index=batch.edge_index[:, kept])
    if not settings.drop_nodes:
        return batch
    kept = torch.rand(batch.batch.numel()) >= settings.drop_nodes
    kept |= batch.batch.diff(prepend=batch.batch.new_tensor([-1])) > 0
    number = kept.cumsum(0) - 1
    row, col = batch.edge_index
    inside = kept[row] & kept[col]
    return replace(
        batch,
        x=batch.x[kept],
        edge_index=number[batch.edge_index[:, inside]],
        batch=batch.batch[kept],
        clusters=None if batch.clusters is None else batch.clusters[kept],
    )


@torch.no_grad()
def average_weights(averaged: Module, network: Module, decay: float) -> None:
    """Move the running mean of the weights."""
    mean: list[Tensor] = [*averaged.parameters()]
    now: list[Tensor] = [*network.parameters()]
    torch._foreach_lerp_(mean, now, 1 - decay)


@torch.no_grad()
def copy_buffers(averaged: Module, network: Module) -> None:
    """Take over the statistics of batch norm."""
    for mine, theirs in zip(averaged.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)
