"""`A S` by torch's CSR product and by what torch-scatter and torch-sparse offer.

The figures behind the rule that the operator computes with torch alone. Each way
starts from the row-sorted edges of the loader, without weights, and gives `A S`
forward; the pointer to the rows, which all of them need, is at hand.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch_geometric.index import index2ptr

from benchmarks.batches import SPECS, draw_batch, load_dataset
from benchmarks.settings import Settings
from benchmarks.timing import Budget, interleave

QUICK = ("ENZYMES", "PythonFunctions")
NEEDED = ("torch_scatter", "torch_sparse")
Product = Callable[[Tensor, Tensor, Tensor], Tensor]


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure on all data sets that are there; nothing without the two packages."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    measured: list[dict[str, Any]] = []
    content = {"threads": settings.threads, "missing": missing, "datasets": measured}
    budget = Budget(0.05, at_most=10) if settings.quick else Budget(1.0, at_most=200)
    for spec in () if missing else SPECS:
        dataset = load_dataset(spec.dataset, settings.root)
        if dataset is None or not settings.wants(spec.dataset, QUICK):
            continue
        batch = draw_batch(spec, dataset)
        times = measure(batch.edge_index, batch.s.softmax(-1), budget)
        print(f"{spec.dataset}: {times}")
        shape = {"dataset": spec.dataset, **batch.describe()}
        measured.append({**shape, "times": times})
        yield content
    yield content


def measure(edge_index: Tensor, s: Tensor, budget: Budget) -> dict[str, Any]:
    """Time of each way, after a look that they agree."""
    row, col = edge_index
    crow = index2ptr(row, s.size(0))
    products = _products()
    expected, *others = (product(crow, col, s) for product in products.values())
    for other in others:
        torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-4)
    samples = interleave(
        {
            name: lambda product=product: product(crow, col, s)  # type: ignore[misc]
            for name, product in products.items()
        },
        budget,
    )
    return {name: sample.as_dict() for name, sample in samples.items()}


def _products() -> dict[str, Product]:
    import torch_scatter
    import torch_sparse  # noqa: F401  (registers its operators)

    def csr(crow: Tensor, col: Tensor, s: Tensor) -> Tensor:
        size, value = (s.size(0), s.size(0)), s.new_ones(col.numel())
        return torch.sparse_csr_tensor(crow, col, value, size) @ s

    def spmm_sum(crow: Tensor, col: Tensor, s: Tensor) -> Tensor:
        nothing = (None, None, None)
        out: Tensor = torch.ops.torch_sparse.spmm_sum(None, crow, col, *nothing, s)
        return out

    def segment_csr(crow: Tensor, col: Tensor, s: Tensor) -> Tensor:
        out: Tensor = torch_scatter.segment_csr(s[col], crow, reduce="sum")
        return out

    return {
        "torch CSR": csr,
        "torch-sparse spmm": spmm_sum,
        "torch-scatter segment_csr": segment_csr,
    }
