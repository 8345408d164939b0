"""GNNs by name, for configuration files and the command line."""

import torch_geometric.nn
from torch_geometric.nn.models.basic_gnn import BasicGNN


def find_gnn(name: str) -> type[BasicGNN]:
    """Return a `BasicGNN` model of `torch_geometric.nn`.

    Raises:
        ValueError: If there is none of this name.
    """
    gnn = getattr(torch_geometric.nn, name, None)
    if not (isinstance(gnn, type) and issubclass(gnn, BasicGNN)):
        raise ValueError(
            "Expected 'gnn' to name a BasicGNN model of torch_geometric.nn, such as "
            f"'GraphSAGE', 'GCN' or 'GIN' (got '{name}')."
        )
    return gnn
