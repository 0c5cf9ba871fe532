"""`repro status`: where the project stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.errors import LockError
from repro.models.project import PLATFORM
from repro.report.facts import facts, how_many, short
from repro.report.snapshot import base
from repro.report.text import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.lock import LockState, Seal
    from repro.models.outcome import Status


def exit_code(status: Status) -> int:
    """0 when the lock of every platform is there and fits, else 3."""
    states = [state for _, state in status.platforms] or [status.lock]
    fits = all(state is not None and state.fresh for state in states)
    return 0 if fits else LockError.exit_code


def render(status: Status) -> RenderableType:
    """Lay it out for a person."""
    packages = how_many(status.packages)
    return facts(
        (
            ("project", status.project),
            ("lock", _lock(status)),
            *((f"lock {name}", _state(state)) for name, state in _others(status)),
            *((("packages", packages),) if packages else ()),
            *((("base", base(status.seal)),) if status.seal else ()),
            ("image", _image(status)),
            ("baseline", _baseline(status)),
            ("last run", _last_run(status)),
            ("next", status.next_step),
        )
    )


def _lock(status: Status) -> str:
    key = f" ({short(status.environment_key)})" if status.environment_key else ""
    return _state(status.lock) + key


def _others(status: Status) -> list[tuple[str, LockState | None]]:
    return [(name, state) for name, state in status.platforms if name != PLATFORM]


def _state(lock: LockState | None) -> str:
    if lock is None:
        return "none"
    parts = []
    if lock.edited:
        parts.append("edited: " + ", ".join(lock.edited))
    if lock.stale:
        parts.append("stale: " + ", ".join(lock.stale))
    return "; ".join(parts) or "fits the inputs"


def _state_data(lock: LockState | None) -> dict[str, list[str]] | None:
    return {"stale": list(lock.stale), "edited": list(lock.edited)} if lock else None


def _base_data(seal: Seal) -> dict[str, str | None]:
    image = seal.base
    return {
        "suite": seal.suite or None,
        "image": image.reference if image else None,
        "digest": image.digest if image else None,
        "python": seal.python or None,
        "as_of": seal.as_of or None,
    }


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
    baseline = status.baseline
    return {
        "project": status.project,
        "environment_key": status.environment_key,
        "lock": _state_data(status.lock),
        "platforms": {name: _state_data(state) for name, state in status.platforms},
        "base": _base_data(status.seal) if status.seal else None,
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
