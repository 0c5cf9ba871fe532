"""The layer of what a step changed in an image: a function of the files before and after alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import BinaryIO

from repro.image.layer import (
    WHITEOUT,
    Entry,
    collected,
    equal,
    is_dropped,
    rerooted,
    unmarked,
    with_parents,
    write_entries,
)
from repro.image.merged import Merged

_MOUNTED = ("dev", "proc", "sys", "run", "tmp")
"""Folders that an engine makes where an image lacks them, to mount something there."""


def write_changes(
    file: BinaryIO,
    before: Merged,
    after: Iterable[Entry],
    touched: Collection[str] | None = None,
) -> None:
    """Write the canonical layer that makes of an image's files `before` those `after`.

    Whoever made them touched no path but `touched` (None: perhaps any). Files that are what
    they were are left out, whatever an engine says of them; of those that are gone only the
    topmost is named. What differs from build to build is dropped, as in every layer. Raises
    LockError as `write_layer` does.
    """
    final = collected(after)
    for path in tuple(final):
        for parent in _parents(path):
            final.setdefault(parent, Entry(path=parent, mode=0o755, kind="dir"))
    kept = rerooted(
        final, keep=lambda entry: _is_change(entry, before.entries.get(entry.path), touched)
    )
    kept = {entry.path: entry for entry in unmarked(kept.values())}
    gone = _gone(before, final)
    for path in (*kept, *gone):
        for parent in _parents(path):
            kept.setdefault(parent, final[parent])
    for path in gone:
        folder, _, name = path.rpartition("/")
        whiteout = f"{folder}/{WHITEOUT}{name}".lstrip("/")
        kept[whiteout] = Entry(path=whiteout, mode=0, kind="file")
    write_entries(file, with_parents(kept))


def _is_change(entry: Entry, known: Entry | None, touched: Collection[str] | None) -> bool:
    """Whether a file that is there afterwards belongs into the layer."""
    if is_dropped(entry.path, folder=entry.kind == "dir"):
        return False
    if touched is not None and entry.path not in touched:
        return False
    if known is None:
        return not (entry.kind == "dir" and entry.path in _MOUNTED)
    return not equal(known, entry)


def _gone(before: Merged, final: dict[str, Entry]) -> list[str]:
    """Paths that are no more, where the folder above them is still one."""
    return [
        path
        for path, entry in before.entries.items()
        if path not in final
        and not is_dropped(path, folder=entry.kind == "dir")
        and ("/" not in path or _is_folder(path.rpartition("/")[0], final))
    ]


def _is_folder(path: str, final: dict[str, Entry]) -> bool:
    return path in final and final[path].kind == "dir"


def _parents(path: str) -> Iterable[str]:
    parent = path.rpartition("/")[0]
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]
