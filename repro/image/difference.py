"""How two layers differ, file by file."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path


def first_difference(old: Path, new: Path) -> str:
    """Name the first file that differs between two layers' tars, and how."""
    try:
        return next(differences(old, new), "only in the order of entries")
    except (OSError, tarfile.TarError) as error:
        return f"unknown: {old} cannot be read ({error})"


def differences(old: Path, new: Path) -> Iterator[str]:
    """Yield each file that differs between two layers' tars, and how; sorted.

    Raises OSError and tarfile.TarError for what cannot be read.
    """
    with tarfile.open(old) as left, tarfile.open(new) as right:
        before = {member.name: member for member in left}
        after = {member.name: member for member in right}
        for name in sorted(before.keys() | after.keys()):
            if name not in after:
                yield f"/{name} is gone"
            elif name not in before:
                yield f"/{name} is new"
            elif before[name].get_info() != after[name].get_info():
                yield f"/{name}: type, mode, owner, size or link"
            elif before[name].isreg():
                one, two = left.extractfile(before[name]), right.extractfile(after[name])
                if one is not None and two is not None and one.read() != two.read():
                    yield f"/{name}: content"
