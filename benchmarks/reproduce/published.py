"""The figures of the papers, in percent, and where they come from."""

SETS = ("ENZYMES", "DD", "REDDIT-MULTI-12K", "COLLAB", "PROTEINS")
"""The sets of the paper's table 1, in its order."""

_QUOTED = ("ENZYMES", "DD", "COLLAB", "PROTEINS")

PAPER: dict[str, dict[str, float]] = {
    "GraphSAGE": dict(zip(_QUOTED, (54.25, 75.42, 68.25, 70.48), strict=True)),
    "Set2Set": dict(zip(_QUOTED, (60.15, 78.12, 71.75, 74.29), strict=True)),
    "SortPool": dict(zip(_QUOTED, (57.12, 79.37, 73.76, 75.54), strict=True)),
    "DiffPool-Det": {"COLLAB": 82.13},
    "DiffPool": dict(zip(SETS, (62.53, 80.64, 47.08, 75.48, 76.25), strict=True)),
    "S2V": {"ENZYMES": 63.33, "DD": 82.07},
}
"""Ying et al. 2018, tables 1 and 2: ten folds, validation accuracy at the best epoch of
the mean curve (the author in RexYing/diffpool, issue 17). S2V with two levels. Checked
against Khasahmadi et al. 2020 (table 1), Gao and Ji 2019 and Papers with Code; what is
in none of these is not here."""

FAIR: dict[str, dict[str, tuple[float, float | None]]] = {
    "DiffPool": {
        "DD": (75.0, 3.5),
        "NCI1": (76.9, 1.9),
        "PROTEINS": (73.7, 3.5),
        "ENZYMES": (59.5, 5.6),
        "IMDB-BINARY": (68.4, 3.3),
        "COLLAB": (68.9, 2.0),
    },
    "DeepSets": {"DD": (78.4, None), "PROTEINS": (75.8, None), "ENZYMES": (65.2, 6.4)},
}
"""Errica et al. 2020, mean and deviation over the test folds; their structure-free
baseline stands beside `DeepSets`."""

GRAPH_CLASS: dict[str, dict[str, float]] = {
    "DiffPool": {"easy": 98.6, "hard": 69.9},
    "PyG dense_diff_pool": {"easy": 98.6, "hard": 69.9},
    "PyG MinCut": {"easy": 99.0, "hard": 73.8},
    "PyG TopK": {"easy": 82.4, "hard": 42.7},
    "PyG SAG": {"easy": 84.2, "hard": 37.7},
}
"""On GraphClass, from the page of the data set; by networks of others."""

CODE2_F1 = 0.1401
"""DiffPool with GraphSAGE on ogbg-code2, its checkpoint chosen on test data."""
