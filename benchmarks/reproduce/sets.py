"""TU sets with the features that all methods see."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.datasets import TUDataset

from benchmarks.reproduce.features import with_features
from benchmarks.reproduce.graph_store import GraphStore
from pyg_diffpool.datasets import NestedClusters, cache_folder
from pyg_diffpool.datasets.features import Standardize


class AbsentSetError(FileNotFoundError):
    """A set is not there; the text says how to get it."""


def load_store(name: str, root: Path | None, clusters: tuple[int, ...]) -> GraphStore:
    """All graphs of a set, none dropped, with the features of `with_features`.

    Args:
        name: As `TUDataset` has it.
        root: Folder with `NAME/raw`; `None` is `TUDataset`'s download to the cache.
        clusters: K of each level of given clusters; none are made if it is empty.

    Raises:
        AbsentSetError: If the set is neither there nor to be downloaded.
    """
    dataset = _load(name, root)
    graphs = [with_features(data) for data in dataset]
    if clusters:
        cut = NestedClusters(clusters)
        graphs = [cut(graph) for graph in graphs]
    return GraphStore.of(graphs)


def standardized(
    store: GraphStore,
    train: Tensor,  # [B']
) -> GraphStore:
    """The store with features standardised over the training graphs."""
    fitted = Standardize.fit([Data(x=store.node_rows(train))])
    return replace(store, x=fitted(Data(x=store.x)).x)


def _load(name: str, root: Path | None) -> TUDataset:
    here = cache_folder() if root is None else root
    if root is not None and not (root / name / "raw").is_dir():
        raise AbsentSetError(
            f"Expected '{name}' in {root / name / 'raw'} (got no such folder). Unpack "
            f"https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip there, or leave "
            "'--data' out, which downloads it."
        )
    try:
        return TUDataset(str(here), name, use_node_attr=True)
    except Exception as error:
        raise AbsentSetError(
            f"Expected to download '{name}' to {here} (got {type(error).__name__}: "
            f"{error}). Unpack https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip "
            f"to {here / name / 'raw'}, or say with '--data' where it is."
        ) from error
