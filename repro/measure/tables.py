"""CSV files → tables of text cells."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from repro.errors import UsageError
from repro.measure.csvfile import rows
from repro.measure.source import MAX_TABLE_BYTES, Source, decode, quoted
from repro.models.measurement import Table

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""The extensions of tables and what separates their cells."""

MAX_CELLS = 2_000_000
"""Most cells in one table."""


def read_table(data: bytes, *, file: str) -> Table:
    """The table in one file, its cells as the text that is written there; blank lines skipped.

    Raises AnalysisError naming the file and line of a ragged row, a column name that occurs
    twice or a NUL; UsageError for an extension that nothing reads.
    """
    suffix = PurePosixPath(file).suffix.lower()
    if suffix not in DELIMITERS:
        raise UsageError(f"[[tables]] file: {file}: tables are read from {', '.join(DELIMITERS)}")
    source = decode(data, file=file, limit=MAX_TABLE_BYTES)
    numbered = rows(source, delimiter=DELIMITERS[suffix])
    line, columns = next(numbered, (1, []))
    _check_columns(columns, source, line)
    kept: list[tuple[str, ...]] = []
    for line, cells in numbered:
        if len(cells) != len(columns):
            raise source.error_at_line(
                f"{len(cells)} cells, but the header has {len(columns)} columns", line
            )
        if (len(kept) + 1) * len(columns) > MAX_CELLS:
            raise source.error_at_line(f"more than {MAX_CELLS} cells", line)
        kept.append(tuple(cells))
    return Table(file=file, columns=tuple(columns), rows=tuple(kept))


def _check_columns(columns: list[str], source: Source, line: int) -> None:
    if not columns:
        raise source.error_at_line("no header", line)
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        names = ", ".join(quoted(name) for name in twice[:3])
        raise source.error_at_line(f"column names that occur twice: {names}", line)
