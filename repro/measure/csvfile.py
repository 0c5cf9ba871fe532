"""CSV as rows with their lines: for metrics (name,value) and for tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from repro.measure.collect import Collector
from repro.measure.jsonfile import finite
from repro.measure.source import Source, quoted
from repro.models.measurement import Metric
from repro.models.numerals import is_numeral, parse_number

_HEADERS = frozenset({"name", "metric", "key"})


def rows(source: Source, *, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row that is not blank. Raises AnalysisError naming the line."""
    nul = source.text.find("\0")
    if nul >= 0:
        raise source.error("a NUL character", nul)
    reader = csv.reader(io.StringIO(source.text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:  # its message may hold the delimiter, a tab
        said = str(error).encode("unicode_escape").decode()
        raise source.error_at_line(said, line) from None


def read_metrics_csv(source: Source) -> tuple[Metric, ...]:
    """Metrics of a CSV of name,value, with or without that header.

    A value that writes a number is one, an empty value is None, all else is text. Raises
    AnalysisError.
    """
    collector = Collector(source)
    collector.enter(0, mapping=True)
    offset, lines, first = 0, 1, True
    for line, cells in rows(source):
        while lines < line:  # offsets advance with the rows: one pass over the text
            offset = source.text.find("\n", offset) + 1
            lines += 1
        if len(cells) != 2:
            raise source.error_at_line(
                f"{len(cells)} cells where name,value are two",
                line,
                hint="a wider CSV is a table: declare it under [[tables]]",
            )
        name, text = cells[0].strip(), cells[1].strip()
        header = first and name.lower() in _HEADERS and text.lower() == "value"
        first = False
        if header:
            continue
        if not name:
            raise source.error_at_line(f"the value {quoted(text)} has no name", line)
        collector.key(name, offset)
        number = finite(text, source, offset) if is_numeral(text) else parse_number(text)
        collector.value(number if number is not None else text or None, offset)
    return collector.finish()
