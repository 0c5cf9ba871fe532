"""`repro run`: what a run was, and what it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report.facts import facts, json_scalar
from repro.report.text import counted, scalar

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.execution import Run
    from repro.models.measurement import Measurement
    from repro.models.outcome import RunResult


def render(result: RunResult) -> RenderableType:
    """Lay it out for a person: the run, then its metrics."""
    from rich.console import Group

    run = result.run
    rows = [
        ("run", f"{run.id} ({run.execution.engine}, {run.execution.seconds:.1f} s)"),
        ("outputs", ", ".join(item.path for item in run.outputs) or "none"),
    ]
    if result.copied:
        rows.append(("copied", f"{counted(len(result.copied), 'file')} into the project"))
    if run.discarded:
        rows.append(("discarded", ", ".join(run.discarded[:10]) + _more(len(run.discarded) - 10)))
    rows += [("not enforced", limit) for limit in run.execution.unenforced]
    parts: list[RenderableType] = [facts(rows)]
    if result.measurement is not None:
        parts += ["", metrics(result.measurement)]
    return Group(*parts)


def _more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""


def metrics(measurement: Measurement) -> RenderableType:
    """List every metric with its value, and every table with its size."""
    rows = [(metric.name, scalar(metric.value)) for metric in measurement.metrics]
    rows += [
        (table.file, f"{counted(len(table.rows), 'row')}, {counted(len(table.columns), 'column')}")
        for table in measurement.tables
    ]
    return facts(rows or [("metrics", "none declared")])


def run_data(run: Run) -> dict[str, object]:
    """Return a run as JSON values."""
    return {
        "id": run.id,
        "engine": run.execution.engine,
        "seconds": round(run.execution.seconds, 3),
        "exit_status": run.execution.code,
        "environment_key": run.environment_key,
        "image_id": run.image_id,
        "outputs": [
            {"path": item.path, "size": item.size, "sha256": item.sha256} for item in run.outputs
        ],
        "discarded": list(run.discarded),
        "unenforced": list(run.execution.unenforced),
    }


def measurement_data(measurement: Measurement) -> dict[str, object]:
    """Return a measurement as JSON values."""
    return {
        "metrics": {metric.name: json_scalar(metric.value) for metric in measurement.metrics},
        "tables": [
            {"file": table.file, "rows": len(table.rows), "columns": list(table.columns)}
            for table in measurement.tables
        ],
    }


def data(result: RunResult) -> dict[str, object]:
    """Return the same as JSON values."""
    measured = result.measurement
    return {
        "run": run_data(result.run),
        "measurement": measurement_data(measured) if measured is not None else None,
        "copied": list(result.copied),
    }
