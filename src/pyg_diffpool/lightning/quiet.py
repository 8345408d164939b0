"""What the command line keeps off the terminal, and why."""

import logging
import warnings

WARNINGS = (
    # Collating small graphs is cheap: workers are a choice (--data.num_workers).
    ".*does not have many workers.*",
    # The folder of a run also holds its log and settings.
    "Checkpoint directory .* exists and is not empty",
    # A resumed run goes on in its folder and keeps the rows of its log.
    "Experiment logs directory .* exists and is not empty",
    # The entry point passes the arguments of the process on.
    "LightningCLI's args parameter is intended to run from within Python",
    # Testing needs none of the callbacks of the training.
    "Be aware that when using `ckpt_path`, callbacks",
    # Lightning's own use of torch, out of the user's hands.
    ".*isinstance\\(treespec, LeafSpec\\).* is deprecated",
)


class _Once(logging.Filter):
    """Let each message pass once, and advertisements never."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        new = message not in self.seen and "Tip:" not in message
        self.seen.add(message)
        return new


def hush() -> None:
    """Drop known harmless warnings, repeated lines and advertisements."""
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message)
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    if not any(isinstance(f, _Once) for f in logger.filters):
        logger.addFilter(_Once())
