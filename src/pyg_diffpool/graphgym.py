"""DiffPool in GraphGym: import this module, then name `diffpool` in a config file.

- `model.type: diffpool`, the network :class:`~pyg_diffpool.DiffPoolNet`. It takes
  `gnn.dim_inner`, `gnn.layers_mp` (layers of each GNN), `gnn.dropout` and `gnn.l2norm`
  from GraphGym, all else from the group `diffpool`.
- `gnn.layer_type: diffpool`, one level as a layer of GraphGym's own network: graphs
  come out with K nodes and weighted edges, which the next level uses. GraphGym's
  other layers do not; end with these.
- `dataset.format: pyg_diffpool`, where `dataset.name` is whatever
  :func:`~pyg_diffpool.datasets.load_dataset` takes, split by `dataset.split`.

The auxiliary losses are added to the loss of any `model.loss_fun`, GraphGym's or
registered, with the weights `diffpool.link_weight` and `diffpool.entropy_weight`.

Example:
    .. code-block:: bash

        python examples/graphgym/main.py --cfg examples/graphgym/diffpool.yaml
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from pyg_diffpool._extras import require_extra

require_extra("graphgym")

from torch_geometric.data import Batch, Data, Dataset, InMemoryDataset  # noqa: E402
from torch_geometric.graphgym import register  # noqa: E402
from torch_geometric.graphgym.config import cfg  # noqa: E402
from torch_geometric.graphgym.loss import compute_loss  # noqa: E402
from torch_geometric.graphgym.models.gnn import FeatureEncoder  # noqa: E402
from torch_geometric.graphgym.models.layer import LayerConfig  # noqa: E402
from yacs.config import CfgNode  # noqa: E402

from pyg_diffpool.conv import find_gnn  # noqa: E402
from pyg_diffpool.datasets import load_dataset, stratified_split  # noqa: E402
from pyg_diffpool.datasets.inspection import read_groups  # noqa: E402
from pyg_diffpool.layer import DiffPool  # noqa: E402
from pyg_diffpool.models import DiffPoolNet  # noqa: E402

NAME = "diffpool"
_pending: list[Tensor] = []  # auxiliary losses on their way to the loss


def set_cfg_diffpool(cfg: CfgNode) -> None:
    """Add the group `diffpool` with its defaults to a configuration."""
    group = cfg.diffpool = CfgNode()
    group.num_clusters = [16, 4]  # K of each level; a layer takes the first
    group.ratio = 0.0  # ceil(ratio * n_b) clusters, at most K; 0 is K for every graph
    group.gnn = "GraphSAGE"  # a BasicGNN model of torch_geometric.nn
    group.link = "frobenius"  # or "bce"
    group.link_weight = 1.0
    group.entropy_weight = 0.1
    group.feature_cardinalities = []  # of an integer x; set by our loader


class DiffPoolNetwork(Module):
    """`DiffPoolNet` as GraphGym builds and calls a network.

    Args:
        dim_in: Width of the node features.
        dim_out: Width of the result.
    """

    def __init__(self, dim_in: int, dim_out: int, **_: Any) -> None:
        super().__init__()
        self.encoder = FeatureEncoder(dim_in)
        own = cfg.diffpool
        self.net = DiffPoolNet(
            list(own.feature_cardinalities) or self.encoder.dim_in,
            cfg.gnn.dim_inner,
            dim_out,
            list(own.num_clusters),
            ratio=own.ratio or None,
            num_layers=cfg.gnn.layers_mp,
            gnn=find_gnn(own.gnn),
            dropout=cfg.gnn.dropout,
            l2_normalize=cfg.gnn.l2norm,
            link=own.link,
            sync_losses=True,
        )

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Predictions `[B, dim_out]` and the true `y`."""
        batch = self.encoder(batch)
        weight = batch.edge_weight if "edge_weight" in batch else None
        where = {"batch": batch.batch, "batch_size": batch.num_graphs}
        out = self.net(batch.x, batch.edge_index, weight, **where)
        _pending.clear()
        _keep(out.link_loss, out.entropy_loss)
        return out.out, batch.y


class DiffPoolLayer(Module):
    """A level of `DiffPool` that turns a mini-batch into the pooled one, in place.

    Args:
        layer_config: GraphGym's: widths.
        num_clusters: K. (default: the first of `diffpool.num_clusters`)
    """

    def __init__(
        self, layer_config: LayerConfig, num_clusters: int | None = None, **_: Any
    ) -> None:
        super().__init__()
        own, dim_in = cfg.diffpool, layer_config.dim_in
        gnn, hidden = find_gnn(own.gnn), layer_config.dim_out
        k = own.num_clusters[0] if num_clusters is None else num_clusters
        self.model = DiffPool(
            gnn(dim_in, hidden, 1),
            gnn(dim_in, hidden, 2, out_channels=k),
            own.ratio or None,
            link=own.link,
            sync_losses=True,
        )

    def forward(self, batch: Batch) -> Batch:
        """Pool: `x`, `edge_index`, `edge_weight`, `batch` and `ptr` are replaced."""
        first = "diffpool_level" not in batch
        weight = batch.edge_weight if "edge_weight" in batch else None
        b = batch.num_graphs
        out = self.model(batch.x, batch.edge_index, weight, batch.batch, batch_size=b)
        batch.update(out.to_batch())
        batch.diffpool_level = 1 if first else batch.diffpool_level + 1
        if first:
            _pending.clear()
        _keep(out.link_loss, out.entropy_loss)
        return batch


def _keep(link_loss: Tensor, entropy_loss: Tensor) -> None:
    own = cfg.diffpool
    _pending.append(own.link_weight * link_loss + own.entropy_weight * entropy_loss)


def add_auxiliary_losses(pred: Tensor, true: Tensor) -> tuple[Tensor, Tensor] | None:
    """The configured loss and the auxiliary ones; None where no level has run."""
    if not _pending:
        return None
    auxiliary = torch.stack(_pending).sum()
    _pending.clear()  # hence this call does not come back here
    loss, score = compute_loss(pred, true)
    return loss + auxiliary, score


_KEPT = ("x", "edge_index", "edge_weight", "y")


class _Graphs(InMemoryDataset):
    """Graphs as GraphGym wants them: transformed, collated, with their split."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        graphs = [Data(**{k: g[k] for k in _KEPT if k in g}) for g in dataset]
        self.data, self.slices = self.collate(graphs)
        y, groups = self._data.y.view(-1), read_groups(dataset)
        split = stratified_split(y, cfg.dataset.split, cfg.seed, groups)
        for part in ("train", "val", "test"):
            name, indices = f"{part}_graph_index", getattr(split, part)
            self._data[name] = indices
            self.slices[name] = torch.tensor([0, indices.numel()])


def load(format: str, name: str, dataset_dir: str) -> Dataset | None:  # noqa: A002
    """Load `dataset.name` where `dataset.format` is `pyg_diffpool`."""
    if format != "pyg_diffpool":
        return None
    dataset = load_dataset(name, dataset_dir)
    cfg.diffpool.feature_cardinalities = list(
        getattr(dataset, "feature_cardinalities", [])
    )
    return _Graphs(dataset)


def _register(add: Callable[..., None], known: dict[str, Any], module: Any) -> None:
    """Register, and once more after a reload; a name of somebody else's is an error."""
    if getattr(known.get(NAME), "__module__", None) == __name__:
        del known[NAME]
    add(NAME, module)


_register(register.register_config, register.config_dict, set_cfg_diffpool)
_register(register.register_layer, register.layer_dict, DiffPoolLayer)
_register(register.register_network, register.network_dict, DiffPoolNetwork)
_register(register.register_loader, register.loader_dict, load)
_register(register.register_loss, register.loss_dict, add_auxiliary_losses)
# The first loss that answers is taken: ours asks the others.
register.loss_dict.update(
    {k: register.loss_dict.pop(k) for k in [*register.loss_dict] if k != NAME}
)
if NAME not in cfg:
    set_cfg_diffpool(cfg)
