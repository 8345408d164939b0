"""GraphGym's own way to train, with DiffPool registered by the first import."""

import logging

import torch
from torch_geometric import seed_everything
from torch_geometric.graphgym.cmd_args import parse_args
from torch_geometric.graphgym.config import cfg, dump_cfg, load_cfg, set_cfg
from torch_geometric.graphgym.logger import set_printing
from torch_geometric.graphgym.model_builder import create_model
from torch_geometric.graphgym.train import GraphGymDataModule, train

import pyg_diffpool.graphgym  # noqa: F401


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
