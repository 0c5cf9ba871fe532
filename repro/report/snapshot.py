"""`repro snapshot`: what is locked, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.models.project import family_of
from repro.report import lockdiff
from repro.report.facts import facts, how_many, short
from repro.report.text import file_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from repro.models.lock import Seal
    from repro.models.outcome import SnapshotResult


def render(result: SnapshotResult, *, head: Sequence[tuple[str, str]] = ()) -> RenderableType:
    """Lay it out for a person: `head`, the lock, then the changes against the one before."""
    from rich.console import Group

    lock = result.lock
    rows = [
        *head,
        ("lock", f"{result.folder} ({short(lock.key)}), {_what_happened(result)}"),
        ("packages", how_many(lock.counts)),
        ("base", base(lock.seal)),
        *(
            (f"lock {other.lock.seal.platform}", f"{other.folder} ({short(other.lock.key)})")
            for other in result.others
        ),
        *([("adopted", result.adopted)] if result.adopted is not None else []),
        *(("input", f"{path}, {_new(result)}") for path, _ in result.inputs),
        *(("note", note) for note in result.notes),
    ]
    parts: list[RenderableType] = [facts(rows)]
    for path, text in () if result.written else result.inputs:
        parts += ["", file_text(path, text)]
    for one in (result, *result.others):
        if one.diff is not None and one.diff.changes:
            parts += ["", *([one.folder] if result.others else []), lockdiff.render(one.diff)]
    return Group(*parts)


def base(seal: Seal) -> str:
    """Say what the packages stand on, in a few words."""
    image, python = seal.base, seal.python
    what = f"{family_of(seal.suite).origin} {seal.suite}"
    if image is not None:
        what = f"{image.reference} ({short(image.digest)})"
    day = f", as of {seal.as_of}" if seal.as_of else ""
    return f"{what}, {f'Python {python}' if python else 'no Python'}{day}"


def _what_happened(result: SnapshotResult) -> str:
    if result.written:
        return "written" if result.diff is None or result.diff.changes else "sealed anew"
    if result.diff is not None and not result.diff.changes:
        return "unchanged"
    return "not written (dry run)"


def _new(result: SnapshotResult) -> str:
    return "written: commit it" if result.written else "not written yet"


def data(result: SnapshotResult) -> dict[str, object]:
    """Return the same as JSON values."""
    lock = result.lock
    return {
        "environment_key": lock.key,
        "folder": result.folder,
        "written": result.written,
        "suite": lock.seal.suite or None,
        "image": image.reference if (image := lock.seal.base) is not None else None,
        "as_of": lock.seal.as_of or None,
        "python": lock.seal.python or None,
        "packages": dict(lock.counts),
        "changes": lockdiff.data(result.diff) if result.diff is not None else None,
        "adopted": result.adopted,
        "inputs": [{"path": path, "text": text} for path, text in result.inputs],
        "notes": list(result.notes),
        "others": [
            {
                "platform": other.lock.seal.platform,
                "environment_key": other.lock.key,
                "folder": other.folder,
                "packages": dict(other.lock.counts),
                "changes": lockdiff.data(other.diff) if other.diff is not None else None,
            }
            for other in result.others
        ],
    }
