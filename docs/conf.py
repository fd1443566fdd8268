"""The documentation site: `sphinx-build -W docs build/docs`."""

import re

from sphinx.application import Sphinx

project = "MC dropout service"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = project
html_show_copyright = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 80
default_role = "code"  # docstrings write names between single backticks
exclude_patterns = ["img"]

_LINK = re.compile(r"^- \[.*?\]\((\w[\w-]*)\.md\)", re.M)


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Make the links of the index the table of contents, so that each page is listed once."""
    if page == "index":
        pages = "\n".join(_LINK.findall(source[0]))
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Connect the hook."""
    app.connect("source-read", add_contents)
