import pytest

pytest.importorskip("matplotlib")

from matplotlib.image import imread

from pyg_diffpool.cli import main


def test_plot_writes_readable_pictures(fitted, tmp_path, capsys):
    main(["plot", str(fitted[1]), f"--out={tmp_path}", "--num_graphs=2"])
    paths = [tmp_path / "clusters.png", tmp_path / "curves.png"]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    for path in paths:
        assert imread(path).size > 0


def test_plot_refuses_no_graphs(fitted):
    with pytest.raises(ValueError, match="at least 1"):
        main(["plot", str(fitted[1]), "--num_graphs=0"])
