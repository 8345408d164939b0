"""DiffPool in GraphGym: import this module, then name `diffpool` in a config file.

As `model.type` it is the network :class:`~pyg_diffpool.DiffPoolNet`. Auxiliary losses
are added to any `model.loss_fun`. Settings are in the group `diffpool`.
"""

from typing import Any

from torch import Tensor
from torch.nn import Module

from pyg_diffpool._extras import require_extra

require_extra("graphgym")

from torch_geometric.data import Batch  # noqa: E402
from torch_geometric.graphgym import register  # noqa: E402
from torch_geometric.graphgym.config import cfg  # noqa: E402
from torch_geometric.graphgym.loss import compute_loss  # noqa: E402
from torch_geometric.graphgym.models.gnn import FeatureEncoder  # noqa: E402
from yacs.config import CfgNode  # noqa: E402

from pyg_diffpool.conv import find_gnn  # noqa: E402
from pyg_diffpool.models import DiffPoolNet  # noqa: E402

_pending: list[Tensor] = []  # the auxiliary loss on its way to the loss


def set_cfg_diffpool(cfg: CfgNode) -> None:
    """Add the group `diffpool` with its defaults to a configuration."""
    group = cfg.diffpool = CfgNode()
    group.num_clusters = [16, 4]  # K of each level
    group.ratio = 0.0  # ceil(ratio * n_b) clusters, at most K; 0 is K for every graph
    group.gnn = "GraphSAGE"  # a BasicGNN model of torch_geometric.nn
    group.link = "frobenius"  # or "bce"
    group.link_weight = 1.0
    group.entropy_weight = 0.1


@register.register_network("diffpool")
class DiffPoolNetwork(Module):
    """`DiffPoolNet`, which gives predictions `[B, dim_out]` and the true `y`."""

    def __init__(self, dim_in: int, dim_out: int, **_: Any) -> None:
        super().__init__()
        self.encoder, own = FeatureEncoder(dim_in), cfg.diffpool
        self.net = DiffPoolNet(
            self.encoder.dim_in,
            cfg.gnn.dim_inner,
            dim_out,
            list(own.num_clusters),
            ratio=own.ratio or None,
            num_layers=cfg.gnn.layers_mp,
            gnn=find_gnn(own.gnn),
            dropout=cfg.gnn.dropout,
            l2_normalize=cfg.gnn.l2norm,
            link=own.link,
            link_weight=own.link_weight,
            entropy_weight=own.entropy_weight,
            sync_losses=True,
        )

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:  # noqa: D102
        batch = self.encoder(batch)
        graphs = batch.x, batch.edge_index, batch.edge_weight, batch.batch
        out = self.net(*graphs, batch_size=batch.num_graphs)
        _pending[:] = [out.auxiliary_loss]
        return out.out, batch.y


def add_auxiliary_loss(pred: Tensor, true: Tensor) -> tuple[Tensor, Tensor] | None:
    """The configured loss and the auxiliary one; None where the network is another."""
    if not _pending:
        return None
    auxiliary = _pending.pop()  # hence the next call does not come back here
    loss, score = compute_loss(pred, true)
    return loss + auxiliary, score


# GraphGym takes the first loss that answers: ours asks the others.
register.loss_dict = {"diffpool": add_auxiliary_loss, **register.loss_dict}
register.register_config("diffpool", set_cfg_diffpool)
set_cfg_diffpool(cfg)
