"""Which one file of a package is locked: the wheel that pip would take, else the sdist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from repro.ecosystems.pip.pages import ListedFile

_SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar")


def best(files: Iterable[ListedFile], tags: Sequence[Tag]) -> ListedFile | None:
    """Return the best file for a target that accepts `tags` (best first).

    Wheels go by tag, then by build number (PEP 427), then by file name; a source distribution
    only where no wheel fits, `.tar.gz` before the rest. None: nothing fits.
    """
    rank = {tag: position for position, tag in reversed(list(enumerate(tags)))}
    wheels: list[tuple[int, tuple[int, str], str, ListedFile]] = []
    sources: list[tuple[int, str, ListedFile]] = []
    for file in files:
        if file.filename.endswith(".whl"):
            try:
                _, _, build, offered = parse_wheel_filename(file.filename)
            except (InvalidWheelFilename, ValueError):  # ValueError: numbers without end
                continue
            ranks = [rank[tag] for tag in offered if tag in rank]
            if ranks:
                wheels.append((-min(ranks), build or (-1, ""), file.filename, file))
        else:
            for position, suffix in enumerate(_SDISTS):
                if file.filename.endswith(suffix):
                    sources.append((position, file.filename, file))
                    break
    if wheels:
        # max keeps the first of equals: the index that was asked first
        return max(wheels, key=lambda row: row[:3])[3]
    return min(sources, key=lambda row: row[:2])[2] if sources else None


def is_wheel(filename: str) -> bool:
    """Whether a file of that name needs no build."""
    return filename.endswith(".whl")
