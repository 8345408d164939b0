"""Settings of the documentation; `make docs` builds it."""

from importlib import metadata
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

project = "pyg-diffpool"
author = "the authors of pyg-diffpool"
release = metadata.version("pyg-diffpool")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
]
root_doc = "index"
nitpicky = True
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(torch|torch_geometric|torch_sparse|lightning|torchmetrics|matplotlib)\..*",
    ),
    (
        "py:.*",
        r"(collections|pathlib|typing|numpy|optional|Tensor|Module|Path|MissingExtraError).*",
    ),
]
default_role = "literal"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"pyg-diffpool {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_copyright = False

INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "torch_geometric": "https://pytorch-geometric.readthedocs.io/en/latest/",
}


def reachable_inventories() -> dict[str, tuple[str, str]]:
    """The peers' inventories that can be fetched now; without a network, none."""
    folder = Path(__file__).parents[1] / "build" / "inventories"
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, url in INVENTORIES.items():
        path = folder / f"{name}.inv"
        try:
            with urlopen(f"{url}objects.inv", timeout=5) as answer:
                path.write_bytes(answer.read())
        except (URLError, TimeoutError, OSError):
            continue
        found[name] = (url, str(path))
    return found


intersphinx_mapping = reachable_inventories()
