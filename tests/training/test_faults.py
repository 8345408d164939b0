"""What goes wrong silently in training parts: the right value, or a named error."""

import csv
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.datasets import FakeDataset

from pyg_diffpool.train import DiffPoolModule, GraphDataModule
from training.conftest import QUICK, SMALL, write_tu

LEARN = [*SMALL, "--model.lr=0.03", "--trainer.max_epochs=25", "--data.num_folds=5"]


def predictions(path="predictions.csv"):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def graphs_of(folder):
    data = GraphDataModule(str(folder))
    data.setup("predict")
    return [data.dataset[i] for i in range(len(data.dataset))]


def trained_on_3_and_7(cli, work):
    """About 10 means label 3, about 20 label 7."""
    values = [10.0 + g % 3 / 10 if g % 2 else 20.0 + g % 3 / 10 for g in range(40)]
    folder = write_tu(work / "OLD", values, [3 if g % 2 else 7 for g in range(40)])
    result = cli("fit", f"--data.dataset={folder}", *LEARN)
    assert result["test_accuracy"] == 1.0
    return result["checkpoint"]


def test_scales_and_names_are_those_of_the_training(cli, work):
    checkpoint = trained_on_3_and_7(cli, work)
    new = write_tu(work / "NEW", [19.5, 20.0, 20.5, 20.1], [1, 3, 1, 3])
    cli("predict", f"--ckpt_path={checkpoint}", f"--data.dataset={new}")
    rows = predictions()
    assert [row["predicted"] for row in rows] == ["7"] * 4
    assert [row["true"] for row in rows] == ["1", "3", "1", "3"]
    model = DiffPoolModule.load_from_checkpoint(checkpoint).eval()
    for value, name in ((10.0, "3"), (20.0, "7")):
        triangle = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        graph = Data(x=torch.full((3, 1), value), edge_index=triangle)
        assert model.hparams.class_names[model(graph).out.argmax()] == name


def test_test_counts_by_the_names_of_the_training(cli, work):
    checkpoint = trained_on_3_and_7(cli, work)
    options = ["test", f"--ckpt_path={checkpoint}", "--data.num_folds=4"]
    seven = write_tu(work / "SEVEN", [20.0] * 12, [7] * 12)
    assert cli(*options, f"--data.dataset={seven}")["test_accuracy"] == 1.0
    one = write_tu(work / "ONE", [20.0] * 12, [1, 7] * 6)
    with pytest.raises(SystemExit, match=r"^pyg-diffpool: Expected the classes.*'1'"):
        cli(*options, f"--data.dataset={one}")


def test_node_labels_that_stand_for_other_columns_are_refused(cli, work):
    old = write_tu(work / "OLD", [1.0] * 12, [0, 1] * 6)
    new = write_tu(work / "NEW", [1.0] * 12, [0, 1] * 6)
    for folder, first in ((old, 0), (new, 1)):
        labels = "".join(f"{first + n % 3}\n" for n in range(36))
        (folder / f"{folder.name}_node_labels.txt").write_text(labels)
    result = cli("fit", f"--data.dataset={old}", *QUICK)
    with pytest.raises(SystemExit, match="labels of nodes"):
        cli("predict", f"--ckpt_path={result['checkpoint']}", f"--data.dataset={new}")


def test_several_columns_of_labels_are_several_labels(cli, work):
    lines = [f"{g % 2}, {g // 2 % 2}, {g // 4 % 2}" for g in range(24)]
    folder = write_tu(work / "MANY", map(float, range(24)), lines)
    result = cli("fit", f"--data.dataset={folder}", *QUICK)
    assert {"test_average_precision", "test_baseline_roc_auc"} <= result.keys()
    cli("predict", f"--ckpt_path={result['checkpoint']}")
    assert {"predicted_0", "predicted_1", "predicted_2"} < predictions()[0].keys()


@pytest.mark.parametrize(
    "option",
    ["model.lr=0.5", "model.weight_decay=0.1", "early_stopping.patience=3"],
)
def test_other_options_at_a_resume_are_refused(cli, make_set, option):
    name = make_set("return super().graph(i)")
    cli("fit", f"--data.dataset={name}", *QUICK)
    text = rf"^pyg-diffpool: Expected '{option.split('=')[0].split('.')[1]}' to be"
    with pytest.raises(SystemExit, match=text):
        cli("fit", "--ckpt_path=last", "--trainer.max_epochs=3", f"--{option}")


OTHER = {
    "more classes": ("g.y[0] = i % 3", "Expected the classes of the training"),
    "no whole numbers": ("g.y = g.y + 0.3", "'y' for classification"),
    "negative ones": ("g.y = -2 * g.y", "'y' for classification"),
    "two columns": ("g.y = torch.tensor([[0, 1]])", "'y' for classification"),
}


@pytest.mark.parametrize(("change", "text"), OTHER.values(), ids=OTHER)
def test_targets_of_other_data_are_compared(cli, make_set, change, text):
    result = cli("fit", f"--data.dataset={make_set('return super().graph(i)')}", *QUICK)
    other = make_set(f"g = super().graph(i)\n{change}\nreturn g")
    options = [f"--ckpt_path={result['checkpoint']}", f"--data.dataset={other}"]
    with pytest.raises(SystemExit, match=text):
        cli("test", *options)
    cli("predict", *options)
    assert len(predictions()) == 60


def test_negative_numbers_are_no_missing_classes(cli, make_set):
    body = "g = super().graph(i)\ng.y = torch.tensor([i - 30])\nreturn g"
    with pytest.raises(SystemExit, match="'y' for classification"):
        cli("fit", f"--data.dataset={make_set(body)}", *QUICK)


def test_widths_may_be_given_beside_the_data(cli, make_set):
    options = ["in_channels=2", "out_channels=2", "task=classification"]
    given = [f"--model.{option}" for option in options]
    name = make_set("return super().graph(i)")
    assert cli("fit", f"--data.dataset={name}", *QUICK, *given)["test_accuracy"] >= 0
    with pytest.raises(SystemExit, match="Expected 'x' of 7 columns"):
        cli("fit", f"--data.dataset={name}", *QUICK, "--model.in_channels=7")


def test_graphs_are_numbered_as_the_set_numbers_them(cli, make_set):
    more = "def half():\n    return Mine()[40:]\n"
    name = make_set("return super().graph(i)", more).replace(":Mine", ":half")
    result = cli("fit", f"--data.dataset={name}", *QUICK)
    cli("predict", f"--ckpt_path={result['checkpoint']}")
    rows = predictions()
    assert [int(row["graph"]) for row in rows] == list(range(20))
    assert [row["true"] for row in rows] == ["0", "1"] * 10


def test_graphs_without_a_label_are_predicted(cli, make_set):
    body = "g = super().graph(i)\nif i % 3 == 0:\n    g.y[0] = -1\nreturn g"
    result = cli("fit", f"--data.dataset={make_set(body)}", *QUICK)
    cli("predict", f"--ckpt_path={result['checkpoint']}", "--predictions.path=p.csv")
    rows = predictions("p.csv")
    assert len(rows) == 60
    assert [row["true"] == "" for row in rows] == [i % 3 == 0 for i in range(60)]
    bare = make_set("g = super().graph(i)\ndel g.y\nreturn g")
    cli("predict", f"--ckpt_path={result['checkpoint']}", f"--data.dataset={bare}")
    assert {row["true"] for row in predictions()} == {""}


NUMBER = "g = super().graph(i)\nif i == 7:\n    g.{}\nreturn g"
REFUSED = {
    "NaN in x": (NUMBER.format("x[1, 0] = float('nan')"), r"'x'.*nan in graph 7.*1, 0"),
    "inf in x": (NUMBER.format("x[2, 1] = float('inf')"), r"'x'.*inf in graph 7.*2, 1"),
    "too large for float32": (
        "g = super().graph(i)\ng.x = g.x.double() * 1e300\nreturn g",
        r"finite numbers in 'x'",
    ),
    "an edge to another graph": (
        NUMBER.format("edge_index[1, 5] = 3"),
        r"graph 7.*larger indices",
    ),
    "one class": ("g = super().graph(i)\ng.y[0] = 0\nreturn g", "at least two classes"),
    "targets missing": (
        "g = super().graph(i)\ng.y = torch.tensor([i / 7])\n"
        "g.y[0] = float('nan') if i == 5 else g.y[0]\nreturn g",
        "'y' for regression",
    ),
    "codes": (
        "g = super().graph(i)\ng.y = torch.tensor([[i, i + 1]])\nreturn g",
        "'y' with one class, several labels",
    ),
}


@pytest.mark.parametrize(("body", "text"), REFUSED.values(), ids=REFUSED)
def test_bad_numbers_end_in_a_line_before_training(cli, work, make_set, body, text):
    with pytest.raises(SystemExit, match=f"^pyg-diffpool: Expected .*{text}"):
        cli("fit", f"--data.dataset={make_set(body)}", *QUICK)
    assert not list(work.rglob("*.ckpt"))


def test_too_few_class_names_end_in_a_line(cli, make_set):
    name = make_set("return super().graph(i)", "Mine.class_names = ['a']\n")
    with pytest.raises(SystemExit, match="a name of its own for each of the 2"):
        cli("fit", f"--data.dataset={name}", *QUICK)


WORKS = {
    "float64 x": ("g = super().graph(i)\ng.x = g.x.double()\nreturn g", []),
    "int32 y": ("g = super().graph(i)\ng.y = g.y.int()\nreturn g", []),
    "int32 x": (
        "return triangle(torch.ones(3, 1).int() * i, y=torch.tensor([i % 2]))",
        [],
    ),
    "a scalar y": ("g = super().graph(i)\ng.y = torch.tensor(i % 2)\nreturn g", []),
    "adj_t alone": (
        "from torch_geometric.transforms import ToSparseTensor\n"
        "return ToSparseTensor(layout=torch.sparse_csr)(super().graph(i))",
        [],
    ),
    "first graph empty": (
        "x = torch.zeros(0 if i == 0 else 3, 1).long() + i\n"
        "g = triangle(x, y=torch.tensor([i % 2]))\n"
        "g.edge_index = g.edge_index[:, :len(x) * 2]\nreturn g",
        [],
    ),
    "integer edge_attr": (
        "g = super().graph(i)\ng.edge_attr = torch.eye(4).int()[[i % 4] * 6]\nreturn g",
        ["--model.gnn=GAT", "--model.edge_dim=4"],
    ),
    "float64 throughout": ("return super().graph(i)", ["--trainer.precision=64-true"]),
    "bfloat16 throughout": (
        "return super().graph(i)",
        ["--trainer.precision=bf16-true"],
    ),
    "mixed": ("return super().graph(i)", ["--trainer.precision=bf16-mixed"]),
    "a plateau schedule, validation each second epoch": (
        "return super().graph(i)",
        ["--model.lr_patience=3", "--trainer.check_val_every_n_epoch=2"],
    ),
    "no validation": ("return super().graph(i)", ["--trainer.limit_val_batches=0"]),
    "one level": ("return super().graph(i)", ["--model.num_clusters=8"]),
    "workers": ("return super().graph(i)", ["--data.num_workers=1"]),
    "a single target": ("g = super().graph(i)\ng.y = g.y + 0.5\nreturn g", []),
    "classes as floats": (
        "g = super().graph(i)\ng.y = g.y.float() * 2\nreturn g",
        ["--model.task=classification"],
    ),
    "several targets": (
        "g = super().graph(i)\ng.y = torch.tensor([[i / 7, i / 3]])\nreturn g",
        [],
    ),
    "one label": ("g = super().graph(i)\ng.y = g.y.view(1, 1).float()\nreturn g", []),
    "classes to regress": ("return super().graph(i)", ["--model.task=regression"]),
}


@pytest.mark.parametrize(("body", "options"), WORKS.values(), ids=WORKS)
def test_works(cli, make_set, body, options):
    result = cli("fit", f"--data.dataset={make_set(body)}", *QUICK, *options)
    assert None not in [v for k, v in result.items() if k.startswith("test_")]
    checkpoint = result["checkpoint"] or "last"
    cli("predict", f"--ckpt_path={checkpoint}", *options)
    assert len(predictions()) == 60


def test_edge_attr_that_the_network_wants_must_be_there(cli, make_set):
    name = make_set("return super().graph(i)")
    options = ["--model.gnn=GAT", "--model.edge_dim=4"]
    with pytest.raises(SystemExit, match=r"^pyg-diffpool: Expected 'edge_attr'"):
        cli("fit", f"--data.dataset={name}", *QUICK, *options)


def test_scales_are_measured_without_graphs_that_have_no_nodes():
    model = DiffPoolModule(1, 2, "classification")
    model.feature_scale.fit([torch.tensor([[88.5], [91.5]]), torch.zeros(0, 1)])
    torch.testing.assert_close(model.feature_scale.mean, torch.tensor([90.0]))
    torch.testing.assert_close(model.feature_scale.std, torch.tensor([1.5]))


def test_columns_of_zeros_and_ones_keep_their_values():
    model = DiffPoolModule(2, 2, "classification")
    x = torch.tensor([[1.0, 5.0], [0.0, 5.0], [1.0, 8.0]])
    model.feature_scale.fit([x])
    scaled = model.feature_scale(x)
    torch.testing.assert_close(scaled[:, 0], x[:, 0])
    torch.testing.assert_close(scaled[:, 1].mean(), torch.tensor(0.0))


def test_half_precision_leaves_the_scale_as_it_is():
    model = DiffPoolModule(1, 2, "classification")
    model.feature_scale.fit([torch.tensor([[10_001.0], [10_003.0]])])
    scaled = model.bfloat16().feature_scale(torch.tensor([[10_003.0]]))
    torch.testing.assert_close(scaled, torch.tensor([[1.0]]))


def test_one_graph_is_a_row():
    model = DiffPoolModule(2, 3, "classification", hidden_channels=8).eval()
    graph = Data(x=torch.randn(4, 2), edge_index=torch.tensor([[0, 1], [1, 0]]))
    single, batch = model(graph).out, model(Batch.from_data_list([graph])).out
    torch.testing.assert_close(single, batch)


@pytest.mark.parametrize("by_folder", [True, False], ids=["folder", "name"])
def test_graph_attributes_are_regressed(cli, work, by_folder):
    folder = write_tu(work / "REG", map(float, range(30)), [0, 1] * 15)
    text = "".join(f"{100 + g}\n" for g in range(30))
    (folder / "REG_graph_attributes.txt").write_text(text)
    name = folder
    if not by_folder:
        (folder / "raw").mkdir()
        for path in folder.glob("*.txt"):
            path.rename(folder / "raw" / path.name)
        name = "REG"
        Path("elsewhere").mkdir()
        folder.rename(Path("elsewhere") / "REG")
    options = ["--data.root=elsewhere", "--data.batch_size=4", "--model.dropout=0"]
    result = cli("fit", f"--data.dataset={name}", *LEARN, *options)
    assert result["test_mae"] < result["test_baseline_mae"] < 20
    assert result["test_r2"] > 0.5


@pytest.mark.parametrize("kind", ["crlf", "bom", "no last line break"])
def test_text_files_of_other_systems(work, kind):
    folder = write_tu(work / "TEXT", [1.0, 2.0, 3.0], [5, 6, 5])
    expected = graphs_of(folder)
    for path in folder.iterdir():
        text = path.read_bytes()
        change = {
            "crlf": text.replace(b"\n", b"\r\n"),
            "bom": b"\xef\xbb\xbf" + text,
            "no last line break": text.rstrip(),
        }
        path.write_bytes(change[kind])
    for old, new in zip(expected, graphs_of(folder), strict=True):
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
        GraphDataModule(str(folder)).setup("predict")


def test_graphs_without_edges_at_the_end_stay(work):
    folder = write_tu(work / "TEXT", [1.0, 2.0, 3.0], [5, 6, 5])
    path = folder / "TEXT_A.txt"
    path.write_text("".join(path.read_text().splitlines(True)[:12]))
    data = GraphDataModule(str(folder))
    data.setup("predict")
    assert [graph.num_edges for graph in data.dataset] == [6, 6, 0]


def test_a_folder_without_the_files_is_named(cli, work):
    (work / "badname").mkdir()
    with pytest.raises(
        SystemExit, match=r"^pyg-diffpool: Expected one file NAME_A.txt in"
    ):
        cli("fit", "--data.dataset=./badname")


def test_without_a_logger_files_are_in_the_root_folder_only(cli, work, make_set):
    name = make_set("return super().graph(i)")
    before = set(work.iterdir())
    for _ in range(2):
        options = ["--trainer.logger=false", "--trainer.default_root_dir=here"]
        cli("fit", f"--data.dataset={name}", *QUICK, *options)
    new = {path.name for path in set(work.iterdir()) - before} - {"__pycache__"}
    assert new == {"here"}
    assert len(list((work / "here").rglob("best*.ckpt"))) == 2


def test_the_data_set_stays_as_it_was():
    dataset = FakeDataset(num_graphs=30, num_classes=2)
    x, transform = dataset[0].x.clone(), dataset.transform
    data = GraphDataModule(dataset, num_folds=3)
    data.setup("fit")
    assert next(iter(data.train_dataloader())).x.shape[1] == 64
    assert dataset.transform is transform
    torch.testing.assert_close(dataset[0].x, x)
