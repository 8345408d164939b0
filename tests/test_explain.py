"""PyG's explainers on models with DiffPool levels."""

from functools import partial

import pytest
import torch
from torch.nn import Linear, Module
from torch.testing import assert_close
from torch_geometric.explain import CaptumExplainer, Explainer, GNNExplainer
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import (
    GAT,
    GCN,
    GIN,
    GATv2Conv,
    GCNConv,
    GraphConv,
    GraphSAGE,
    SAGEConv,
)

from graphs import ZOO, layer_arguments, sample
from modes.models import Paper, TwoLevels, arguments, make
from pyg_diffpool import DiffPool, diff_pool
from pyg_diffpool._minibatch import flat_graph
from pyg_diffpool.conv import call_gnn


class Logits(Module):
    """Of a whole model its logits alone."""

    def __init__(self, kind):
        super().__init__()
        self.model = make(kind)

    def forward(self, x, edge_index, batch=None):
        return self.model(x, edge_index, batch)[0]


GRAPHS = sample([8, 5, 9], channels=5, directed=False, seed=1).to(torch.float)


def explainer(model, algorithm):
    return Explainer(
        model,
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


def gnn_explainer(epochs=3):
    weights = {"edge_size": 0.01, "edge_ent": 0.1, "node_feat_size": 0.1}
    return GNNExplainer(epochs=epochs, lr=0.1, **weights)


def integrated_gradients():
    pytest.importorskip("captum", reason="needs the extra 'explain'")
    return CaptumExplainer("IntegratedGradients", n_steps=10)


@pytest.mark.parametrize("algorithm", [gnn_explainer, integrated_gradients])
@pytest.mark.parametrize("kind", [TwoLevels, Paper])
def test_of_a_batch_one_graph_is_explained(kind, algorithm):
    x, edge_index, batch, _ = arguments(GRAPHS)
    explain = explainer(Logits(kind).eval(), algorithm())
    out = explain(x, edge_index, batch=batch, index=1)
    inside = batch[edge_index[0]] == 1
    assert out.node_mask.shape == x.shape
    assert out.edge_mask[inside].unique().numel() > 2
    assert not out.edge_mask[~inside].any()
    assert not out.node_mask[batch != 1].any()


UNDIRECTED = ZOO["undirected"]
GIVEN = layer_arguments(UNDIRECTED)
MASK = torch.rand(UNDIRECTED.edge_index.size(1), dtype=torch.double)


def masked(model, mask=MASK, edges=UNDIRECTED.edge_index):
    set_masks(model, mask, edges, apply_sigmoid=False)
    return model


@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
def test_a_mask_acts_on_both_gnns_and_on_the_product(gnn):
    torch.manual_seed(0)
    pool = masked(DiffPool(gnn(3, 8, 2), gnn(3, 8, 2, out_channels=4)).double())
    z, s = (m(GIVEN["x"], GIVEN["adj"]) for m in (pool.embed, pool.assign))
    expected = diff_pool(**{**GIVEN, "x": z, "s": s, "edge_weight": MASK})
    out = pool(**GIVEN)
    for field in ("x", "adj", "assignment", "link_loss"):
        assert_close(getattr(out, field), getattr(expected, field))


@pytest.mark.parametrize("part", ["embed", "assign"])
def test_the_gradient_comes_by_each_gnn(part):
    torch.manual_seed(0)
    mask = torch.ones_like(MASK).requires_grad_()
    pool = DiffPool(GraphSAGE(3, 8, 2), GraphSAGE(3, 4, 2)).double()
    masked(getattr(pool, part), mask)
    (grad,) = torch.autograd.grad(pool(**GIVEN).x.square().sum(), mask)
    assert (grad != 0).all()


def lower():
    torch.manual_seed(0)
    return DiffPool(Linear(3, 8), Linear(3, 4)).double()(**GIVEN)


@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, partial(GAT, edge_dim=1)])
def test_pooled_levels_know_of_no_mask(gnn):
    out, level2 = lower(), DiffPool(gnn(8, 8, 2), GraphSAGE(8, 2, 1)).double()
    expected = level2(out.x, out.adj, mask=out.mask)
    found = masked(level2)(out.x, out.adj, mask=out.mask)
    assert_close(found.adj, expected.adj)
    convs = level2.embed.convs
    assert all(conv.explain and conv._edge_mask is MASK for conv in convs)


@pytest.mark.parametrize("conv", [GCNConv, GraphConv, SAGEConv])
def test_masked_messages_on_a_weighted_graph(conv):
    torch.manual_seed(0)
    sample, layer = ZOO["weighted"].positive, conv(3, 5).double()
    x, edges, weight = sample.x, sample.edge_index, sample.edge_weight
    mask = torch.rand(len(weight), dtype=torch.double)
    masked(layer, mask, edges)
    if conv is SAGEConv:
        degree = torch.zeros(15, 1).double().index_add(0, edges[1], weight[:, None])
        message = (weight * mask)[:, None] * x[edges[0]]
        total = torch.zeros(15, 3).double().index_add(0, edges[1], message)
        expected = layer.lin_l(total / degree.clamp(min=1)) + layer.lin_r(x)
    else:
        mask[edges[0] == edges[1]] = 1  # on loops GCNConv has no mask
        expected = layer(x, edges, weight)
    graph = flat_graph(x, edges, weight, None, sample.batch, 3)
    assert_close(call_gnn(layer, x, graph), expected)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_a_masked_edge_has_no_part_in_pooled_edge_features(reduce):
    attr = torch.rand(len(MASK), 5, dtype=torch.double)
    pool = DiffPool(GATv2Conv(3, 3, edge_dim=5).double(), edge_reduce=reduce)
    kept = torch.arange(len(attr)) % 3 > 0
    given = {**GIVEN, "s": UNDIRECTED.s, "edge_attr": attr}
    out = masked(pool, kept.double())(**given)
    clear_masks(pool)
    fewer = {**given, "adj": GIVEN["adj"][:, kept], "edge_attr": attr[kept]}
    assert_close(out.edge_attr, pool(**fewer).edge_attr)


def test_a_mask_for_other_edges_is_refused():
    given = lower().to_sparse()
    pool = DiffPool(GraphSAGE(8, 8, 1), GraphSAGE(8, 2, 1)).double()
    expected = pool(*given)
    masked(pool)
    with pytest.raises(ValueError, match=r"layer\.explain = False"):
        pool(*given)
    clear_masks(pool)
    for gnn in (pool.embed, pool.assign):
        gnn.convs[0].explain = False
    assert_close(masked(pool)(*given).adj, expected.adj)
