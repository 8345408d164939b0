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
        require_extra("train")
        from pyg_diffpool.train.command import run

        run(args)
    except Exception as error:
        if debug or not _is_expected(error):
            raise
        text = " ".join(str(error).split())
        raise SystemExit(f"pyg-diffpool: {text}") from error


def _is_expected(error: Exception) -> bool:
    """Whether the text says it all; of Lightning by name, as it may be missing."""
    known = (ValueError, OSError, MissingExtraError, argparse.ArgumentError)
    of_lightning = type(error).__name__ == "MisconfigurationException"
    ours = str(error).startswith("Expected ")
    return isinstance(error, known) or of_lightning or ours
