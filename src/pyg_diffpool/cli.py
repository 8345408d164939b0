"""Entry point of the command ``pyg-diffpool``."""

import sys

from pyg_diffpool._extras import MissingExtraError, require_extra


def main(args: list[str] | None = None) -> None:
    """Run a command.

    Args:
        args: Command and options (default: those of the process).

    Raises:
        SystemExit: If an extra is missing, the checkpoint cannot be used, a file
            cannot be written or another process of the run is gone; the text says
            what to do.
    """
    args = sys.argv[1:] if args is None else args
    try:
        require_extra("train")
        if args[:1] == ["plot"]:
            require_extra("plot")
        from pyg_diffpool.lightning.command import DiffPoolCLI
        from pyg_diffpool.lightning.interruption import describe_end
        from pyg_diffpool.lightning.settings import with_settings

        args = with_settings(args)
    except (MissingExtraError, FileNotFoundError, ValueError) as error:
        raise SystemExit(f"pyg-diffpool: {error}") from error
    try:
        DiffPoolCLI(args)
    except BaseException as error:
        end = describe_end(error)
        if end is None:
            raise
        raise SystemExit(end) from error
