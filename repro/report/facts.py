"""Short reports as name and value, one a line."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from repro.report.text import Cell, Report, line, safe, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text

    from repro.models.measurement import Scalar

GAP = 2
"""Cells between the two columns."""

LEAST = 20
"""Cells that a value gets however narrow the terminal is."""

SHORT = 12
"""Characters of a digest that a person is shown."""


def facts(rows: Iterable[tuple[str, str]]) -> Report:
    """Lay names and values out in two columns; values are wrapped under their column."""
    pairs = list(rows)

    def lines(width: int) -> list[Text]:
        left = max((width_of(name) for name, _ in pairs), default=0) + GAP
        made = []
        for name, value in pairs:
            wrapped = textwrap.wrap(safe(value), max(LEAST, width - left), break_on_hyphens=False)
            head = Cell(name + " " * (left - width_of(name)), "bold")
            made.append(line(head, *wrapped[:1]))
            made += [line(" " * left, piece) for piece in wrapped[1:]]
        return made

    return Report(lines)


def short(digest: str) -> str:
    """Shorten a digest (`sha256:…` or hex) for a person."""
    return digest.removeprefix("sha256:")[:SHORT]


def how_many(packages: Iterable[tuple[str, int]]) -> str:
    """Say how many packages there are of each ecosystem: `90 apt, 7 pip`."""
    return ", ".join(f"{number} {ecosystem}" for ecosystem, number in packages)


def json_scalar(value: Scalar) -> Scalar:
    """Return a metric's value as JSON has it: NaN and the infinities become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
