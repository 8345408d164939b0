"""This package: the paper's variants, and DiffPool with a random assignment."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from benchmarks.reproduce.graph_store import GraphBatch
from benchmarks.reproduce.networks.shape import Shape
from pyg_diffpool import DiffPoolNet
from pyg_diffpool.models import Variant


class DiffPoolNetwork(Module):
    """A variant of the paper, with the set's K."""

    def __init__(
        self,
        shape: Shape,
        variant: Variant = "diffpool",
        gnn: type[BasicGNN] = GraphSAGE,
    ) -> None:
        super().__init__()
        training = shape.training
        options: dict[str, Any] = {"entropy_weight": training.entropy_weight}
        if variant == "diffpool":
            options["link_weight"] = training.link_weight
        self.net = DiffPoolNet.paper(
            shape.in_channels,
            shape.classes,
            max_num_nodes=1,  # K is given below
            variant=variant,
            hidden_channels=training.hidden,
            num_clusters=training.clusters,
            num_layers=training.layers,
            dropout=training.dropout,
            gnn=gnn,
            **options,
        )

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits and auxiliary losses."""
        given: dict[str, Tensor | None] = {}
        if self.net.pools[0].assign is None:
            given["clusters"] = batch.clusters
        out = self.net(
            batch.x,
            batch.edge_index,
            batch=batch.batch,
            batch_size=batch.num_graphs,
            **given,
        )
        return out.out, out.auxiliary_loss


class RandomDiffPool(DiffPoolNetwork):
    """DiffPool whose assignment is noise, as in Mesquita et al. 2020.

    Logits are standard normal: drawn anew in each training pass, from one seed in
    evaluation. There is nothing that auxiliary losses could train.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.net.link_weight = self.net.entropy_weight = 0.0
        for pool, k in zip(self.net.pools, shape.training.clusters, strict=True):
            pool.assign = NormalLogits(k)


class NormalLogits(Module):
    """Standard normal logits for each node."""

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = num_clusters

    def forward(self, x: Tensor) -> Tensor:
        """`[N, K]`."""
        random = None if self.training else torch.Generator().manual_seed(0)
        return torch.randn(x.size(0), self.num_clusters, generator=random)
