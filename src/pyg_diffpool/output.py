"""What pooling gives back, and the way back to the nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.data import Batch

from pyg_diffpool import _checks
from pyg_diffpool.ops.ragged import expand
from pyg_diffpool.padding import Flat, batch_pointer, to_flat


@dataclass(frozen=True, repr=False)
class DiffPoolOutput:
    """A pooled mini-batch: every graph has become a small dense one of K clusters.

    Attributes:
        x: Cluster features, `[B, K, C]`.
        adj: Cluster adjacencies, `[B, K, K]`; `adj[b, i, j]` runs from i to j.
        mask: Which clusters exist, `[B, K]`, boolean: those within the budget of
            their graph; none of a graph without nodes.
        assignment: Share of each node in each cluster, `[N, K]` for sparse input and
            `[B, M, K]` for padded input; rows of real nodes sum to 1.
        embedding: Node features that were pooled, those of the embedding GNN; shaped
            like `assignment`, with C in place of K.
        link_loss: Link prediction loss, `[]`.
        entropy_loss: Entropy of the assignment, `[]`.
        edge_attr: Features between clusters, `[B, K, K, D]`, as `adj` from i to j;
            `None` where the edges had none.
    """

    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    mask: Tensor  # [B, K]
    assignment: Tensor  # [N, K] or [B, M, K]
    embedding: Tensor  # [N, C] or [B, M, C]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []
    edge_attr: Tensor | None = None  # [B, K, K, D]

    def to_sparse(self) -> Flat:
        """The pooled mini-batch in PyG's sparse form, for any `MessagePassing` layer.

        Returns:
            The named tuple `(x, edge_index, edge_weight, batch)` over the existing
            clusters; entries of `adj` that are exactly 0 give no edge. Edge features
            come with :meth:`to_batch`.

        Example:
            >>> import torch
            >>> from pyg_diffpool import diff_pool
            >>> x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 2], [1, 2, 0]])
            >>> out = diff_pool(x, edge_index, torch.randn(3, 2))
            >>> out
            DiffPoolOutput(x=[1, 2, 8], adj=[1, 2, 2], mask=[1, 2], assignment=[3, 2], \
embedding=[3, 8], link_loss=[], entropy_loss=[])
            >>> x, edge_index, edge_weight, batch = out.to_sparse()
            >>> x.shape, edge_weight.shape
            (torch.Size([2, 8]), torch.Size([4]))
        """
        return to_flat(self.x, self.adj, self.mask)

    def to_batch(self) -> Batch:
        """The pooled mini-batch as PyG's own object, edge features included.

        Returns:
            A `torch_geometric.data.Batch` with what :meth:`to_sparse` gives, `ptr`,
            and `edge_attr` `[E, D]` if there are edge features.

        Example:
            >>> import torch
            >>> from pyg_diffpool import diff_pool
            >>> x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 2], [1, 2, 0]])
            >>> edge_attr = torch.randn(3, 5)
            >>> out = diff_pool(x, edge_index, torch.randn(3, 2), edge_attr=edge_attr)
            >>> out.to_batch().edge_attr.shape
            torch.Size([4, 5])
        """
        flat = self.to_sparse()
        out = Batch(**flat._asdict(), ptr=pad(self.mask.sum(1).cumsum(0), (1, 0)))
        if self.edge_attr is not None:
            both = self.mask.unsqueeze(1) & self.mask.unsqueeze(2)
            out.edge_attr = self.edge_attr[(self.adj != 0) & both]
        return out

    def __repr__(self) -> str:
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        shapes = (f"{name}={list(t.shape)}" for name, t in named if t is not None)
        return f"{type(self).__name__}({', '.join(shapes)})"


@dataclass(frozen=True)
class DiffPoolNetOutput:
    """What the networks of this package give.

    Attributes:
        out: One row for each graph, `[B, out_channels]`; of `DiffPoolCode2`
            `[B, T, vocabulary_size]`.
        link_loss: Link prediction losses of all levels summed, `[]`.
        entropy_loss: Entropies of all levels summed, `[]`.
        auxiliary_loss: Both, weighted as the network was told; to be added to the
            loss of the task, `[]`.
        levels: The result of each level.
    """

    out: Tensor  # [B, ...]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []
    auxiliary_loss: Tensor  # []
    levels: tuple[DiffPoolOutput, ...]

    @classmethod
    def of(
        cls,
        out: Tensor,  # [B, ...]
        levels: Sequence[DiffPoolOutput],
        link_weight: float,
        entropy_weight: float,
    ) -> "DiffPoolNetOutput":
        """Sum the losses of the levels."""
        link = torch.stack([level.link_loss for level in levels]).sum()
        entropy = torch.stack([level.entropy_loss for level in levels]).sum()
        auxiliary = link_weight * link + entropy_weight * entropy
        return cls(out, link, entropy, auxiliary, tuple(levels))


def unpool(
    x: Tensor,  # [B, K, C]
    assignment: Tensor,  # [N, K] or [B, M, K]
    batch: Tensor | None = None,  # [N]
) -> Tensor:
    r"""Bring cluster features back to the nodes, :math:`S X'`.

    Each node receives the mean of its clusters' features, weighted by its shares in
    them.

    Args:
        x: Cluster features, `[B, K, C]`.
        assignment: `DiffPoolOutput.assignment`, `[N, K]` or `[B, M, K]`.
        batch: The graph of each node, `[N]`, ascending, for a sparse `assignment`;
            `None` is a single graph. (default: `None`)

    Returns:
        Node features, `[N, C]` or `[B, M, C]`.

    Raises:
        TypeError: If a dtype does not fit.
        ValueError: If the shapes do not fit or `batch` does not ascend.

    Example:
        >>> import torch
        >>> from pyg_diffpool import unpool
        >>> clusters = torch.tensor([[[1.0], [3.0]]])
        >>> unpool(clusters, torch.tensor([[1.0, 0.0], [0.5, 0.5]])).flatten()
        tensor([1., 2.])
    """
    _checks.check_float("x", x, (3,))
    _checks.check_float("assignment", assignment, (2, 3))
    _checks.check_same_device(x=x, assignment=assignment, batch=batch)
    _checks.check_same_dtype(x=x, assignment=assignment)
    if assignment.size(-1) != x.size(1):
        raise ValueError(
            f"Expected 'assignment' to clusters of 'x', K = {x.size(1)} (got K = "
            f"{assignment.size(-1)}). Pass the assignment that made this 'x'."
        )
    if assignment.dim() == 3:
        if assignment.size(0) != x.size(0):
            raise ValueError(
                f"Expected 'assignment' for B = {x.size(0)} graphs (got "
                f"{assignment.size(0)})."
            )
        return assignment @ x
    n, b = assignment.size(0), x.size(0)
    _checks.check_batch(batch, b, n, _checks.values_visible(x, check=False))
    return expand(assignment, x, batch_pointer(batch, b, assignment))
