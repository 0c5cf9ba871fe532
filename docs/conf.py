"""Sphinx: how docs/ becomes a site that needs no other host (`nox -s docs`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pygments.lexers.shell import BashSessionLexer
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

import repro  # noqa: E402 - the tree beside this file, also where nothing is installed

project = "repro"
author = "the repro developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name for it
version = release = repro.__version__

extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "click_reference",
    "docstring",
    "fault_rows",
    "schema_table",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False  # "--json" must not become a dash

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"repro {release}"
html_static_path = ["_static"]
html_css_files = ["repro.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "footer_icons": []}

copybutton_prompt_text = r"\$ |> "
copybutton_prompt_is_regexp = True
copybutton_here_doc_delimiter = "END"
copybutton_only_copy_prompt_lines = True

linkcheck_anchors = False
linkcheck_retries = 2


class Console(BashSessionLexer):
    """A terminal whose prompt is `$` alone: a line with `#` is output, for example of a file."""

    _ps1rgx = re.compile(r"^(\$ )(.*\n?)")


def setup(app: Sphinx) -> None:
    """Give `console` blocks that lexer."""
    app.add_lexer("console", Console)
