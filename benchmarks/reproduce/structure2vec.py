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
    the last round, or of all with `jk="cat"`, comes last. Arguments are those of PyG's
    `BasicGNN`.
    """

    supports_edge_weight: Final[bool] = False
    supports_edge_attr: Final[bool] = False

    def __init__(
        self, width: int, hidden: int, num_layers: int, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(hidden, hidden, num_layers, *args, **{"jk": "last", **kwargs})
        self.in_channels, self.lin_in = width, Linear(width, hidden)
        self.convs = ModuleList([self.init_conv(hidden, hidden)] * num_layers)

    def init_conv(
        self, in_channels: int, out_channels: int, **kwargs: Any
    ) -> MessagePassing:
        """The map of the neighbours' sum, without the node itself."""
        return GINConv(Linear(in_channels, out_channels, bias=False), eps=-1, **kwargs)

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        super().reset_parameters()
        self.lin_in.reset_parameters()

    def forward(self, x: Tensor, edge_index: Adj) -> Tensor:
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
