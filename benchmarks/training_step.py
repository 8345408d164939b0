"""Whole training steps of PyG's example model and of the same with this package.

After `examples/proteins_diff_pool.py` of PyG 2.8: two levels of 38 and 10 clusters (a
quarter of the example's 150 nodes, and a quarter of that), each with a GNN of three
`SAGE` layers of 64 channels for the embedding and one for the assignment, batch norm
after each layer, layers concatenated, a last GNN, the mean, and two linear layers. The
last GNN, over 10 clusters, is PyG's dense one on both sides.

Both sides have the same layers and widths but for one: the third layer of the
assignment GNN gives K channels there and 64 here, as PyG's `GraphSAGE` has it. Batch
norm counts padding there and does not here.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Identity, Linear, Module, ModuleList
from torch.nn.functional import cross_entropy
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.loader.dense_data_loader import collate_fn as stack
from torch_geometric.nn import MLP, DenseSAGEConv, GraphSAGE, dense_diff_pool
from torch_geometric.transforms import ToDense
from torch_geometric.utils import to_dense_adj, to_dense_batch

from benchmarks.results import Result
from benchmarks.sets import BATCH_SIZE, SPECS, SetSpec, Settings, draw
from benchmarks.timing import Budget, Call, clock, interleave
from pyg_diffpool import DiffPool, DiffPoolNet

DENSE_LIMIT = 4e9
HIDDEN = 64
CLUSTERS = (38, 10)
Output = tuple[Tensor, Tensor]  # logits [B, classes], the auxiliary losses []
Inputs = tuple[Any, ...]  # of a net
OURS, PADDING, DENSE = "pyg-diffpool", "PyG, padded per batch", "PyG, dense loader"


def measure_set(settings: Settings, spec: SetSpec, dataset: InMemoryDataset) -> Result:
    """Steps of PyG's example model by each side."""
    steps = 3 if settings.quick else spec.steps
    return measure(draw_graphs(dataset, steps, spec.steps_seed), settings)


def measure_compiled(
    settings: Settings, spec: SetSpec, dataset: InMemoryDataset
) -> Result:
    """Steps of `DiffPoolNet` as they are, and by one compiled graph for all sizes."""
    count = 1 if settings.quick else 4
    batches, net, steps = prepare_steps(spec.name, dataset, count)
    torch.compiler.reset()
    compiled: Any = torch.compile(net, fullgraph=True, dynamic=True)
    first = clock(partial(steps, compiled))
    calls = {"eager": partial(steps, net), "compiled": partial(steps, compiled)}
    samples = interleave(calls, Budget(0.0 if settings.quick else 5.0))
    methods = [{"name": name, "status": "ok", "time": t} for name, t in samples.items()]
    return {"steps": len(batches), "first_seconds": first, "methods": methods}


def draw_graphs(dataset: InMemoryDataset, steps: int | None, seed: int) -> list[Data]:
    """The graphs of so many steps, seeded; sets without features get a constant."""
    graphs = []
    for data in draw(dataset, steps and steps * BATCH_SIZE, seed):
        x = torch.ones(data.num_nodes, 1) if data.x is None else data.x.float()
        y = data.y.view(-1).clamp(min=0)
        graphs.append(Data(x=x, edge_index=data.edge_index, y=y))
    return graphs


def measure(graphs: list[Data], settings: Settings) -> Result:
    """Seconds for one run through `graphs`, by each side."""
    widths = graphs[0].num_features, int(max(data.y.max() for data in graphs)) + 1
    max_nodes = max(int(data.num_nodes or 0) for data in graphs)
    to_dense = ToDense(max_nodes)

    def padded_alike(graphs: list[Data]) -> Any:
        """All to the largest graph of all, at each access, as PyG's example does."""
        return stack([to_dense(data) for data in graphs])

    flat = DataLoader(graphs, BATCH_SIZE)
    calls: dict[str, Call] = {
        OURS: epoch(SparseNet(*widths), flat_inputs, flat),
        PADDING: epoch(DenseNet(*widths), padded_inputs, flat),
    }
    # At the peak about eight blocks of the size of the adjacency are alive.
    limit = DENSE_LIMIT / 10 if settings.quick else DENSE_LIMIT
    if 8 * 4 * BATCH_SIZE * max_nodes**2 < limit:
        loader: Any = torch.utils.data.DataLoader  # of PyG's none takes a collate_fn
        alike = loader(graphs, BATCH_SIZE, collate_fn=padded_alike)
        calls[DENSE] = epoch(DenseNet(*widths), dense_inputs, alike)
    budget = Budget(0.5, at_most=5) if settings.quick else Budget(10.0, at_most=15)
    samples = interleave(calls, budget)
    steps = -(-len(graphs) // BATCH_SIZE)
    sizes = {"graphs": len(graphs), "steps": steps, "max_nodes": max_nodes}
    methods: list[Result] = [
        {"name": name, "status": "ok", "time": samples[name]}
        if name in samples
        else {"name": name, "status": "too large", "time": None}
        for name in (OURS, PADDING, DENSE)
    ]
    return {**sizes, "methods": methods}


def prepare_steps(
    name: str, dataset: InMemoryDataset, steps: int
) -> tuple[list[Data], DiffPoolNet, Callable[[Module], None]]:
    """Mini-batches, a small net, and the steps of it, or of the same compiled, on them.

    They are what checkouts, and compiled steps, are compared by.
    """
    graphs = draw_graphs(dataset, steps, SPECS[name].steps_seed)
    batches = list(DataLoader(graphs, BATCH_SIZE))
    classes = int(max(data.y.max() for data in graphs)) + 1
    torch.manual_seed(0)
    net = DiffPoolNet(graphs[0].num_features, 64, classes, [16, 4])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def call(net: Module) -> None:
        for data in batches:
            optimizer.zero_grad()
            net_pass(net, data, data.x)
            optimizer.step()

    return batches, net, call


def net_pass(net: Module, data: Data, x: Tensor) -> dict[str, Tensor]:
    """A forward and a backward pass of a `DiffPoolNet` on the loader's mini-batch."""
    out = net(x, data.edge_index, batch=data.batch, batch_size=data.num_graphs)
    (cross_entropy(out.out, data.y) + out.auxiliary_loss).backward()
    return {"out": out.out, "auxiliary_loss": out.auxiliary_loss}


def flat_inputs(data: Data) -> Inputs:
    return data.x, data.edge_index, data.batch, data.num_graphs


def padded_inputs(data: Data) -> Inputs:
    """What `DenseNet` takes, padded to the largest graph of the mini-batch."""
    x, mask = to_dense_batch(data.x, data.batch)
    return x, to_dense_adj(data.edge_index, data.batch), mask


def dense_inputs(data: Data) -> Inputs:
    """What `DenseNet` takes, of graphs that are padded already."""
    return data.x, data.adj, data.mask


def epoch(
    net: Module, inputs: Callable[[Data], Inputs], loader: Iterable[Data]
) -> Callable[[], float]:
    """A run through the loader with steps of Adam; gives the summed loss."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def run() -> float:
        total = 0.0
        for data in loader:
            optimizer.zero_grad()
            logits, auxiliary = net(*inputs(data))
            loss = cross_entropy(logits, data.y.view(-1)) + auxiliary
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return run


class DenseGNN(Module):
    """Three dense layers with batch norm over all rows, concatenated."""

    def __init__(self, in_channels: int, out_channels: int, lin: bool = False) -> None:
        super().__init__()
        widths = [in_channels, HIDDEN, HIDDEN, out_channels]
        self.convs = ModuleList(map(DenseSAGEConv, widths[:-1], widths[1:]))
        self.norms = ModuleList(map(BatchNorm1d, widths[1:]))
        self.lin = Linear(sum(widths[1:]), out_channels) if lin else None

    def forward(self, x: Tensor, adj: Tensor, mask: Tensor | None = None) -> Tensor:
        layers = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(x, adj, mask).relu()
            x = norm(x.flatten(0, 1)).view(x.shape)
            layers.append(x)
        out = torch.cat(layers, -1)
        return out if self.lin is None else self.lin(out).relu()


class DenseNet(Module):
    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        widths = [in_channels, 3 * HIDDEN]
        self.embed = ModuleList(DenseGNN(w, HIDDEN) for w in widths)
        self.assign = ModuleList(map(DenseGNN, widths, CLUSTERS, (True, True)))
        self.last = DenseGNN(3 * HIDDEN, HIDDEN)
        self.head = MLP([3 * HIDDEN, HIDDEN, classes], norm=None)

    def forward(self, x: Tensor, adj: Tensor, mask: Tensor | None) -> Output:
        losses: list[Tensor] = []
        for embed, assign in zip(self.embed, self.assign, strict=True):
            s, z = assign(x, adj, mask), embed(x, adj, mask)
            x, adj, *both = dense_diff_pool(z, adj, s, mask)
            mask = None
            losses += both
        return self.head(self.last(x, adj).mean(1)), torch.stack(losses).sum()


class SparseNet(Module):
    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        pairs = zip((in_channels, 3 * HIDDEN), CLUSTERS, strict=True)
        self.pools = ModuleList(DiffPool(_gnn(w), _gnn(w, k)) for w, k in pairs)
        self.last = DenseGNN(3 * HIDDEN, HIDDEN)
        self.head = MLP([3 * HIDDEN, HIDDEN, classes], norm=None)

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor, batch_size: int
    ) -> Output:
        first, second = self.pools
        one = first(x, edge_index, batch=batch, batch_size=batch_size)
        two = second(one.x, one.adj, mask=one.mask)
        losses = [one.link_loss, one.entropy_loss, two.link_loss, two.entropy_loss]
        return self.head(self.last(two.x, two.adj).mean(1)), torch.stack(losses).sum()


def _gnn(in_channels: int, clusters: int = 3 * HIDDEN) -> GraphSAGE:
    look = {"act_first": True, "norm": "BatchNorm", "jk": "cat"}
    gnn = GraphSAGE(in_channels, HIDDEN, 3, clusters, **look)
    if clusters == 3 * HIDDEN:
        gnn.lin = Identity()
    return gnn
