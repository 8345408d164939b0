"""How many files of the package one call goes through."""

import subprocess
import sys
from pathlib import Path

import torch

import pyg_diffpool
from pyg_diffpool import diff_pool

HOME = str(Path(pyg_diffpool.__file__).parent)


def files_entered(call):
    entered: set[str] = set()

    def profile(frame, event, _):
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(HOME):
            entered.add(str(Path(file).relative_to(HOME)))

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered


def test_one_call_enters_few_files():
    n, batch = 80, torch.arange(80) // 40
    pairs = (batch.unsqueeze(1) == batch).nonzero().t().contiguous()
    x, s = torch.randn(n, 8), torch.randn(n, 4, requires_grad=True)
    results = []
    forward = files_entered(lambda: results.append(diff_pool(x, pairs, s, batch=batch)))
    (out,) = results
    loss = out.x.sum() + out.adj.sum() + out.link_loss + out.entropy_loss
    backward = files_entered(loss.backward)
    assert len(forward) <= 10, sorted(forward)
    assert 0 < len(backward) <= 5, sorted(backward)


def test_a_checkout_that_is_not_installed_has_a_version() -> None:
    program = (
        "import importlib.metadata as m; f = m.version\n"
        "def version(name):\n"
        "    if name == 'pyg-diffpool': raise m.PackageNotFoundError(name)\n"
        "    return f(name)\n"
        "m.version = version\n"
        "import pyg_diffpool; print(pyg_diffpool.__version__)"
    )
    run = [sys.executable, "-c", program]
    assert subprocess.check_output(run, text=True).strip() == "0+unknown"
