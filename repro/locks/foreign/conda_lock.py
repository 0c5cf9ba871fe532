"""`conda-lock.yml` of conda-lock: the packages of one platform, of the category `main`."""

from __future__ import annotations

from collections import Counter

from repro.errors import LockError
from repro.locks import conda
from repro.locks.foreign.graph import name_of, roots
from repro.models.foreign import ForeignLock, ForeignPin

KIND = "conda-lock.yml"
HINT = "write it anew: conda-lock lock"
_MAIN = "main"


def parse(text: str, *, where: str, subdir: str = "linux-64") -> ForeignLock:
    """Return what a conda-lock.yml pins for one platform. Raises LockError naming the place."""
    try:
        found = conda.parse(text, where=where, foreign=True)
    except LockError as error:
        raise LockError(error.message, hint=HINT) from None
    platforms = [name for name, _ in found.packages]
    if subdir not in platforms:
        raise LockError(
            f"{where}: no platform {subdir}; there are: {', '.join(platforms) or 'none'}",
            hint=f"lock it for this one too: conda-lock lock --platform {subdir}",
        )
    listed = dict(found.pip).get(subdir, ())
    pip = [item for item in listed if item.category == _MAIN]
    twice = [name for name, count in Counter(item.name for item in pip).items() if count > 1]
    if twice:
        raise LockError(f"{where}: {twice[0]}: is there twice for {subdir}", hint=HINT)
    packages = dict(found.packages)[subdir]
    left = {*found.categories, *(item.category for item in listed)} - {_MAIN}
    note = f"{where}: its category main is taken over; it has {', '.join(sorted(left))[:200]} too"
    return ForeignLock(
        path=where,
        kind=KIND,
        pins=tuple(
            ForeignPin(
                name=item.name,
                version=item.version,
                where=f"{where}: {item.name}",
                hashes=(item.sha256,),
            )
            for item in pip
        ),
        conda=tuple(sorted(packages, key=lambda item: item.name)),
        channels=found.channels,
        conda_wants=roots({item.name: [name_of(one) for one in item.depends] for item in packages}),
        notes=(note,) if left else (),
    )
