"""What goes wrong silently in training parts: the right value, or a named error."""

import csv
from math import isfinite
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch_geometric.data import Batch, Data

from pyg_diffpool.train import DiffPoolModule, GraphDataModule
from pyg_diffpool.train.matching import check_classes, check_features, describe_data
from pyg_diffpool.train.sets import load_dataset
from training.conftest import LEARN, QUICK, write_tu


def predictions():
    with Path("predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def looked_at(name):
    data = GraphDataModule(str(name), num_folds=3)
    data.setup("fit")
    return data


def test_scales_and_names_are_those_of_the_training(cli, work, trained):
    new = write_tu(work / "NEW", [19.5, 20.0, 20.5, 20.1], [1, 3, 1, 3])
    cli("predict", "--ckpt_path=best", f"--data.dataset={new}")
    rows = predictions()
    assert [row["predicted"] for row in rows] == ["7"] * 4
    assert [row["true"] for row in rows] == ["1", "3", "1", "3"]
    model = DiffPoolModule.load_from_checkpoint(trained).eval()
    for value, name in ((10.0, "3"), (20.0, "7")):
        triangle = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        graph = Data(x=torch.full((3, 1), value), edge_index=triangle)
        assert model.hparams.class_names[model(graph).out.argmax()] == name


@pytest.mark.usefixtures("trained")
def test_other_graphs_of_the_same_classes_are_tested(cli, work):
    options = ["test", "--ckpt_path=best", "--data.num_folds=4"]
    same = write_tu(work / "SAME", [10.0, 20.0] * 6, [3, 7] * 6)
    assert cli(*options, f"--data.dataset={same}")["test_accuracy"] == 1.0
    other = write_tu(work / "OTHER", [10.0, 20.0] * 6, [1, 7] * 6)
    with pytest.raises(SystemExit, match=r"^pyg-diffpool: Expected the classes.*'1'"):
        cli(*options, f"--data.dataset={other}")


def test_node_labels_that_stand_for_other_columns_are_refused(work):
    old, new = (write_tu(work / n, [1.0] * 12, [0, 1] * 6) for n in ("OLD", "NEW"))
    for folder, first in ((old, 0), (new, 1)):
        labels = "".join(f"{first + n % 3}\n" for n in range(36))
        (folder / f"{folder.name}_node_labels.txt").write_text(labels)
    own = describe_data(looked_at(old), {})
    check_features(looked_at(old), own)
    with pytest.raises(ValueError, match="labels of nodes"):
        check_features(looked_at(new), own)


OTHER = {
    "more classes": ("g.y[0] = i % 3", "Expected the classes of the training"),
    "no whole numbers": ("g.y = g.y + 0.3", "'y' for classification"),
    "negative ones": ("g.y = -2 * g.y", "'y' for classification"),
    "two columns": ("g.y = torch.tensor([[0, 1]])", "'y' for classification"),
}


@pytest.mark.parametrize(("change", "text"), OTHER.values(), ids=OTHER)
def test_targets_of_other_data_are_compared(make_set, change, text):
    own = describe_data(looked_at(make_set()), {})
    with pytest.raises(ValueError, match=text):
        check_classes(looked_at(make_set(change)), own)


def test_every_graph_is_predicted_and_numbered_as_in_the_set(cli, make_set):
    more = "def part():\n    return Mine()[20:]\n"
    name = make_set("if i % 3 == 0: g.y[0] = -1", more).replace(":Mine", ":part")
    cli("fit", f"--data.dataset={name}", *QUICK)
    cli("predict", "--ckpt_path=best")
    rows = predictions()
    assert [int(row["graph"]) for row in rows] == list(range(40))
    numbers = range(20, 60)
    expected = ["" if i % 3 == 0 else str(i % 2) for i in numbers]
    assert [row["true"] for row in rows] == expected


@pytest.mark.usefixtures("trained")
def test_a_set_without_labels_is_predicted(cli, work):
    bare = write_tu(work / "BARE", [10.0, 20.0, 10.0], None)
    cli("predict", "--ckpt_path=best", f"--data.dataset={bare}")
    assert [row["predicted"] for row in predictions()] == ["3", "7", "3"]
    assert {row["true"] for row in predictions()} == {""}


def test_several_columns_of_labels_are_several_labels(cli, work):
    lines = [f"{g % 2}, {g // 2 % 2}, 0" for g in range(24)]
    folder = write_tu(work / "MANY", map(float, range(24)), lines)
    result = cli("fit", f"--data.dataset={folder}", *QUICK)
    assert result["test_average_precision"] > 0
    assert result["test_baseline_roc_auc"] == 0.5
    cli("predict", "--ckpt_path=best")
    columns = {f"{name}_{i}" for name in ("predicted", "true") for i in range(3)}
    assert predictions()[0].keys() == {"graph"} | columns


def test_what_is_not_finite_is_null_in_json(cli, make_set):
    name = make_set("g.y = torch.zeros(1, 1)")  # a label that none has
    assert cli("fit", f"--data.dataset={name}", *QUICK)["test_roc_auc"] is None


AT_7 = "if i == 7: g.{}"
REFUSED = {
    "NaN in x": (AT_7.format("x[1, 0] = float('nan')"), "'x' of graph 7"),
    "inf in x": (AT_7.format("x[2, 1] = float('inf')"), "'x' of graph 7"),
    "too large for float32": ("g.x = g.x.double() * 1e300", "finite numbers in 'x'"),
    "an edge to another graph": (
        AT_7.format("edge_index[1, 5] = 3"),
        "graph 7.*larger indices",
    ),
    "weights of fewer edges": ("g.edge_weight = torch.ones(5)", "6 rows in 'edge_w"),
    "no edges": ("del g.edge_index", "'edge_index' in a graph"),
    "targets missing": (
        "g.y = torch.tensor([float('nan') if i == 5 else i / 7])",
        "'y' for regression",
    ),
    "codes": ("g.y = torch.tensor([[i, i + 1]])", "'y' for multilabel"),
    "negative numbers": ("g.y = torch.tensor([i - 30])", "'y' for classification"),
    "no targets": ("del g.y", "'y' in the graphs"),
}


@pytest.mark.parametrize(("change", "text"), REFUSED.values(), ids=REFUSED)
def test_bad_numbers_are_named_before_training(make_set, change, text):
    name = make_set(change)
    with pytest.raises(ValueError, match=f"^Expected .*{text}"):
        describe_data(looked_at(name), {})


MISFIT = {
    "one class": ("g.y[0] = 0", "`num_classes`.*larger than 1"),
    "no edge_attr": ("", "'edge_attr'", "--model.gnn=GAT", "--model.edge_dim=4"),
    "another width": ("", "'x' of 7 columns", "--model.in_channels=7"),
}


@pytest.mark.parametrize("name", MISFIT)
def test_a_model_that_does_not_fit_ends_in_a_line(cli, work, make_set, name):
    change, text, *options = MISFIT[name]
    with pytest.raises(SystemExit, match=f"^pyg-diffpool: Expected .*{text}"):
        cli("fit", f"--data.dataset={make_set(change)}", *QUICK, *options)
    assert not list(work.rglob("*.ckpt"))


WORKS: dict[str, tuple[str, dict[str, object]]] = {
    "float64 x, int32 y": ("g.x = g.x.double()\ng.y = g.y.int()", {}),
    "int32 x, a scalar y, the first graph empty": (
        "g.x = torch.zeros(0 if i == 0 else 3, 1).int() + i\n"
        "g.edge_index = g.edge_index[:, :len(g.x) * 2]\n"
        "g.y = torch.tensor(i % 2)",
        {},
    ),
    "integer edge_attr": (
        "g.edge_attr = torch.eye(4).int()[[i % 4] * 6]",
        {"gnn": "GAT", "edge_dim": 4},
    ),
    "classes regressed": ("", {"task": "regression"}),
    "one level": ("", {"num_clusters": 8}),
    "classes as floats": ("g.y = g.y.float() * 2", {"task": "classification"}),
    "several targets": ("g.y = torch.tensor([[i / 7, i / 3]])", {}),
    "one label": ("g.y = g.y.view(1, 1).float()", {}),
    "widths given": (
        "",
        {"in_channels": 2, "out_channels": 2, "task": "classification"},
    ),
}


def check_training(name, precision="32-true", workers=0, **options):
    data = GraphDataModule(name, num_folds=3, batch_size=16, num_workers=workers)
    model = DiffPoolModule(**{"hidden_channels": 8, "num_clusters": [4, 2]} | options)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar"), False
    )
    trainer = Trainer(accelerator="cpu", max_epochs=1, precision=precision, **quiet)
    trainer.fit(model, data)
    (measured,) = trainer.test(model, data, verbose=False)
    out = torch.cat(trainer.predict(model, data))
    assert out.shape == (60, model.hparams["out_channels"])
    assert all(map(isfinite, [*measured.values(), *out.flatten().tolist()]))


@pytest.mark.parametrize(("change", "options"), WORKS.values(), ids=WORKS)
def test_works(make_set, change, options):
    check_training(make_set(change), **options)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_precisions_work(make_set, precision):
    check_training(make_set(), precision, workers=1)


def test_without_validation_the_last_weights_are_used(cli, make_set):
    options = [*QUICK, "--trainer.limit_val_batches=0"]
    assert cli("fit", f"--data.dataset={make_set()}", *options)["test_accuracy"] >= 0
    cli("predict", "--ckpt_path=last")
    assert len(predictions()) == 60


def test_scales():
    model = DiffPoolModule(2, 2, "classification")
    ones = torch.tensor([[1.0, 10_001.0], [0.0, 10_003.0]])
    model.feature_scale.fit(ones)
    for scale in (model.feature_scale, model.bfloat16().feature_scale):
        expected = torch.tensor([[1.0, -1.0], [0.0, 1.0]])  # zeros and ones stay
        torch.testing.assert_close(scale(ones), expected)


def test_one_graph_is_a_row():
    model = DiffPoolModule(2, 3, "classification", hidden_channels=8).eval()
    graph = Data(x=torch.randn(4, 2), edge_index=torch.tensor([[0, 1], [1, 0]]))
    single, batch = model(graph).out, model(Batch.from_data_list([graph])).out
    torch.testing.assert_close(single, batch)


def test_graph_attributes_are_regressed(cli, work):
    raw = work / "elsewhere" / "REG" / "raw"
    raw.parent.parent.mkdir()
    folder = write_tu(work / "REG", map(float, range(30)), [0, 1] * 15)
    text = "".join(f"{100 + g}\n" for g in range(30))
    (folder / "REG_graph_attributes.txt").write_text(text)
    raw.parent.mkdir()
    folder.rename(raw)
    options = [
        "--data.root=elsewhere",
        "--model.dropout=0",
        "--data.batch_size=8",
        "--trainer.max_epochs=15",
    ]
    result = cli("fit", "--data.dataset=REG", *LEARN, *options)
    assert result["test_mae"] < result["test_baseline_mae"] < 20
    assert result["test_r2"] > 0.5


@pytest.mark.parametrize("kind", ["crlf", "bom", "no last line break"])
def test_text_files_of_other_systems(work, kind):
    folder = write_tu(work / "TEXT", [1.0, 2.0, 3.0], [5, 6, 5])
    expected = looked_at(folder).dataset
    for path in folder.iterdir():
        text = path.read_bytes()
        change = {
            "crlf": text.replace(b"\n", b"\r\n"),
            "bom": b"\xef\xbb\xbf" + text,
            "no last line break": text.rstrip(),
        }
        path.write_bytes(change[kind])
    for old, new in zip(expected, looked_at(folder).dataset, strict=True):
        torch.testing.assert_close(old.to_dict(), new.to_dict())


DAMAGED = {
    "fewer labels": ("graph_labels", lambda _: "1\n", "1 lines in .*instead of 3"),
    "more attributes": ("node_attributes", lambda t: t + "1.0\n", "10 lines in"),
    "nodes not sorted": ("graph_indicator", lambda t: t[::-1].strip() + "\n", "sorted"),
    "edge between graphs": ("A", lambda t: t + "1, 9\n", "edges between"),
    "edge to no node": ("A", lambda t: t + "1, 10\n", "outside 1 to 9"),
    "words": ("graph_labels", lambda _: "a\nb\nc\n", "ValueError"),
}


@pytest.mark.parametrize(("kind", "change", "text"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_named(work, kind, change, text):
    folder = write_tu(work / "TEXT", [1.0, 2.0, 3.0], [5, 6, 5])
    path = folder / f"TEXT_{kind}.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=f"TEXT_.*{text}"):
        load_dataset(str(folder))


def test_graphs_without_edges_at_the_end_stay(work):
    folder = write_tu(work / "TEXT", [1.0, 2.0, 3.0], [5, 6, 5])
    path = folder / "TEXT_A.txt"
    path.write_text("".join(path.read_text().splitlines(True)[:12]))
    assert [graph.num_edges for graph in load_dataset(str(folder))] == [6, 6, 0]
