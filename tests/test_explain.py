"""PyG's explainers on models with DiffPool levels."""

import copy
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.data import Batch, Data
from torch_geometric.explain import CaptumExplainer, Explainer, GNNExplainer
from torch_geometric.explain.algorithm import ExplainerAlgorithm
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GAT, GCN, GIN, GCNConv, GraphConv, GraphSAGE, SAGEConv

from graphs import ZOO, Sample
from pyg_diffpool import DiffPool, DiffPoolNet, DiffPoolOutput, diff_pool
from pyg_diffpool._minibatch import flat_graph
from pyg_diffpool.conv import call_gnn


class TwoLevels(Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool1 = DiffPool(GraphSAGE(3, 8, 2), GraphSAGE(3, 8, 2, out_channels=4))
        self.pool2 = DiffPool(GraphSAGE(8, 8, 1), GraphSAGE(8, 2, 1))
        self.lin = Linear(8, 2)

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None
    ) -> Tensor:
        level1 = self.pool1(x, edge_index, batch=batch)
        level2 = self.pool2(level1.x, level1.adj, mask=level1.mask)
        return self.lin(level2.x.mean(1))


class Logits(Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = DiffPoolNet(3, 8, 2, [4, 2], num_layers=2)

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None
    ) -> Tensor:
        return self.net(x, edge_index, batch=batch).out


def graph(seed: int) -> Data:
    """A part of a tree, with a red and a blue leaf that class 1 joins by an edge."""
    generator = torch.Generator().manual_seed(seed)
    n, label, share = 8 + seed % 4, seed % 2, (seed % 5) / 4
    tree = [(int(torch.randint(0, v, (), generator=generator)), v) for v in range(1, n)]
    tree += [(seed % 3, n), (4 + seed % 3, n + 1)]
    kept = torch.rand(len(tree), generator=generator) < share
    edges = [(n, n + 1)] * label + [
        e for e, keep in zip(tree, kept, strict=True) if keep
    ]
    edge_index = torch.tensor([*edges, *((b, a) for a, b in edges)]).long()
    colour = torch.tensor([0] * n + [1, 2])
    return Data(
        x=torch.eye(3)[colour],
        edge_index=edge_index.reshape(-1, 2).t(),
        y=torch.tensor([label]),
    )


GRAPHS = [graph(seed) for seed in range(40)]


@cache
def trained(kind: type[Module]) -> Module:
    torch.manual_seed(0)
    batch, model = Batch.from_data_list(GRAPHS), kind()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    loss = torch.ones(())
    while loss > 0.02:
        out = model(batch.x, batch.edge_index, batch.batch)
        loss = torch.nn.functional.cross_entropy(out, batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for _ in range(40):  # until batch norm has settled
            model(batch.x, batch.edge_index, batch.batch)
    return model.eval()


def explainer(model: Module, algorithm: ExplainerAlgorithm) -> Explainer:
    return Explainer(
        copy.deepcopy(model),
        algorithm,
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "graph",
            "return_type": "raw",
        },
    )


def gnn_explainer(epochs: int = 40) -> GNNExplainer:
    weights = {"edge_size": 0.01, "edge_ent": 0.1, "node_feat_size": 0.1}
    return GNNExplainer(epochs=epochs, lr=0.1, **weights)


def integrated_gradients() -> CaptumExplainer:
    pytest.importorskip("captum", reason="needs the extra 'explain'")
    return CaptumExplainer("IntegratedGradients", n_steps=10)


@pytest.mark.parametrize("algorithm", [gnn_explainer, integrated_gradients])
@pytest.mark.parametrize("kind", [TwoLevels, Logits])
def test_masks_for_nodes_and_edges(kind: type[Module], algorithm: type) -> None:
    explain, data = explainer(trained(kind), algorithm()), GRAPHS[29]
    explanation = explain(data.x, data.edge_index)
    assert explanation.node_mask.shape == data.x.shape
    assert explanation.edge_mask.shape == (data.num_edges,)
    assert explanation.edge_mask.isfinite().all()
    assert explanation.edge_mask.unique().numel() > 2


# Not by GNNExplainer, whose optimum depends on where it starts.
@pytest.mark.parametrize("kind", [TwoLevels, Logits])
def test_the_edge_that_decides_ranks_first_in_most_graphs(kind: type[Module]) -> None:
    explain, first = explainer(trained(kind), integrated_gradients()), []
    for data in (g for g in GRAPHS if g.y == 1 and g.num_edges >= 6):
        both_ways = explain(data.x, data.edge_index).edge_mask.view(2, -1).amax(0)
        first.append(bool(both_ways.argmax() == 0))
    assert sum(first) > 0.7 * len(first) > 5


def test_of_a_batch_one_graph_is_explained() -> None:
    batch = Batch.from_data_list(GRAPHS[:3])
    explain = explainer(trained(Logits), gnn_explainer(epochs=3))
    out = explain(batch.x, batch.edge_index, batch=batch.batch, index=1)
    inside = batch.batch[batch.edge_index[0]] == 1
    assert (out.edge_mask[inside] != 0).all()
    assert not out.edge_mask[~inside].any()
    assert not out.node_mask[batch.batch != 1].any()


def masked(model: Module, sample: Sample, mask: Tensor) -> Module:
    set_masks(model, mask, sample.edge_index, apply_sigmoid=False)
    return model


@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
def test_a_mask_acts_on_both_gnns_and_on_the_product(gnn: type[Module]) -> None:
    torch.manual_seed(0)
    sample = ZOO["undirected"]
    mask = torch.rand(sample.edge_index.size(1), dtype=torch.double)
    pool = DiffPool(gnn(3, 8, 2), gnn(3, 8, 2, out_channels=4)).double()
    masked(pool, sample, mask)
    z, s = (m(sample.x, sample.edge_index) for m in (pool.embed, pool.assign))
    expected = diff_pool(z, sample.edge_index, s, edge_weight=mask, batch=sample.batch)
    out = pool(sample.x, sample.edge_index, batch=sample.batch)
    for field in ("x", "adj", "assignment", "link_loss"):
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))


@pytest.mark.parametrize("part", ["embed", "assign"])
def test_the_gradient_comes_by_each_gnn(part: str) -> None:
    torch.manual_seed(0)
    sample = ZOO["undirected"]
    mask = torch.ones(sample.edge_index.size(1), dtype=torch.double).requires_grad_()
    pool = DiffPool(GraphSAGE(3, 8, 2), GraphSAGE(3, 4, 2)).double()
    masked(getattr(pool, part), sample, mask)
    out = pool(sample.x, sample.edge_index, batch=sample.batch)
    (grad,) = torch.autograd.grad(out.x.square().sum(), mask)
    assert (grad != 0).all()


def test_pooled_levels_know_of_no_mask() -> None:
    torch.manual_seed(0)
    sample = ZOO["undirected"]
    level1 = DiffPool(Linear(3, 8), Linear(3, 4)).double()
    out = level1(sample.x, sample.edge_index, batch=sample.batch)
    for gnn in (GraphSAGE(8, 8, 2), GCN(8, 8, 2), GAT(8, 8, 2, edge_dim=1)):
        level2 = DiffPool(gnn, GraphSAGE(8, 2, 1)).double()
        expected = level2(out.x, out.adj, mask=out.mask)
        mask = torch.rand(sample.edge_index.size(1), dtype=torch.double)
        masked(level2, sample, mask)
        torch.testing.assert_close(
            level2(out.x, out.adj, mask=out.mask).adj, expected.adj
        )
        assert all(conv.explain and conv._edge_mask is mask for conv in gnn.convs)
        clear_masks(level2)


@pytest.mark.parametrize("conv", [GCNConv, GraphConv, SAGEConv])
def test_masked_messages_on_a_weighted_graph(conv: type[Module]) -> None:
    torch.manual_seed(0)
    sample, layer = ZOO["weighted"], conv(3, 5).double()
    weight = sample.edge_weight.abs()
    mask = torch.rand(len(weight), dtype=torch.double)
    graph = flat_graph(sample.x, sample.edge_index, weight, None, sample.batch, 3)
    masked(layer, sample, mask)
    if conv is SAGEConv:
        source, target = sample.edge_index
        degree = torch.zeros(15, 1).double().index_add(0, target, weight[:, None])
        message = (weight * mask)[:, None] * sample.x[source]
        total = torch.zeros(15, 3).double().index_add(0, target, message)
        mean = total / degree.clamp(min=1)
        expected = layer.lin_l(mean) + layer.lin_r(sample.x)
    else:
        loops = sample.edge_index[0] == sample.edge_index[1]
        mask[loops] = 1  # on which GCNConv has no mask
        expected = layer(sample.x, sample.edge_index, weight)
    torch.testing.assert_close(call_gnn(layer, sample.x, graph), expected)


def test_a_mask_for_other_edges_is_refused() -> None:
    sample = ZOO["undirected"]
    pool1 = DiffPool(Linear(3, 8), Linear(3, 4)).double()
    pool2 = DiffPool(GraphSAGE(8, 8, 1), GraphSAGE(8, 2, 1)).double()

    def run() -> DiffPoolOutput:
        level1 = pool1(sample.x, sample.edge_index, batch=sample.batch)
        x, edge_index, edge_weight, batch = level1.to_sparse()
        return pool2(x, edge_index, edge_weight, batch)

    expected = run()
    mask = torch.rand(sample.edge_index.size(1), dtype=torch.double)
    masked(pool2, sample, mask)
    with pytest.raises(ValueError, match=r"layer\.explain = False"):
        run()
    clear_masks(pool2)
    for gnn in (pool2.embed, pool2.assign):
        gnn.convs[0].explain = False
    masked(pool2, sample, mask)
    torch.testing.assert_close(run().adj, expected.adj)
