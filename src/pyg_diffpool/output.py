"""What pooling gives back, and the way back to the nodes."""

from dataclasses import dataclass, fields

from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.data import Batch

from pyg_diffpool import _checks, _regularizers
from pyg_diffpool._graph import batch_pointer
from pyg_diffpool._ragged import Ragged
from pyg_diffpool.padding import Flat, to_flat


@dataclass(frozen=True, repr=False)
class DiffPoolOutput:
    r"""A pooled mini-batch: every graph has become a small dense one of K clusters.

    Attributes:
        x: Cluster features, `[B, K, C]`.
        adj: Cluster adjacencies, `[B, K, K]`; `adj[b, i, j]` runs from i to j.
        mask: Which clusters exist, `[B, K]`; none of a graph without nodes.
        assignment: Shares in the clusters, 1 in sum a node, `[N, K]` or `[B, M, K]`.
        embedding: Node features that were pooled, `[N, C]` or `[B, M, C]`.
        link_loss: Link prediction loss, `[]`.
        entropy_loss: Entropy of the assignment, `[]`.
        edge_attr: Features between clusters, `[B, K, K, D]`, if the edges had any.
        gram: :math:`S^\top S` of every graph, `[B, K, K]`, in the dtype of the
            arithmetic.

    Example:
        >>> import torch
        >>> from pyg_diffpool import diff_pool
        >>> x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> s, edge_attr = torch.randn(3, 2), torch.randn(3, 5)
        >>> out = diff_pool(x, edge_index, s, edge_attr=edge_attr)
        >>> out.to_sparse().edge_weight.shape, out.to_batch().edge_attr.shape
        (torch.Size([4]), torch.Size([4, 5]))
    """

    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    mask: Tensor  # [B, K]
    assignment: Tensor  # [N, K] or [B, M, K]
    embedding: Tensor  # [N, C] or [B, M, C]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []
    edge_attr: Tensor | None = None  # [B, K, K, D]
    gram: Tensor | None = None  # [B, K, K]

    @property
    def orthogonality_loss(self) -> Tensor:
        r"""How far clusters overlap or differ in size, `[]` (Bianchi et al. 2020).

        .. math:: \frac{1}{B} \sum_b \Big\| \frac{S_b^\top S_b}{\|S_b^\top S_b\|_F}
            - \frac{I}{\sqrt{K_b}} \Big\|_F

        The orthogonality loss of `"Spectral Clustering with Graph Neural Networks for
        Graph Pooling" <https://arxiv.org/abs/1907.00481>`_ (MinCutPool). It is 0 where
        each node is in one of :math:`K_b` clusters of equal size and largest,
        :math:`\sqrt{2 - 2 / \sqrt{K_b}}`, where all nodes share one cluster.

        This and the other two are means over the graphs that have nodes, as a task's
        loss is, and :math:`K_b` counts the clusters of `mask`. They are computed when
        they are asked for, in at least float32, and can be differentiated twice.
        Nothing is exchanged between processes: `DistributedDataParallel` takes the
        mean over processes, which is that over all graphs where each has as many.
        """
        return _regularizers.orthogonality_loss(self._gram, self.mask)

    @property
    def collapse_loss(self) -> Tensor:
        r"""How unequal the clusters' sizes are, `[]` (Tsitsulin et al. 2023).

        .. math:: \frac{1}{B} \sum_b \frac{\sqrt{K_b}}{n_b}
            \Big\| \sum_{i \in b} S_i \Big\|_2 - 1

        The collapse regularisation of `"Graph Clustering with Graph Neural Networks"
        <https://arxiv.org/abs/2006.16904>`_ (DMoN): 0 where all clusters have the same
        share of the nodes, :math:`\sqrt{K_b} - 1` where one has them all. A node that
        is spread evenly over the clusters costs nothing here. See
        :attr:`orthogonality_loss` on the mean.
        """
        return _regularizers.collapse_loss(self._gram, self.mask)

    @property
    def balance_loss(self) -> Tensor:
        r"""What the entropy of the clusters' mean use lacks, `[]`; to be minimised.

        .. math:: \frac{1}{B} \sum_b \log K_b + \sum_k \bar{p}_{bk} \log \bar{p}_{bk},
            \qquad \bar{p}_b = \frac{1}{n_b} \sum_{i \in b} S_i

        It is 0 where all clusters have the same share of the nodes and
        :math:`\log K_b` where one has them all. In the sum with the mean entropy of the
        nodes of a graph it is :math:`\log K_b` less the mutual information of nodes and
        clusters (Krause et al. 2010). See :attr:`orthogonality_loss` on the mean.
        """
        return _regularizers.balance_loss(self._gram, self.mask)

    @property
    def _gram(self) -> Tensor:
        if self.gram is None:
            what = "a result with 'gram' for its regularisers"
            hint = "Take one of 'diff_pool', or pass S^T S of every graph."
            raise _checks.wrong(ValueError, what, None, hint)
        return self.gram

    def to_sparse(self) -> Flat:
        """The existing clusters in PyG's sparse form, for any `MessagePassing` layer.

        The named tuple `(x, edge_index, edge_weight, batch)`; entries of `adj` that are
        exactly 0 give no edge. Edge features come with :meth:`to_batch`.
        """
        return to_flat(self.x, self.adj, self.mask)

    def to_batch(self) -> Batch:
        """What :meth:`to_sparse` gives as a PyG `Batch`, with `ptr` and `edge_attr`."""
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
        out: A row for each graph, `[B, C]`; of words `[B, T, vocabulary_size]`.
        link_loss: Link prediction losses, summed over the levels, `[]`.
        entropy_loss: Entropies, summed over the levels, `[]`.
        auxiliary_loss: Both and the regularisers of the levels that have a weight,
            weighted, to be added to the loss of the task, `[]`.
        levels: The result of each level.
    """

    out: Tensor  # [B, ...]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []
    auxiliary_loss: Tensor  # []
    levels: tuple[DiffPoolOutput, ...]


def unpool(x: Tensor, assignment: Tensor, batch: Tensor | None = None) -> Tensor:
    r"""Bring cluster features back to the nodes, :math:`S X'`: means by their shares.

    Args:
        x: Cluster features, `[B, K, C]`.
        assignment: `DiffPoolOutput.assignment`, `[N, K]` or `[B, M, K]`.
        batch: The graph of each node of `[N, K]`, ascending. (default: `None`, one)

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
    _checks.check_alike(x=x, assignment=assignment)
    n, b, k = assignment.size(0), x.size(0), assignment.size(-1)
    if k != x.size(1):
        what = f"'assignment' to clusters of 'x', K = {x.size(1)}"
        hint = "Pass the assignment that made this 'x'."
        raise _checks.wrong(ValueError, what, f"K = {k}", hint)
    if assignment.dim() == 3:
        if n != b:
            what = f"'assignment' for B = {b} graphs"
            raise _checks.wrong(ValueError, what, n)
        return assignment @ x
    _checks.check_batch(batch, b, assignment)
    if batch is None:
        return assignment @ x[0]
    return Ragged(batch_pointer(batch, b, assignment), n).expand(assignment, x)
