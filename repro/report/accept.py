"""`repro accept`: the new baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report.facts import facts, short
from repro.report.run import measurement_data, metrics
from repro.report.text import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import AcceptResult


def render(result: AcceptResult) -> RenderableType:
    """Lay it out for a person: the baseline, then what it holds."""
    from rich.console import Group

    baseline = result.baseline
    rows = (
        ("baseline", f"baseline/{baseline.platform}, {counted(len(baseline.files), 'file')}"),
        ("reason", baseline.reason),
        ("environment", short(baseline.environment_key)),
        ("from", "a new run" if result.reran else "the last run"),
    )
    return Group(facts(rows), "", metrics(result.measurement))


def data(result: AcceptResult) -> dict[str, object]:
    """Return the same as JSON values."""
    baseline = result.baseline
    return {
        "baseline": {
            "folder": str(baseline.folder),
            "platform": baseline.platform,
            "reason": baseline.reason,
            "environment_key": baseline.environment_key,
            "image_id": baseline.image_id,
            "files": [{"path": item.path, "sha256": item.sha256} for item in baseline.files],
        },
        "measurement": measurement_data(result.measurement),
        "reran": result.reran,
    }
