"""What `benchmarks.compare` times, in the process of one checkout.

The benchmark code is that of one checkout for both sides, the package is not, so that
nothing but its lasting public functions may be used here.
"""

import copy
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy
from torch_geometric.data import InMemoryDataset
from torch_geometric.loader import DataLoader

import pyg_diffpool
from benchmarks import batches, training_step
from benchmarks.timing import Call, clock, quiet

WARM_UP = 5
SPECS = {spec.dataset: spec for spec in batches.SPECS}
SEEDS = {spec.dataset: spec.seed for spec in training_step.SPECS}
Prepared = tuple[dict[str, Tensor], Call]  # what comes out, and the call to be timed
load = functools.lru_cache(1)(batches.load_dataset)


def operator(name: str, dataset: InMemoryDataset, weighted: bool) -> Prepared:
    """Forward and backward of `diff_pool` on the mini-batch of a set."""
    data = batches.draw_batch(SPECS[name], dataset).leaves()
    random, leaves = torch.Generator().manual_seed(1), {"x": data.x, "s": data.s}
    if weighted:
        weight = torch.rand(data.edge_index.size(1), generator=random) + 0.5
        leaves["edge_weight"] = weight.requires_grad_()
    inputs: dict[str, Any] = {**leaves, "adj": data.edge_index, "batch": data.batch}

    def forward() -> dict[str, Tensor]:
        out = pyg_diffpool.diff_pool(**inputs)
        return {f: getattr(out, f) for f in ("x", "adj", "link_loss", "entropy_loss")}

    found = forward()
    grads = [torch.randn(t.shape, generator=random) for t in found.values()]

    def call() -> None:
        for leaf in leaves.values():
            leaf.grad = None
        torch.autograd.backward(list(forward().values()), grads)

    call()
    grads_of = {f"{k}.grad": t.grad for k, t in leaves.items() if t.grad is not None}
    return {**found, **grads_of}, call


def step(name: str, dataset: InMemoryDataset) -> Prepared:
    """A training step of `DiffPoolNet` on 20 graphs of a set."""
    graphs = training_step.draw_graphs(dataset, 1, SEEDS[name])
    data: Any = next(iter(DataLoader(graphs, training_step.BATCH_SIZE)))
    sizes = data.num_features, 64, int(data.y.max()) + 1, [16, 4]
    torch.manual_seed(0)
    net = pyg_diffpool.DiffPoolNet(*sizes)
    # Compared in float64: batch norms of constant features leave float32 no digits.
    exact = copy.deepcopy(net).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    inputs = {"batch": data.batch, "batch_size": data.num_graphs}

    def run(net: Module, x: Tensor) -> dict[str, Tensor]:
        out = net(x, data.edge_index, **inputs)
        (cross_entropy(out.out, data.y) + out.auxiliary_loss).backward()
        return {"out": out.out, "auxiliary_loss": out.auxiliary_loss}

    def call() -> None:
        optimizer.zero_grad()
        run(net, data.x)
        optimizer.step()

    found = run(exact, data.x.double())
    grads = [p.grad.flatten() for p in exact.parameters() if p.grad is not None]
    return {**found, "gradients": torch.cat(grads)}, call


def sums(values: Tensor) -> tuple[float, float]:
    """A sum in which the place of each entry counts, and that of absolute values."""
    flat = values.detach().double().flatten()
    waves = torch.arange(flat.numel(), dtype=torch.double).cos()
    return float(flat @ waves), float(flat.abs().sum())


def prepare(name: str, what: str, root: str) -> tuple[Any, Call | None]:
    """Sums of the results and the time when warm; and the call. Or nothing."""
    if (dataset := load(name, Path(root))) is None:
        return None, None
    weighted = what == "edge_weight"
    made = step(name, dataset) if what == "step" else operator(name, dataset, weighted)
    found, call = {k: sums(t) for k, t in made[0].items()}, made[1]
    return (found, min(clock(call) for _ in range(WARM_UP))), call


def work(threads: int) -> None:
    """Answer lines of JSON: prepare a call, or say how long one of so many takes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what loading a set prints is no answer
    torch.set_num_threads(threads)
    print(json.dumps(pyg_diffpool.__file__), file=answers)
    call: Call | None = None
    with quiet():
        for question in map(json.loads, sys.stdin):
            if call is not None and isinstance(question, int):
                answer: Any = _seconds(call, question)
            else:
                call = None  # which frees its memory
                answer, call = prepare(**question)
            print(json.dumps(answer), file=answers)


def _seconds(call: Call, loops: int) -> float:
    return clock(lambda: [call() for _ in range(loops)]) / loops


if __name__ == "__main__":
    work(int(sys.argv[1]))
