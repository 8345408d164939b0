"""GraphGym's own way to train, with DiffPool registered by the first import."""

import logging

import torch
from torch.utils.data import random_split
from torch_geometric import seed_everything
from torch_geometric.datasets import TUDataset
from torch_geometric.graphgym.cmd_args import parse_args
from torch_geometric.graphgym.config import cfg, dump_cfg, load_cfg, set_cfg
from torch_geometric.graphgym.loader import set_dataset_attr
from torch_geometric.graphgym.logger import set_printing
from torch_geometric.graphgym.model_builder import create_model
from torch_geometric.graphgym.register import register_loader
from torch_geometric.graphgym.train import GraphGymDataModule, train

import pyg_diffpool.graphgym  # noqa: F401


@register_loader("tu_split")
def load_split(format: str, name: str, folder: str) -> TUDataset | None:  # noqa: A002
    """A TU data set, split by `dataset.split`, which GraphGym's own loader leaves."""
    if format != "tu_split":
        return None
    dataset = TUDataset(folder, name)
    parts = random_split(range(len(dataset)), cfg.dataset.split)
    for part, split in zip(("train", "val", "test"), parts, strict=True):
        indices = torch.tensor(split.indices)
        set_dataset_attr(dataset, f"{part}_graph_index", indices, len(indices))
    return dataset


def main() -> None:
    """Train as a config file says."""
    args = parse_args()
    set_cfg(cfg)
    load_cfg(cfg, args)
    torch.set_num_threads(cfg.num_threads)
    dump_cfg(cfg)
    set_printing()
    seed_everything(cfg.seed)
    data = GraphGymDataModule()
    model = create_model()
    logging.info(model)
    cfg.params = sum(p.numel() for p in model.parameters())
    train(model, data)


if __name__ == "__main__":
    main()
