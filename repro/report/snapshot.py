"""`repro snapshot`: what is locked, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report import lockdiff
from repro.report.facts import facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import SnapshotResult


def render(result: SnapshotResult) -> RenderableType:
    """Lay it out for a person: the lock, then the changes against the one before."""
    from rich.console import Group

    lock = result.lock
    rows = [
        ("lock", f"{result.folder} ({short(lock.key)}), {_what_happened(result)}"),
        ("packages", f"{len(lock.debs)} apt, {len(lock.pip)} pip"),
        ("base", f"Debian {lock.seal.suite}, Python {lock.seal.python}"),
        *(("note", note) for note in result.notes),
    ]
    parts: list[RenderableType] = [facts(rows)]
    if result.diff is not None and result.diff.changes:
        parts += ["", lockdiff.render(result.diff)]
    return Group(*parts)


def _what_happened(result: SnapshotResult) -> str:
    if result.written:
        return "written" if result.diff is None or result.diff.changes else "sealed anew"
    if result.diff is not None and not result.diff.changes:
        return "unchanged"
    return "not written (dry run)"


def data(result: SnapshotResult) -> dict[str, object]:
    """Return the same as JSON values."""
    lock = result.lock
    return {
        "environment_key": lock.key,
        "folder": result.folder,
        "written": result.written,
        "suite": lock.seal.suite,
        "python": lock.seal.python,
        "packages": {"apt": len(lock.debs), "pip": len(lock.pip)},
        "changes": lockdiff.data(result.diff) if result.diff is not None else None,
        "notes": list(result.notes),
    }
