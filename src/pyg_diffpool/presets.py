"""The variants of the network that the paper measures."""

import math
from typing import Any, Literal, get_args

from pyg_diffpool import _checks
from pyg_diffpool.structure2vec import Structure2Vec

Variant = Literal["diffpool", "nolp", "det", "s2v"]
_SHARE = {1: 0.1, 2: 0.25}


def paper_clusters(max_num_nodes: int, num_levels: int = 2) -> list[int]:
    """K of each level as in section 4.2 of Ying et al. 2018.

    A quarter of the nodes before each of two levels, a tenth before a single one.

    Args:
        max_num_nodes: Nodes of the largest graph.
        num_levels: 1 or 2. (default: `2`)

    Returns:
        K of each level, at least 1, rounded down.

    Raises:
        ValueError: If `max_num_nodes` is below 1 or `num_levels` is neither 1 nor 2.

    Example:
        >>> paper_clusters(126), paper_clusters(126, num_levels=1)
        ([31, 7], [12])
    """
    if max_num_nodes < 1:
        raise ValueError(
            f"Expected 'max_num_nodes' of at least 1 (got {max_num_nodes})."
        )
    if num_levels not in _SHARE:
        raise ValueError(
            f"Expected 'num_levels' 1 or 2, as in the paper (got {num_levels}). For "
            "more pass 'num_clusters' to DiffPoolNet."
        )
    clusters = [max_num_nodes]
    for _ in range(num_levels):
        clusters.append(max(1, math.floor(clusters[-1] * _SHARE[num_levels])))
    return clusters[1:]


def paper_options(
    max_num_nodes: int, variant: Variant, num_levels: int
) -> dict[str, Any]:
    """The arguments of `DiffPoolNet` that make the variant."""
    _checks.check_choice("variant", variant, get_args(Variant))
    options: dict[str, Any] = {
        "num_clusters": paper_clusters(max_num_nodes, num_levels)
    }
    if variant == "nolp":
        options["link_weight"] = 0.0
    if variant == "det":
        options |= {"learn_assignment": False, "link_weight": 0.0}
    if variant == "s2v":
        options["gnn"] = Structure2Vec
    return options
