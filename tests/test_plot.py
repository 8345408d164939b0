import pytest
import torch

pytest.importorskip("matplotlib")

from matplotlib.image import imread

from pyg_diffpool.plot import draw_clusters, draw_curves, hard_clusters
from pyg_diffpool.plot.clusters import ClusteredGraph
from pyg_diffpool.plot.layout import stress_layout
from pyg_diffpool.plot.run import choose_graphs

nx = pytest.importorskip("networkx")


def test_hard_clusters_compose_the_levels():
    first = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [0.1, 0.3, 0.6]])
    second = torch.tensor([[[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]]])
    # Row 0 of the product is (0.52, 0.48); with 0.6 of cluster 1 it would be 1.
    levels = hard_clusters([first, second])
    torch.testing.assert_close(levels[0], torch.tensor([0, 1, 2]))
    torch.testing.assert_close(levels[1], torch.tensor([0, 1, 1]))


def test_choose_graphs_prefers_readable_sizes():
    assert choose_graphs([3, 30, 500, 40, 20], 2) == [4, 3]
    assert choose_graphs([3, 4], 5) == [0, 1]
    assert choose_graphs([20, 40, 60, 80], 2) == [1, 3]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_layout_of_small_and_separate_graphs(size):
    places = stress_layout(nx.empty_graph(size))
    assert places.shape == (size, 2)
    assert len({tuple(place) for place in places.round(6)}) == size


def test_layout_follows_graph_distances():
    places = torch.from_numpy(stress_layout(nx.path_graph(9)))
    distances = torch.cdist(places, places)
    steps = torch.arange(9.0, dtype=torch.float64)
    torch.testing.assert_close(
        distances, (steps[:, None] - steps).abs(), atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize("clusters", [1, 3, 90])
def test_clusters_picture_is_readable(tmp_path, clusters):
    ring = torch.arange(100)
    graph = ClusteredGraph(
        title="a ring",
        edge_index=torch.stack([ring, ring.roll(1)]),
        levels=[ring % clusters, ring * 0],
        max_clusters=[clusters, 1],
    )
    draw_clusters([graph, graph]).savefig(tmp_path / "a.png")
    image = imread(tmp_path / "a.png")
    assert image.min() < image.max()
    assert min(image.shape[:2]) > 300


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="at least one graph"):
        draw_clusters([])


def test_curves_picture_is_readable(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text(
        "epoch,step,train/accuracy,train/cross_entropy,val/accuracy\n"
        "0,3,,,0.5\n0,3,0.4,1.1,\n1,7,,,0.6\n1,7,0.7,0.9,\n"
    )
    figure = draw_curves(log, majority_accuracy=0.5)
    accuracy = figure.axes[-1]
    labels = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert labels == ["training", "validation", "best: 0.600", "majority class"]
    figure.savefig(tmp_path / "a.png")
    assert imread(tmp_path / "a.png").size > 0


def test_every_level_has_its_curve_of_clusters_in_use(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text(
        "epoch,step,train/perplexity_1,train/perplexity_2,val/perplexity_1\n"
        "0,3,7.5,2.5,\n0,3,,,6\n1,7,9.5,3.5,\n"
    )
    figure = draw_curves(log)
    assert [a.get_title() for a in figure.axes][2:] == [
        "clusters in use (perplexity)",
        "accuracy",
    ]
    lines = {line.get_label(): line for line in figure.axes[2].get_lines()}
    assert list(lines["level 1"].get_ydata()) == [7.5, 9.5]
    assert list(lines["level 2"].get_ydata()) == [2.5, 3.5]
    assert list(lines["level 1, validation"].get_ydata()) == [6.0]


def test_curves_of_no_epoch_are_an_error(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step\n")
    with pytest.raises(ValueError, match="Train for longer"):
        draw_curves(tmp_path / "metrics.csv")


def test_drawing_leaves_pyplot_alone():
    import subprocess
    import sys

    code = "import sys, pyg_diffpool.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
