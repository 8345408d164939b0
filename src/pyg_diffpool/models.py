"""Levels stacked, with a classifier: the architecture of the paper."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn import MLP, BatchNorm, GraphSAGE
from torch_geometric.nn.inits import reset
from torch_geometric.nn.models.basic_gnn import BasicGNN
from torch_geometric.typing import Adj

from pyg_diffpool import _checks, _modes
from pyg_diffpool._checks import (
    optional_number,
    positive_number,
    whole_number,
    wrong,
)
from pyg_diffpool._given_clusters import given_levels
from pyg_diffpool._graph import batch_pointer
from pyg_diffpool._minibatch import padded_graph
from pyg_diffpool.conv import call_gnn
from pyg_diffpool.encoder import ColumnEmbedding
from pyg_diffpool.layer import DiffPool
from pyg_diffpool.operator import Backend, EdgeReduce, Link, Normalize, PooledAdj
from pyg_diffpool.output import DiffPoolNetOutput, DiffPoolOutput
from pyg_diffpool.readout import readout

Variant = Literal["diffpool", "nolp", "det"]
_PAPER = {"entropy_weight": 1.0, "balance_weight": 0.0, "pooled_adj": "raw"}


class DiffPoolNet(Module):
    r"""Hierarchical graph classifier or regressor (Ying et al. 2018, section 3).

    Each level embeds with one GNN and assigns with another; a last GNN runs on the
    graph that is left. Every GNN has batch norm over real nodes after each layer and
    concatenates its layers before a linear map. The maximum over the nodes is read out
    of every level's embedding and of the last one; an MLP maps their concatenation.

    Args:
        in_channels: Width of float node features; or, for integer ones `[N, F]`, how
            many values each column may take: an embedding a column, summed, is learned.
        hidden_channels: Width of every embedding.
        out_channels: Width of the result, such as the number of classes.
        num_clusters: K of each level from the first on; a single number is one level.
        ratio: Gives a graph `ceil(ratio * n_b)` clusters, at most K. (default: `None`)
        num_layers: Layers of each GNN. (default: `3`)
        gnn: The class of the GNNs, one of PyG's `BasicGNN` models whose layers can
            use edge weights or features. (default: `torch_geometric.nn.GraphSAGE`)
        edge_dim: Channels of edge features for which the layers of a `gnn` such as
            `GAT` are built, D or D + 1, see :class:`DiffPool`. (default: `None`)
        dropout: Probability of dropout in GNNs and MLP. (default: `0.0`)
        l2_normalize: Whether each `GraphSAGE` layer gives unit rows. (default: `True`)
        link: See :func:`diff_pool`. (default: `"frobenius"`)
        normalize: See :func:`diff_pool`. (default: `True`)
        link_weight: Weight of the link loss in `auxiliary_loss`. (default: `1.0`)
        entropy_weight: Weight of the entropy in it. (default: `0.1`)
        orthogonality_weight: Weight of `DiffPoolOutput.orthogonality_loss`, summed over
            the levels, in it. (default: `0.0`)
        collapse_weight: Likewise, of `collapse_loss`. (default: `0.0`)
        balance_weight: Likewise, of `balance_loss`. (default: `0.1`)
        learn_assignment: Else `forward` takes given `clusters`. (default: `True`)
        backend: See :func:`diff_pool`. (default: `"auto"`)
        sync_losses: See :func:`diff_pool`. (default: `False`)
        edge_reduce: See :func:`diff_pool`. (default: `"sum"`)
        pooled_adj: See :func:`diff_pool`. (default: `"normalized"`)

    Raises:
        TypeError: If a number of channels, layers or clusters is not whole, or `gnn` is
            no class of such models.
        ValueError: If one is below 1, `num_clusters` is empty, `ratio` is not in
            (0, 1], or the layers of `gnn` take no `edge_dim`.

    Example:
        >>> import torch
        >>> from pyg_diffpool import DiffPoolNet
        >>> net = DiffPoolNet(8, 16, 3, num_clusters=[4, 2])
        >>> x, batch = torch.randn(5, 8), torch.tensor([0, 0, 0, 1, 1])
        >>> edge_index = torch.tensor([[0, 1, 3, 4], [1, 0, 4, 3]])
        >>> net(x, edge_index, batch=batch).out.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        hidden_channels: int,
        out_channels: int,
        num_clusters: int | Sequence[int],
        *,
        ratio: float | None = None,
        num_layers: int = 3,
        gnn: type[BasicGNN] = GraphSAGE,
        edge_dim: int | None = None,
        dropout: float = 0.0,
        l2_normalize: bool = True,
        link: Link = "frobenius",
        normalize: Normalize = True,
        link_weight: float = 1.0,
        entropy_weight: float = 0.1,
        orthogonality_weight: float = 0.0,
        collapse_weight: float = 0.0,
        balance_weight: float = 0.1,
        learn_assignment: bool = True,
        backend: Backend = "auto",
        sync_losses: bool = False,
        edge_reduce: EdgeReduce = "sum",
        pooled_adj: PooledAdj = "normalized",
    ) -> None:
        super().__init__()
        hidden = positive_number("hidden_channels", hidden_channels)
        self.num_clusters = cluster_numbers(num_clusters)
        self.link_weight, self.entropy_weight = link_weight, entropy_weight
        self.regularizer_weights = {
            "orthogonality_loss": orthogonality_weight,
            "collapse_loss": collapse_weight,
            "balance_loss": balance_weight,
        }
        self.encoder, self.width = _encoder(in_channels, hidden)
        own = {"dropout": dropout, "normalize": l2_normalize, "edge_dim": edge_dim}
        make = _maker(gnn, hidden, positive_number("num_layers", num_layers), own)
        options: dict[str, Any] = {"link": link, "normalize": normalize}
        options |= {"sync_losses": sync_losses, "edge_reduce": edge_reduce}
        options["pooled_adj"] = pooled_adj
        self.pools, width = ModuleList(), self.width
        for k in self.num_clusters:
            gnns = make(width, hidden), make(width, k) if learn_assignment else None
            self.pools.append(DiffPool(*gnns, ratio, backend=backend, **options))
            width, backend = hidden, "auto"  # pooled graphs are dense
        self.last = make(hidden, hidden)
        out = positive_number("out_channels", out_channels)
        widths = [hidden * (len(self.pools) + 1), hidden, out]
        self.mlp = MLP(widths, norm=None, dropout=dropout)

    @classmethod
    def paper(
        cls,
        in_channels: int | Sequence[int],
        out_channels: int,
        max_num_nodes: int,
        *,
        variant: Variant = "diffpool",
        num_levels: int = 2,
        hidden_channels: int = 64,
        **options: Any,
    ) -> "DiffPoolNet":
        """A variant of Ying et al. 2018, section 4; arguments are those of the class.

        K is a quarter of the nodes of the largest graph, `max_num_nodes`, and of that
        at a second level, or a tenth at a single one. The paper tells no widths. Both
        losses have weight 1, and the pooled adjacency is raw. `"nolp"` has no link
        loss, `"det"` takes given clusters. Options replace the variant's.

        Raises:
            ValueError: If a choice does not exist or `max_num_nodes` is below 1.

        Example:
            >>> DiffPoolNet.paper(8, 3, max_num_nodes=126, variant="nolp").num_clusters
            [31, 7]
        """
        _checks.check_choice("variant", variant, get_args(Variant))
        n = whole_number("max_num_nodes", max_num_nodes)
        clusters = {1: [n // 10], 2: [n // 4, n // 16]}.get(num_levels)
        if clusters is None or n < 1:
            what = "'max_num_nodes' of at least 1 and 'num_levels' 1 or 2"
            remedy = "For other sizes, pass 'num_clusters' to the class."
            raise wrong(ValueError, what, f"{n} and {num_levels}", remedy)
        options.setdefault("num_clusters", [max(1, k) for k in clusters])
        options.setdefault("learn_assignment", variant != "det")
        options.setdefault("link_weight", float(variant == "diffpool"))
        options = {**_PAPER, **options}
        return cls(in_channels, hidden_channels, out_channels, **options)

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        for part in (self.encoder, self.pools, self.last, self.mlp):
            reset(part)

    def forward(
        self,
        x: Tensor,  # [N, C], or [N, F] integer
        adj: Adj,  # [2, E] or sparse [N, N]
        edge_weight: Tensor | None = None,  # [E]
        batch: Tensor | None = None,  # [N]
        batch_size: int | None = None,
        clusters: Tensor | None = None,  # [N, L]
        edge_attr: Tensor | None = None,  # [E, D]
    ) -> DiffPoolNetOutput:
        """Run on a sparse mini-batch; arguments and errors as in :func:`diff_pool`.

        `x` has the dtype of the network, or is integer if `in_channels` is a sequence.
        With `learn_assignment=False`, `clusters` `[N, L]` are the cluster of each node
        at each of L levels, int64; nodes in one stay together.
        """
        x = x if self.encoder is None else self.encoder(x)
        batch_size = optional_number("batch_size", batch_size)
        self._check(x, batch, batch_size)
        b = batch_pointer(batch, batch_size, x).numel() - 1
        if (self.pools[0].assign is None) == (clusters is None):
            what = "'clusters' with 'learn_assignment=False' and only then"
            raise wrong(ValueError, what, type(clusters).__name__)
        given: list[Any] = [(None, None, None)] * len(self.pools)
        if clusters is not None:
            given = given_levels(clusters, x, batch, b, self.num_clusters)
        edges = {"edge_weight": edge_weight, "edge_attr": edge_attr}
        where: dict[str, Any] = {"batch": batch, "batch_size": b}
        levels, read = [], []
        for pool, (s, k, exists) in zip(self.pools, given, strict=True):
            top = pool(x, adj, s=s, num_clusters=k, **edges, **where)
            levels.append(top)
            read.append(readout(top.embedding, **where))
            x, adj, edges = top.x, top.adj, {"edge_attr": top.edge_attr}
            where = {"mask": top.mask if exists is None else exists}
        graph = padded_graph(x, adj, **where, **edges)
        read.append(readout(call_gnn(self.last, x, graph), **where))
        return self._output(self.mlp(torch.cat(read, -1)), tuple(levels))

    def _output(
        self, out: Tensor, levels: tuple[DiffPoolOutput, ...]
    ) -> DiffPoolNetOutput:
        """With the losses of all levels."""
        link, entropy = (_over(levels, f"{n}_loss") for n in ("link", "entropy"))
        auxiliary = self.link_weight * link + self.entropy_weight * entropy
        for name, weight in self.regularizer_weights.items():
            if weight:
                auxiliary = auxiliary + weight * _over(levels, name)
        return DiffPoolNetOutput(out, link, entropy, auxiliary, levels)

    def _check(self, x: Tensor, batch: Tensor | None, batch_size: int | None) -> None:
        _checks.check_nodes(x, batch, batch_size)
        width = x.size(1) if self.width == -1 else self.width
        _checks.check_shape("'x'", x.shape, "[N, in_channels]", ("N", width))
        dtype = self.mlp.lins[0].weight.dtype
        if x.dtype != dtype and not _modes.is_autocast(x.device.type):
            what = f"'x' in {dtype}, the dtype of the model"
            remedy = f"Cast it with 'x.to({dtype})' or the model with '.to({x.dtype})'."
            raise wrong(TypeError, what, x.dtype, remedy)


def _over(levels: Sequence[DiffPoolOutput], name: str) -> Tensor:
    """A loss, summed over the levels, `[]`."""
    return torch.stack([getattr(level, name) for level in levels]).sum()


def _encoder(
    in_channels: int | Sequence[int], hidden: int
) -> tuple[ColumnEmbedding | None, int]:
    """What embeds integer features, if there are any, and the width of level 1."""
    columns: Any = in_channels
    if np.ndim(columns):
        return ColumnEmbedding(columns, hidden), hidden
    return None, whole_number("in_channels", columns)


def _maker(
    gnn: type[BasicGNN], hidden: int, num_layers: int, own: dict[str, Any]
) -> Callable[[int, int], BasicGNN]:
    """Makes a GNN from its channels in and out."""
    if not (isinstance(gnn, type) and issubclass(gnn, BasicGNN)):
        what = "'gnn' to be a class of PyG's BasicGNN models"
        raise wrong(TypeError, what, repr(gnn), "Take torch_geometric.nn.GCN, GIN, ...")
    if own["edge_dim"] is None:
        del own["edge_dim"]
    elif not gnn.supports_edge_attr:
        what = "a 'gnn' with layers for edge features beside 'edge_dim'"
        raise wrong(ValueError, what, gnn.__name__, "Take GAT.")
    if gnn is not GraphSAGE:
        del own["normalize"]
    own |= {"norm": NodeBatchNorm(hidden), "act_first": True, "jk": "cat"}
    return lambda width, out: gnn(width, hidden, num_layers, out, **own)


def cluster_numbers(num_clusters: int | Sequence[int]) -> list[int]:
    """K of each level, checked."""
    several: Any = num_clusters if np.ndim(num_clusters) else [num_clusters]
    clusters = [whole_number("num_clusters", k) for k in several]
    if not clusters or min(clusters) < 1:
        what = "'num_clusters' with one number of at least 1 for each level"
        raise wrong(ValueError, what, num_clusters)
    return clusters


class NodeBatchNorm(BatchNorm):
    """PyG's, for single nodes too; in evaluation it never looks at their number."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, allow_single_element=True)

    def forward(self, x: Tensor) -> Tensor:
        """By the running statistics for a single row."""
        out: Tensor = super().forward(x) if self.training else self.module(x)
        return out
