"""All outputs of a run or a baseline → one measurement."""

from __future__ import annotations

from collections.abc import Callable

from repro.errors import AnalysisError
from repro.measure.metrics import read_metrics
from repro.measure.source import quoted
from repro.measure.tables import read_table
from repro.models.measurement import Measurement, Metric
from repro.models.project import MetricSettings, TableSettings


def measure(
    read: Callable[[str], bytes], metrics: MetricSettings, tables: tuple[TableSettings, ...]
) -> Measurement:
    """Measure all declared metrics files and tables.

    `read` gives the bytes of a path relative to the project, and raises FileNotFoundError; it
    may stop one byte past MAX_METRICS_BYTES or MAX_TABLE_BYTES, since larger files are refused.
    Raises AnalysisError: files that are absent (all of them named), empty or malformed; one
    metric name in two files.
    """
    paths = tuple(dict.fromkeys((*metrics.files, *(table.file for table in tables))))
    contents: dict[str, bytes] = {}
    for path in paths:
        try:
            contents[path] = read(path)
        except FileNotFoundError:
            continue
    _check_written(paths, contents)
    found: dict[str, Metric] = {}
    for path in dict.fromkeys(metrics.files):
        for metric in read_metrics(contents[path], file=path):
            other = found.setdefault(metric.name, metric)
            if other is not metric:
                raise AnalysisError(
                    f"the metric {quoted(metric.name)} is in {other.file} and in {path}",
                    hint="give it two names: a metric is known by its name alone",
                )
    return Measurement(
        metrics=tuple(found[name] for name in sorted(found)),
        tables=tuple(
            read_table(contents[file], file=file)
            for file in dict.fromkeys(table.file for table in tables)
        ),
    )


def _check_written(paths: tuple[str, ...], contents: dict[str, bytes]) -> None:
    absent = [path for path in paths if path not in contents]
    empty = [path for path in paths if path in contents and not contents[path].strip()]
    if not absent and not empty:
        return
    faults = []
    if absent:
        faults.append(f"the analysis did not write {', '.join(absent)}")
    if empty:
        faults.append(f"the analysis left {', '.join(empty)} empty")
    raise AnalysisError(
        f"{'; '.join(faults)} (looked for: {', '.join(paths)})",
        hint="make the analysis write them, and name their folder in [analysis] outputs",
    )
