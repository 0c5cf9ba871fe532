"""Metrics files → metrics, by their extension."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from repro.errors import UsageError
from repro.measure.csvfile import read_metrics_csv
from repro.measure.jsonfile import read_json
from repro.measure.source import MAX_METRICS_BYTES, Source, decode
from repro.measure.tomlfile import read_toml
from repro.measure.yamlfile import read_yaml
from repro.models.measurement import Metric

READERS: Mapping[str, Callable[[Source], tuple[Metric, ...]]] = {
    ".json": read_json,
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".toml": read_toml,
    ".csv": read_metrics_csv,
}
"""The extensions of metrics files and who reads them."""


def read_metrics(data: bytes, *, file: str) -> tuple[Metric, ...]:
    """The metrics in one file, in its order; nested names joined by dots, list items by index.

    NaN and infinities are read where they are written as such. Raises AnalysisError naming the
    file and the position of what is wrong, UsageError for an extension that nothing reads.
    """
    suffix = PurePosixPath(file).suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        raise UsageError(
            f"[metrics] files: {file}: metrics are read from {', '.join(READERS)}",
            hint="a table with several columns belongs under [[tables]]",
        )
    return reader(decode(data, file=file, limit=MAX_METRICS_BYTES))
