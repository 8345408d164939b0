"""All checks of what users pass in, called once, at the public functions.

Shapes, types and devices are always looked at. Values (index ranges, sortedness) are
looked at on the CPU, where it costs next to nothing; on other devices the look would
wait for the device and happens only on request, as does the search for NaN: with
``check=True`` or the environment variable ``PYG_DIFFPOOL_CHECK=1``.
"""

from pyg_diffpool._checks.edge_attr import (
    check_edge_attr,
    check_edge_list,
    check_no_negative_weight,
    check_square,
)
from pyg_diffpool._checks.flat import (
    check_batch,
    check_flat,
    check_nodes,
    check_range,
    check_rows,
    check_same_graph,
)
from pyg_diffpool._checks.padded import (
    check_blocks,
    check_dense,
    check_mask,
    check_num_blocks,
    check_padded,
)
from pyg_diffpool._checks.tensors import (
    check_choice,
    check_finite,
    check_float,
    check_integer,
    check_same_device,
    check_same_dtype,
    check_unused,
    on_request,
    values_visible,
)

__all__ = [
    "check_batch",
    "check_blocks",
    "check_choice",
    "check_dense",
    "check_edge_attr",
    "check_edge_list",
    "check_finite",
    "check_flat",
    "check_float",
    "check_integer",
    "check_mask",
    "check_no_negative_weight",
    "check_nodes",
    "check_num_blocks",
    "check_padded",
    "check_range",
    "check_rows",
    "check_same_device",
    "check_same_dtype",
    "check_same_graph",
    "check_square",
    "check_unused",
    "on_request",
    "values_visible",
]
