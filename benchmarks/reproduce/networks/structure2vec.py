"""Structure2vec as a model that embeds the nodes of any graph."""

from typing import Any, Final

from torch import Tensor
from torch.nn import Linear, ModuleList
from torch_geometric.nn import GINConv
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.nn.models.basic_gnn import BasicGNN
from torch_geometric.typing import Adj


class Structure2Vec(BasicGNN):
    r"""The mean-field embeddings of Dai et al. 2016 (arXiv:1603.05629, algorithm 1).

    .. math::
        \mu_i^{(0)} = \sigma(W_1 x_i), \quad
        \mu_i^{(t)} = \sigma\Big(W_1 x_i
            + W_2 \sum_{j \in \mathcal{N}(i)} \mu_j^{(t-1)}\Big)

    All rounds share the weights; norms, if any, are each round's own. A linear map of
    the last round, or of all with `jk="cat"`, comes last.

    Args:
        in_channels: Width of the features.
        hidden_channels: Width of the embeddings.
        num_layers: Number of rounds.
        out_channels: Width of the result. (default: `None`, `hidden_channels`)
        jk: How rounds are joined, see `torch_geometric.nn.models.JumpingKnowledge`.
            (default: `"last"`)
        **kwargs: All other arguments of PyG's `BasicGNN`: `dropout`, `act`, `norm`,
            ...

    Example:
        >>> import torch
        >>> from benchmarks.reproduce.networks.structure2vec import Structure2Vec
        >>> gnn = Structure2Vec(3, 8, num_layers=2)
        >>> gnn(torch.randn(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 8])
    """

    supports_edge_weight: Final[bool] = False
    supports_edge_attr: Final[bool] = False

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int | None = None,
        *,
        jk: str | None = "last",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            hidden_channels,
            hidden_channels,
            num_layers,
            out_channels,
            jk=jk or "last",
            **kwargs,
        )
        self.in_channels = in_channels
        self.lin_in = Linear(in_channels, hidden_channels)
        shared = self.init_conv(hidden_channels, hidden_channels)
        self.convs = ModuleList([shared] * num_layers)

    def init_conv(
        self, in_channels: int, out_channels: int, **kwargs: Any
    ) -> MessagePassing:
        """The map of the neighbours' sum, without the node itself."""
        return GINConv(Linear(in_channels, out_channels, bias=False), eps=-1, **kwargs)

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        super().reset_parameters()
        self.lin_in.reset_parameters()

    def forward(
        self,
        x: Tensor,  # [N, C]
        edge_index: Adj,  # [2, E]
    ) -> Tensor:
        """Embed the nodes, `[N, out_channels]`."""
        own = self.lin_in(x)
        x = self.act(own)
        rounds = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = own + conv(x, edge_index)
            x = norm(self.act(x)) if self.act_first else self.act(norm(x))
            x = self.dropout(x)
            rounds.append(x)
        joined = self.jk(rounds) if hasattr(self, "jk") else x
        out: Tensor = self.lin(joined)
        return out
