"""Pictures of a trained model: its clusters and its training curves."""

from pyg_diffpool._extras import require_extra

require_extra("plot")

from pyg_diffpool.plot.clusters import draw_clusters as draw_clusters  # noqa: E402
from pyg_diffpool.plot.clusters import hard_clusters as hard_clusters  # noqa: E402
from pyg_diffpool.plot.curves import draw_curves as draw_curves  # noqa: E402
from pyg_diffpool.plot.run import plot_run as plot_run  # noqa: E402
