"""Measurements: what an analysis wrote, as numbers and tables."""

from __future__ import annotations

from dataclasses import dataclass

METRICS_SUFFIXES = (".json", ".yaml", ".yml", ".toml", ".csv")
"""The extensions of files that metrics are read from, in any case."""

TABLE_SUFFIXES = (".csv", ".tsv")
"""The extensions of files that tables are read from, in any case."""

Scalar = float | int | str | bool | None
"""A metric's value. `bool` is never a number here; NaN and infinities are floats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One value. Nested names are joined with dots, list items by index."""

    name: str
    value: Scalar
    file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table as text cells: `columns` in order, `rows` of the same length.

    Cells stay text until they are compared, so that nothing is lost in reading; an empty cell
    is "".
    """

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """All that was measured of one run or baseline, metrics sorted by name."""

    metrics: tuple[Metric, ...]
    tables: tuple[Table, ...] = ()
