"""Training with Lightning: the module, its callbacks, the command line."""

from pyg_diffpool._extras import require_extra

require_extra("train")

from pyg_diffpool.lightning.module import GraphClassifier as GraphClassifier  # noqa: E402
