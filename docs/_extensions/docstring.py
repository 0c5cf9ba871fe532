"""The directive `docstring`: what a module says of itself, as Markdown, without importing it."""

from __future__ import annotations

import ast
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Docstring(SphinxDirective):
    """`{docstring} ../../tests/watch.py`: the path is relative to the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the text in place; the page depends on the module."""
        found, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(found)
        text = ast.get_docstring(ast.parse(Path(path).read_text()))
        if text is None:
            raise self.error(f"{found} has no docstring")
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("docstring", Docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
