"""`repro status`: where the project stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.errors import LockError
from repro.report.facts import facts, how_many, short
from repro.report.text import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import Status


def exit_code(status: Status) -> int:
    """0 when the lock is there and fits, else 3."""
    return 0 if status.lock is not None and status.lock.fresh else LockError.exit_code


def render(status: Status) -> RenderableType:
    """Lay it out for a person."""
    packages = how_many(status.packages)
    return facts(
        (
            ("project", status.project),
            ("lock", _lock(status)),
            *((("packages", packages),) if packages else ()),
            ("image", _image(status)),
            ("baseline", _baseline(status)),
            ("last run", _last_run(status)),
            ("next", status.next_step),
        )
    )


def _lock(status: Status) -> str:
    if status.lock is None:
        return "none"
    parts = []
    if status.lock.edited:
        parts.append("edited: " + ", ".join(status.lock.edited))
    if status.lock.stale:
        parts.append("stale: " + ", ".join(status.lock.stale))
    key = f" ({short(status.environment_key)})" if status.environment_key else ""
    return ("; ".join(parts) or "fits the inputs") + key


def _image(status: Status) -> str:
    if status.image_id is None:
        return "never built"
    return (
        f"{short(status.image_id)}, {'in the cache' if status.image_built else 'not in the cache'}"
    )


def _baseline(status: Status) -> str:
    if status.baseline is None:
        return "none"
    where = "this environment" if status.baseline_current else "another environment"
    files = counted(len(status.baseline.files), "file")
    return f"{status.baseline.reason} ({files}, accepted in {where})"


def _last_run(status: Status) -> str:
    if status.last_run is None:
        return "none"
    return f"{status.last_run}, {'succeeded' if status.last_run_succeeded else 'failed'}"


def data(status: Status) -> dict[str, object]:
    """Return the same as JSON values."""
    lock, baseline = status.lock, status.baseline
    return {
        "project": status.project,
        "environment_key": status.environment_key,
        "lock": {"stale": list(lock.stale), "edited": list(lock.edited)} if lock else None,
        "packages": dict(status.packages),
        "image": {"id": status.image_id, "built": status.image_built} if status.image_id else None,
        "baseline": {
            "reason": baseline.reason,
            "environment_key": baseline.environment_key,
            "current": status.baseline_current,
        }
        if baseline
        else None,
        "last_run": {"id": status.last_run, "succeeded": status.last_run_succeeded}
        if status.last_run
        else None,
        "next": status.next_step,
        "exit_code": exit_code(status),
    }
