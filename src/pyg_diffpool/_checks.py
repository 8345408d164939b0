"""All checks of what users pass in, called once, at the public functions.

Shapes, types and devices are always looked at. Values (index ranges, sortedness) are
looked at on the CPU, where it costs next to nothing; on other devices the look would
wait for the device and happens only on request, as does the search for NaN: with
``check=True`` or the environment variable ``PYG_DIFFPOOL_CHECK=1``.
"""

import operator
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyg_diffpool import _modes


def wrong(error: type[Exception], what: str, got: object, hint: str = "") -> Exception:
    """The error to raise: what was expected, what came, what to do."""
    return error(f"Expected {what} (got {got}). {hint}".rstrip())


def check_tensors(**values: object) -> None:
    """Tensors or `None`, none of them sparse, on one device."""
    devices = {}
    for name, value in values.items():
        if value is None:
            continue
        if not isinstance(value, Tensor):
            what = f"'{name}' to be a torch.Tensor"
            raise wrong(TypeError, what, type(value).__name__)
        if value.layout != torch.strided:
            hint = f"Use '{name}.to_dense()'."
            raise wrong(TypeError, f"'{name}' to be dense", value.layout, hint)
        devices[name] = value.device
    if len(set(devices.values())) > 1:
        got = ", ".join(f"'{name}' on {device}" for name, device in devices.items())
        hint = "Move them with '.to(device)'."
        raise wrong(ValueError, "all tensors on one device", got, hint)


def check_alike(**values: Tensor | None) -> None:
    """Of one device and one float dtype, unless autocast, which may mix them, is on."""
    check_tensors(**values)
    given = ((name, t) for name, t in values.items() if t is not None)
    floats = {name: t for name, t in given if t.is_floating_point()}
    mixed = len({t.dtype for t in floats.values()}) > 1
    if mixed and not any(_modes.is_autocast(t.device.type) for t in floats.values()):
        got = ", ".join(f"'{name}' is {t.dtype}" for name, t in floats.items())
        hint = "Cast them with '.to(dtype)'."
        raise wrong(TypeError, "tensors of one dtype", got, hint)


def check_float(name: str, value: Any, dims: tuple[int, ...], hint: str = "") -> None:
    """A floating-point tensor of one of the given numbers of dimensions."""
    check_tensors(**{name: value})
    if not value.is_floating_point():
        cast = f"Embed or cast it first, e.g. '{name}.float()'."
        raise wrong(TypeError, f"'{name}' to be floating-point", value.dtype, cast)
    if value.dim() not in dims:
        what = f"'{name}' to have {' or '.join(map(str, dims))} dimensions"
        raise wrong(ValueError, what, f"{value.dim()}: {list(value.shape)}", hint)


def check_dtype(name: str, value: Tensor, *dtypes: torch.dtype) -> None:
    """One of these, of which errors name the first."""
    if value.dtype not in dtypes:
        cast = "bool" if torch.bool in dtypes else "long"
        hint = f"Cast it with '{name}.{cast}()'."
        raise wrong(TypeError, f"'{name}' to be {dtypes[0]}", value.dtype, hint)


def check_shape(
    what: str, shape: Sequence[int], form: str, wanted: Sequence[Any], note: str = ""
) -> None:
    """`shape` as wanted, where a letter is any size but 0; `form` is all letters."""
    fits = len(shape) == len(wanted)
    for size, want in zip(shape, wanted, strict=False):
        fits = fits and (size > 0 if isinstance(want, str) else size == want)
    if not fits:
        what = f"{what} of shape {form} = [{', '.join(map(str, wanted))}]{note}"
        raise wrong(ValueError, what, list(shape))


def check_between(
    what: str, found: Sequence[int], first: int, last: int, form: str, hint: str = ""
) -> None:
    """Numbers in a range, the last of which errors call `form`."""
    if found and not first <= min(found) <= max(found) <= last:
        what = f"{what} between {first} and {form} = {last}"
        raise wrong(ValueError, what, f"{min(found)} to {max(found)}", hint)


def check_finite(**tensors: Tensor | None) -> None:
    """No NaN, no infinity."""
    for name, value in tensors.items():
        if value is not None and not bool(value.isfinite().all()):
            bad = ~value.isfinite()
            first, at = float(value[bad][0]), bad.nonzero()[0].tolist()
            got = f"{first} at {at}, {int(bad.sum())} in all"
            hint = "Likely too large a learning rate, a division by zero or overflow."
            raise wrong(ValueError, f"'{name}' to be finite", got, hint)


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """One of a few values."""
    if not any(value is c or value == c for c in choices):
        listed = ", ".join(map(repr, choices))
        raise wrong(ValueError, f"'{name}' to be one of {listed}", repr(value))


def whole_number(name: str, value: object) -> int:
    """An integer of any library, or a whole float, as an `int`; no `bool`."""
    if isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool):
        return value  # type: ignore[return-value]  # a symbol stays one
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return int(value)
    number: Any = value
    is_bool = getattr(value, "dtype", type(value)) in (bool, torch.bool)
    with suppress(TypeError):
        if not is_bool and getattr(value, "ndim", 0) == 0:
            return operator.index(number)
    raise wrong(TypeError, f"'{name}' to be a whole number", repr(value))


def positive_number(name: str, value: object) -> int:
    """`whole_number` of at least 1."""
    number = whole_number(name, value)
    if number < 1:
        raise wrong(ValueError, f"'{name}' of at least 1", number)
    return number


def optional_number(name: str, value: object) -> int | None:
    """`whole_number`, or nothing."""
    return None if value is None else whole_number(name, value)


def check_unused(beside: str, **arguments: object) -> None:
    """Arguments that mean nothing for this form of input."""
    for name, value in arguments.items():
        if value is not None:
            what, kind = f"no '{name}' beside {beside}", type(value).__name__
            raise wrong(ValueError, what, kind, "It belongs to another form of input.")


def check_nodes(
    x: Tensor, batch: Tensor | None, batch_size: int | None, check: bool = False
) -> None:
    """Float features of at least one node, and the graph of each."""
    check_float("x", x, (2,))
    _check_not_empty(x)
    check_batch(batch, batch_size, x, check)


def _check_not_empty(x: Tensor) -> None:
    if x.size(0) * x.size(-2) == 0:
        hint = "Skip empty mini-batches, e.g. with 'drop_last'."
        raise wrong(ValueError, "a mini-batch of at least one node", "0 nodes", hint)


def check_edges(edge_index: Tensor, edge_weight: Tensor | None, x: Tensor) -> None:
    """`edge_index` `[2, E]`, in whatever range; `edge_weight` `[E]`."""
    check_tensors(x=x, adj=edge_index, edge_weight=edge_weight)
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        what, hint = "'edge_index' of shape [2, E]", "A dense 'adj' must be floating."
        raise wrong(ValueError, what, list(edge_index.shape), hint)
    check_dtype("edge_index", edge_index, torch.long)
    if edge_weight is None:
        return
    hint = "Use 'edge_weight.squeeze(-1)', or pass edge features as 'edge_attr'."
    check_float("edge_weight", edge_weight, (1,), hint)
    check_alike(x=x, edge_weight=edge_weight)
    if edge_weight.size(0) != edge_index.size(1):
        what = f"'edge_weight' of length E = {edge_index.size(1)}"
        hint = "Give one weight for each column of 'edge_index'."
        raise wrong(ValueError, what, edge_weight.size(0), hint)


def check_sparse(
    shape: Sequence[int], value: Tensor | None, edge_attr: Tensor | None, x: Tensor
) -> None:
    """A sparse `adj` of `[N, N]`, one number an edge, without `edge_attr` beside it."""
    what, n = "a sparse 'adj', over the rows of 'x',", x.size(0)
    check_shape(what, shape, "[N, N]", (n, n))
    if edge_attr is not None:
        what = "an edge list 'edge_index' beside 'edge_attr'"
        got = "a sparse 'adj', whose edges are in an order of its own"
        hint = "Use 'torch_geometric.utils.to_edge_index' first."
        raise wrong(ValueError, what, got, hint)
    if value is not None and value.dim() != 1:
        what, got = "one value for each edge of a sparse 'adj'", f"{list(value.shape)}"
        raise wrong(ValueError, what, got, "Pass edge features as 'edge_attr'.")


def check_range(edge_index: Tensor, num_nodes: int) -> None:
    """`edge_index` `[2, E]` within the nodes."""
    if edge_index.numel():
        found = [int(v) for v in edge_index.aminmax()]
        hint = f"'x' has {num_nodes} rows, one for each node."
        check_between("'edge_index'", found, 0, num_nodes - 1, "N - 1", hint)


def stop_at_wrong_edges(
    edge_index: Tensor, num_nodes: int, batch: Tensor | None
) -> None:
    """Let the device fail, with nobody waiting, where edges do not fit the nodes."""
    if batch is None:
        batch = edge_index.new_zeros(num_nodes)
    source, target = batch.index_select(0, edge_index.reshape(-1)).view(2, -1)
    torch._assert_async((source == target).all(), "an edge between two graphs")


def check_edge_attr(attr: Tensor | None, x: Tensor, shape: tuple[int, ...]) -> None:
    """`edge_attr` `[E, D]`, or `[B, M, M, D]`, D >= 1; `shape` is all but D."""
    if attr is not None:
        check_float("edge_attr", attr, (2, 4))
        check_alike(x=x, edge_attr=attr)
        form = "[E, D]" if len(shape) == 1 else "[B, M, M, D]"
        check_shape("'edge_attr'", attr.shape, form, (*shape, "D"), " with D >= 1")


def check_batch(
    batch: Tensor | None, batch_size: int | None, x: Tensor, check: bool = False
) -> None:
    """`batch` `[N]`, integer, ascending from 0 or above to below `batch_size`."""
    check_tensors(x=x, batch=batch)
    if batch_size is not None and batch_size < 1:
        raise wrong(ValueError, "'batch_size' of at least 1", batch_size)
    if batch is None:
        if batch_size in (None, 1):
            return
        what = f"'batch' for a 'batch_size' of {batch_size}"
        raise wrong(ValueError, what, None, "Without 'batch', all nodes are one graph.")
    n = x.size(0)
    check_dtype("batch", batch, torch.long)
    check_shape("'batch'", batch.shape, "[N]", (n,), ", an entry for each row of 'x'")
    if n == 0 and batch_size is None:
        hint = "An empty 'batch' does not tell how many graphs there are."
        raise wrong(ValueError, "'batch_size' where there is no node", None, hint)
    if not n or not _modes.may_check_values(x, check):
        return
    if not ascends_within(batch, sys.maxsize):
        hint = "Sort the nodes by graph first; PyG's DataLoader yields them so."
        got = f"the negative entry {int(batch.min())}"
        if batch.min() >= 0:
            at = int((batch.diff() < 0).nonzero()[0])
            got = f"{int(batch[at])} before {int(batch[at + 1])} at position {at}"
        raise wrong(ValueError, "'batch' to ascend from 0", got, hint)
    if batch_size is not None and int(batch[-1]) >= batch_size:
        what = f"entries of 'batch' below 'batch_size' = {batch_size}"
        raise wrong(ValueError, what, int(batch[-1]))


def ascends_within(index: Tensor, stop: int) -> bool:
    """Whether the entries `[E]` never fall and lie from 0 to below `stop`.

    With NumPy, which compares int64 in a third of torch's time.
    """
    values = index.cpu().numpy()
    if values.size == 0:
        return True
    in_range = values[0] >= 0 and values[-1] < stop
    return bool(in_range and (values[1:] >= values[:-1]).all())


def check_same_graph(edge_index: Tensor, batch: Tensor) -> None:
    """Every edge between two nodes of one graph."""
    check_range(edge_index, batch.numel())
    source, target = (batch.index_select(0, ends) for ends in edge_index)
    if torch.equal(source, target):
        return
    edge = int((source != target).nonzero()[0])
    (i, j), a, b = edge_index[:, edge].tolist(), int(source[edge]), int(target[edge])
    got = f"an edge from node {i} of graph {a} to node {j} of graph {b}"
    hint = "Do 'edge_index' and 'batch' belong together?"
    raise wrong(ValueError, "every edge to stay within its graph", got, hint)


def check_assignment(s: Tensor, x: Tensor) -> None:
    """An `s` that goes with `x`: K columns for each row, or one whole number."""
    check_alike(x=x, s=s)
    if s.dtype == torch.bool or s.is_complex():
        what = "'s' to hold floating-point logits or int64 clusters"
        hint = "Use 's.long().argmax(-1)' for one-hot rows."
        raise wrong(TypeError, what, s.dtype, hint)
    rows, form = x.shape[:-1], "N" if x.dim() == 2 else "B, M"
    if s.is_floating_point():
        wanted, note = (*rows, "K"), " with K >= 1 clusters"
        check_shape("'s'", s.shape, f"[{form}, K]", wanted, note)
    else:
        check_shape("an integer 's'", s.shape, f"[{form}]", rows)


def check_padded(x: Tensor, adj: Tensor, mask: Tensor | None) -> None:
    """`x` `[B, M, C]`, `adj` `[B, M, M]`, `mask` `[B, M]`."""
    check_float("x", x, (3,))
    hint = "Pass edge features [B, M, M, D] as 'edge_attr', beside 'adj' [B, M, M]."
    check_float("adj", adj, (3,), hint)
    check_alike(x=x, adj=adj)
    b, m = x.shape[:2]
    _check_not_empty(x)
    check_shape("a dense 'adj'", adj.shape, "[B, M, M]", (b, m, m))
    check_mask(mask, x)


def check_mask(mask: Tensor | None, x: Tensor) -> None:
    """`mask` `[B, M]`, boolean."""
    check_tensors(x=x, mask=mask)
    if mask is not None:
        check_dtype("mask", mask, torch.bool)
        check_shape("'mask'", mask.shape, "[B, M]", x.shape[:2])


def num_columns(
    s: Tensor,  # [..., K] logits, or [...] int64 clusters
    num_clusters: int | Tensor | None,  # [B]
    sizes: Tensor,  # [B], nodes of each graph
    may_look: bool,
) -> int:
    """K, checked against the budgets and the clusters given.

    For integer `s` without an `int` beside it, K is read back from the device.
    """
    budgets: list[int] = []
    if isinstance(num_clusters, Tensor):
        check_dtype("num_clusters", num_clusters, torch.int64, torch.int32)
        if not s.is_floating_point():
            hint = "Given clusters need no budget for each graph."
            what = "'num_clusters' to be an int beside integer 's'"
            raise wrong(TypeError, what, "a tensor", hint)
        check_shape("'num_clusters'", num_clusters.shape, "[B]", sizes.shape)
        budgets = num_clusters[sizes > 0].tolist() if may_look else []
    elif num_clusters is not None:
        budgets = [num_clusters]
    if s.is_floating_point():
        k = s.size(-1)
        check_between("'num_clusters'", budgets, 1, k, "K")
    else:
        k = budgets[0] if budgets else int(s.max()) + 1
        found = [int(v) for v in s.aminmax()] if may_look else []
        check_between("clusters in an integer 's'", found, 0, k - 1, "K - 1")
    return k
