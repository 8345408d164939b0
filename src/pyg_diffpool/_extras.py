"""Optional dependencies: what each extra brings, and one message for all."""

from importlib.util import find_spec

EXTRAS = {
    "train": ("lightning", "torchmetrics", "jsonargparse", "sklearn", "tensorboard"),
    "plot": ("matplotlib", "networkx", "scipy"),
    "clusters": ("pymetis",),
    "bench": ("tgp",),
    "ogb": ("ogb",),
    "graphgym": ("lightning", "yacs", "sklearn"),
}


class MissingExtraError(ModuleNotFoundError):
    """An optional dependency is not installed; the text ends in the remedy."""


def require_extra(extra: str) -> None:
    """Check that every package of an extra can be found.

    Args:
        extra: Name of the extra, such as ``"train"``.

    Raises:
        MissingExtraError: If a package of the extra is not installed.
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"Expected the optional packages of the extra '{extra}', "
            f"but {', '.join(missing)} cannot be found. "
            f'Install them with: pip install "pyg-diffpool[{extra}]"',
            name=missing[0],
        )
