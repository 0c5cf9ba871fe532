"""The directive `schema`: a JSON Schema beside the page as a table of its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


@dataclass(frozen=True)
class Row:
    """One key: `path` as `a.b[].c`, its type in words, its description."""

    path: str
    kind: str
    text: str


def rows(schema: dict[str, Any], prefix: str = "") -> Iterator[Row]:
    """Every key of an object's schema, depth first; a reference is named, not followed."""
    for name, part in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Row(path, kind(part), part.get("description", ""))
        for choice in (part, *part.get("anyOf", ())):
            yield from rows(choice, f"{path}.")
            yield from rows(choice.get("items", {}), f"{path}[].")


def inherits(schema: dict[str, Any]) -> bool:
    """Whether its own keys are only the envelope of its result."""
    return bool(schema.get("$ref") == "#/$defs/result")


def kind(part: dict[str, Any]) -> str:
    """The type of a value in words: `string or null`, `array of change`."""
    if "const" in part:
        return json.dumps(part["const"])
    if "enum" in part:
        return " or ".join(json.dumps(value) for value in part["enum"])
    if "$ref" in part:
        file, _, name = part["$ref"].partition("#/$defs/")
        return f"as {Path(file).stem}" if name == "result" else str(name)
    if "anyOf" in part:
        return " or ".join(kind(choice) for choice in part["anyOf"])
    said = part.get("type", "any value")
    words = " or ".join(said) if isinstance(said, list) else str(said)
    return f"{words} of {kind(part['items'])}" if "items" in part else words


class SchemaTable(SphinxDirective):
    """`{schema} schemas/verify.json` or `{schema} schemas/common.json#comparison`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table; the page depends on the file."""
        name, _, part = self.arguments[0].partition("#")
        found, path = self.env.relfn2path(name)
        self.env.note_dependency(found)
        schema = json.loads(Path(path).read_text())
        shown = schema["$defs"][part] if part else schema
        return [table([*rows(shown), *rows(schema["$defs"]["result"] if inherits(shown) else {})])]


def table(lines: list[Row]) -> nodes.Element:
    """Three columns: key, type, meaning."""
    group = nodes.tgroup(cols=3)
    group += [nodes.colspec(colwidth=width) for width in (30, 25, 45)]
    group += nodes.thead("", row(nodes.Text("Key"), nodes.Text("Type"), nodes.Text("Meaning")))
    body = nodes.tbody()
    for line in lines:
        body += row(
            nodes.literal(text=line.path), nodes.Text(line.kind), nodes.Text(line.text or "–")
        )
    group += body
    return nodes.table("", group)


def row(*cells: nodes.Node) -> nodes.row:
    """A row of paragraphs."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("schema", SchemaTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
