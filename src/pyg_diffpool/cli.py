"""Entry point of the command `pyg-diffpool`."""

import argparse
import sys

from pyg_diffpool._extras import MissingExtraError, require_extra


def main(args: list[str] | None = None) -> None:
    """Run a command: `fit`, `validate`, `test`, `predict` or `plot`.

    Args:
        args: Command and options. (default: `None`, those of the process)

    Raises:
        SystemExit: With a line that says what to do, if something is not as expected;
            with `--debug` the error itself is raised.
    """
    args = sys.argv[1:] if args is None else list(args)
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    try:
        _run(args)
    except Exception as error:
        if debug or not _is_expected(error):
            raise
        text = " ".join(str(error).split())
        raise SystemExit(f"pyg-diffpool: {text}") from error


def _run(args: list[str]) -> None:
    require_extra("train")
    import jsonargparse

    from pyg_diffpool.train.command import DiffPoolCLI, plot

    if args[:1] == ["plot"]:
        jsonargparse.auto_cli(
            plot, args=args[1:], as_positional=False, exit_on_error=False
        )
    else:
        DiffPoolCLI(args)


def _is_expected(error: Exception) -> bool:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    known = (ValueError, OSError, MissingExtraError, MisconfigurationException)
    return isinstance(error, (*known, argparse.ArgumentError)) or str(error).startswith(
        "Expected "
    )
