"""One of the processes of test_gradients.py: its losses and DDP's gradients, saved."""

import itertools
import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GraphSAGE

from pyg_diffpool import DiffPool

CASES = [
    (link, normalize, sync)
    for link, normalize in itertools.product(
        ["frobenius", "bce"], [True, False, "padded"]
    )
    for sync in (True, False)
]
DEALS = [[0], [1, 2, 3, 4]]  # which graphs each of two processes gets
SIZES = [9, 2, 5, 1, 7]


class Net(nn.Module):
    """Two levels without norms; the loss is a sum over graphs, and both losses."""

    def __init__(self, link: str, normalize: bool | str, sync: bool) -> None:
        super().__init__()
        options = {"link": link, "normalize": normalize, "sync_losses": sync}
        self.pool1 = DiffPool(
            GraphSAGE(3, 6, 2),
            GraphSAGE(3, 6, 1, out_channels=4),
            backend="padded",  # where "bce" is not random
            **options,
        )
        self.pool2 = DiffPool(GraphSAGE(6, 6, 1), GraphSAGE(6, 2, 1), **options)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        out = self.pool1(batch.x, batch.edge_index, batch=batch.batch)
        top = self.pool2(out.x, out.adj, mask=out.mask)
        losses = [out.link_loss, out.entropy_loss, top.link_loss, top.entropy_loss]
        return top.x.square().sum(), torch.stack(losses)


def graphs() -> list[Data]:
    generator = torch.Generator().manual_seed(1)
    options = {"generator": generator, "dtype": torch.double}
    out = []
    for n in SIZES:
        dense = torch.rand(n, n, generator=generator) < 0.4
        out.append(Data(torch.randn(n, 3, **options), dense.nonzero().t()))
    return out


def run(
    case: tuple[str, bool | str, bool], deal: list[int], ranks: int
) -> list[Tensor]:
    """The four losses and the gradients of a training step."""
    torch.manual_seed(0)
    net: nn.Module = Net(*case).double()
    step = DistributedDataParallel(net) if ranks > 1 else net
    task, losses = step(Batch.from_data_list([graphs()[i] for i in deal]))
    weights = torch.tensor([1.0, 0.3, 2.0, 0.7], dtype=torch.double)
    (ranks * task / len(SIZES) + (weights * losses).sum()).backward()
    with torch.no_grad():  # a process that evaluates alone waits for nobody
        if ranks == 1 or dist.get_rank() == 0:
            net(Batch.from_data_list(graphs()))
    return [losses.detach(), *(p.grad for p in net.parameters() if p.grad is not None)]


if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group(
        "gloo", f"file://{folder}/meeting", rank=rank, world_size=len(DEALS)
    )
    torch.save(
        [run(case, DEALS[rank], len(DEALS)) for case in CASES], f"{folder}/{rank}.pt"
    )
    dist.destroy_process_group()
