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
    "option", ["model.lr=0.5", "model.weight_decay=0.1", "early_stopping.patience=3"]
)
def test_other_options_at_a_resume_are_refused(cli, make_set, option):
    cli("fit", f"--data.dataset={make_set()}", *QUICK)
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
    result = cli("fit", f"--data.dataset={make_set()}", *QUICK)
    other = make_set(change)
    options = [f"--ckpt_path={result['checkpoint']}", f"--data.dataset={other}"]
    with pytest.raises(SystemExit, match=text):
        cli("test", *options)
    cli("predict", *options)
    assert len(predictions()) == 60


def test_graphs_are_numbered_as_the_set_numbers_them(cli, make_set):
    more = "def half():\n    return Mine()[40:]\n"
    name = make_set(more=more).replace(":Mine", ":half")
    result = cli("fit", f"--data.dataset={name}", *QUICK)
    cli("predict", f"--ckpt_path={result['checkpoint']}")
    rows = predictions()
    assert [int(row["graph"]) for row in rows] == list(range(20))
    assert [row["true"] for row in rows] == ["0", "1"] * 10


def test_graphs_without_a_label_are_predicted(cli, make_set):
    change = "if i % 3 == 0: g.y[0] = -1"
    result = cli("fit", f"--data.dataset={make_set(change)}", *QUICK)
    cli("predict", f"--ckpt_path={result['checkpoint']}", "--predictions.path=p.csv")
    rows = predictions("p.csv")
    assert len(rows) == 60
    assert [row["true"] == "" for row in rows] == [i % 3 == 0 for i in range(60)]
    bare = make_set("del g.y")
    cli("predict", f"--ckpt_path={result['checkpoint']}", f"--data.dataset={bare}")
    assert {row["true"] for row in predictions()} == {""}


AT_7 = "if i == 7: g.{}"
REFUSED = {
    "NaN in x": (AT_7.format("x[1, 0] = float('nan')"), r"'x'.*nan in graph 7.*1, 0"),
    "inf in x": (AT_7.format("x[2, 1] = float('inf')"), r"'x'.*inf in graph 7.*2, 1"),
    "too large for float32": ("g.x = g.x.double() * 1e300", r"finite numbers in 'x'"),
    "an edge to another graph": (
        AT_7.format("edge_index[1, 5] = 3"),
        r"graph 7.*larger indices",
    ),
    "one class": ("g.y[0] = 0", "at least two classes"),
    "too few names": ("type(self).class_names = ['a']", "a name of its own for each"),
    "targets missing": (
        "g.y = torch.tensor([float('nan') if i == 5 else i / 7])",
        "'y' for regression",
    ),
    "codes": ("g.y = torch.tensor([[i, i + 1]])", "'y' for multilabel"),
    "negative numbers": ("g.y = torch.tensor([i - 30])", "'y' for classification"),
    "no edge_attr": ("", "'edge_attr'", "--model.gnn=GAT", "--model.edge_dim=4"),
    "another width": ("", "'x' of 7 columns", "--model.in_channels=7"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_numbers_end_in_a_line_before_training(cli, work, make_set, name):
    change, text, *options = REFUSED[name]
    with pytest.raises(SystemExit, match=f"^pyg-diffpool: Expected .*{text}"):
        cli("fit", f"--data.dataset={make_set(change)}", *QUICK, *options)
    assert not list(work.rglob("*.ckpt"))


WORKS = {
    "float64 x": ("g.x = g.x.double()",),
    "int32 y": ("g.y = g.y.int()",),
    "int32 x": ("g.x = torch.ones(3, 1).int() * i",),
    "a scalar y": ("g.y = torch.tensor(i % 2)",),
    "adj_t alone": (
        "from torch_geometric.transforms import ToSparseTensor\n"
        "g = ToSparseTensor(layout=torch.sparse_csr)(g)",
    ),
    "first graph empty": (
        "g.x = torch.zeros(0 if i == 0 else 3, 1).long() + i\n"
        "g.edge_index = g.edge_index[:, :len(g.x) * 2]",
    ),
    "integer edge_attr": (
        "g.edge_attr = torch.eye(4).int()[[i % 4] * 6]",
        "--model.gnn=GAT",
        "--model.edge_dim=4",
    ),
    "float64 throughout": ("", "--trainer.precision=64-true"),
    "bfloat16 throughout": ("", "--trainer.precision=bf16-true"),
    "mixed": ("", "--trainer.precision=bf16-mixed"),
    "a plateau schedule, validation each second epoch": (
        "",
        "--model.lr_patience=3",
        "--trainer.check_val_every_n_epoch=2",
    ),
    "no validation": ("", "--trainer.limit_val_batches=0"),
    "one level": ("", "--model.num_clusters=8"),
    "workers": ("", "--data.num_workers=1"),
    "a single target": ("g.y = g.y + 0.5",),
    "classes as floats": ("g.y = g.y.float() * 2", "--model.task=classification"),
    "several targets": ("g.y = torch.tensor([[i / 7, i / 3]])",),
    "one label": ("g.y = g.y.view(1, 1).float()",),
    "classes to regress": ("", "--model.task=regression"),
    "widths given": (
        "",
        *("--model.in_channels=2", "--model.out_channels=2"),
        "--model.task=classification",
    ),
}


@pytest.mark.parametrize("name", WORKS)
def test_works(cli, make_set, name):
    change, *options = WORKS[name]
    result = cli("fit", f"--data.dataset={make_set(change)}", *QUICK, *options)
    assert None not in [v for k, v in result.items() if k.startswith("test_")]
    checkpoint = result["checkpoint"] or "last"
    cli("predict", f"--ckpt_path={checkpoint}", *options)
    assert len(predictions()) == 60


def test_no_number_is_null_in_json(cli, make_set):
    name = make_set("g.y = torch.tensor([i / 7])")
    result = cli("fit", f"--data.dataset={name}", *QUICK, "--data.num_folds=60")
    assert result["test_r2"] is None  # of one graph
    assert result["test_mae"] >= 0


def test_scales():
    model = DiffPoolModule(2, 2, "classification")
    ones = torch.tensor([[1.0, 10_001.0], [0.0, 10_003.0]])
    model.feature_scale.fit(torch.cat([ones, torch.zeros(0, 2)]))
    for scale in (model.feature_scale, model.bfloat16().feature_scale):
        expected = torch.tensor([[1.0, -1.0], [0.0, 1.0]])  # zeros and ones stay
        torch.testing.assert_close(scale(ones), expected)


def test_one_graph_is_a_row():
    model = DiffPoolModule(2, 3, "classification", hidden_channels=8).eval()
    graph = Data(x=torch.randn(4, 2), edge_index=torch.tensor([[0, 1], [1, 0]]))
    single, batch = model(graph).out, model(Batch.from_data_list([graph])).out
    torch.testing.assert_close(single, batch)


def test_graph_attributes_are_regressed(cli, work):
    folder = write_tu(work / "REG", map(float, range(30)), [0, 1] * 15)
    text = "".join(f"{100 + g}\n" for g in range(30))
    (folder / "REG_graph_attributes.txt").write_text(text)
    (folder / "raw").mkdir()
    for path in folder.glob("*.txt"):
        path.rename(folder / "raw" / path.name)
    Path("elsewhere").mkdir()
    folder.rename(Path("elsewhere") / "REG")
    options = ["--data.root=elsewhere", "--data.batch_size=4", "--model.dropout=0"]
    result = cli("fit", "--data.dataset=REG", *LEARN, *options)
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
    name = make_set()
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
