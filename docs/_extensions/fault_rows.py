"""The directive `fault-rows`: the fault matrix, each row with its tests or why it has none."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from schema_table import row
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tests.faults import rows

FOLDER = Path(rows.__file__).parent


def covering() -> dict[str, list[str]]:
    """The test files of each row: those named after it, or with a test named after it."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        names = re.findall(r"\btest_([a-j][0-9]{2})_", f"{path.name}\n{path.read_text()}")
        for name in dict.fromkeys(names):
            found.setdefault(name, []).append(path.name)
    return found


class FaultRows(SphinxDirective):
    """`{fault-rows}`: name, fault, tests."""

    def run(self) -> list[nodes.Node]:
        """Make the table; the page is made anew each time, since tests are no pages."""
        self.env.note_dependency(rows.__file__)
        files = covering()
        group = nodes.tgroup(cols=3)
        group += [nodes.colspec(colwidth=width) for width in (10, 45, 45)]
        group += nodes.thead("", row(nodes.Text("Row"), nodes.Text("Fault"), nodes.Text("Test")))
        body = nodes.tbody()
        for name, fault in rows.ROWS.items():
            said = rows.OPEN.get(name) or ", ".join(files.get(name, [])) or "being written"
            inline, _ = self.parse_inline(said)
            body += row(nodes.Text(name.upper()), nodes.Text(fault), nodes.inline("", "", *inline))
        group += body
        return [nodes.table("", group)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("fault-rows", FaultRows)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
