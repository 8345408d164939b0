"""What may be chosen about pooling, whatever the form of the input."""

from typing import Literal, NamedTuple

from pyg_diffpool import _checks

Backend = Literal["auto", "padded", "sparse"]
Link = Literal["frobenius", "bce"]
Normalize = bool | Literal["padded"]
EdgeReduce = Literal["sum", "mean"]


class Options(NamedTuple):
    """The keyword arguments of `diff_pool` that both forms share."""

    link: Link = "frobenius"
    normalize: Normalize = True
    backend: Backend = "auto"
    check: bool = False
    sync_losses: bool = False
    edge_reduce: EdgeReduce = "sum"

    def validate(self) -> None:
        """Raise a `ValueError` for a choice that there is not."""
        _checks.check_choice("link", self.link, ("frobenius", "bce"))
        _checks.check_choice("normalize", self.normalize, (True, False, "padded"))
        _checks.check_choice("backend", self.backend, ("auto", "padded", "sparse"))
        _checks.check_choice("edge_reduce", self.edge_reduce, ("sum", "mean"))
