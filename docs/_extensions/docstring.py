"""The directives `docstring` and `docstrings`: what modules say of themselves, not imported."""

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
        text = said(Path(path))
        if not text:
            raise self.error(f"{found} has no docstring")
        return self.parse_text_to_nodes(text)


def said(path: Path) -> str:
    """A module's docstring: Markdown."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""


class Docstrings(SphinxDirective):
    """`{docstrings} ../../tests/faults`: a section a module that the page does not name itself.

    Tests are left out, and modules that say nothing.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the sections, sorted by name."""
        page = Path(self.env.doc2path(self.env.docname)).read_text()
        folder, _ = self.env.relfn2path(self.arguments[0])
        made: list[nodes.Node] = []
        for path in sorted((Path(self.env.srcdir) / folder).glob("[a-z]*.py")):
            text = said(path)
            if path.name.startswith(("test_", "conftest")) or f"/{path.name}`" in page or not text:
                continue
            section = nodes.section("", nodes.title(text=path.name), ids=[path.stem])
            section += self.parse_text_to_nodes(text)
            made.append(section)
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("docstring", Docstring)
    app.add_directive("docstrings", Docstrings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
