"""Which format a foreign lock has, told from its name or its first lines, and its reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from repro.errors import UsageError
from repro.locks.foreign import conda_lock, pixi, pylock, requirements, uv
from repro.models.foreign import ForeignLock

_Reader = Callable[..., ForeignLock]

_NAMES: tuple[tuple[str, _Reader], ...] = (
    (r"(.*\.)?uv\.lock|.*\.py\.lock", uv.parse),
    (r"pylock(\.[^.]+)?\.toml", pylock.parse),
    (r".*\.txt", requirements.parse),
    (r"(.*\.)?pixi\.lock", pixi.parse),
    (r"(.*\.|.*-)?conda-lock\.ya?ml", conda_lock.parse),
)
"""File names, as their tools give them."""

_CONTENTS: tuple[tuple[str, _Reader], ...] = (
    (r"^lock-version\s*=", pylock.parse),
    (r"^version = [0-9]+\n(revision|requires-python) = ", uv.parse),
    (r"^version: [0-9]\n(platforms|environments):", pixi.parse),
    (r"^[A-Za-z0-9][A-Za-z0-9._\[\]-]* ?== ?[^\s\\]+[^\n\\]*(\\\n)? +--hash=", requirements.parse),
)
"""What the head of a file of another name looks like."""

_HEAD = 4096

_OTHERS = {
    "poetry.lock": "poetry export --output requirements.txt",
    "pdm.lock": "pdm export --format pylock --output pylock.toml",
    "Pipfile.lock": "pipenv requirements --hash > requirements.txt",
}
"""Locks that are read through what their own tool makes of them."""

READ = "uv.lock, pylock.toml, pixi.lock, conda-lock.yml and a hashed requirements.txt"


_OF_PLATFORMS: tuple[_Reader, ...] = (pixi.parse, conda_lock.parse)
"""They hold each platform's packages apart, by conda's name of it."""


def read(name: str, text: str, *, subdir: str) -> ForeignLock:
    """Return what a lock pins; `subdir` is conda's name of the platform.

    Raises UsageError for a format that is not read, LockError for whatever is not that format.
    """
    found = reader(name, text)
    if found in _OF_PLATFORMS:
        return found(text, where=name, subdir=subdir)
    return found(text, where=name)


def reader(name: str, text: str) -> _Reader:
    """Return the reader of a file. Raises UsageError for a format that is not read."""
    base = PurePosixPath(name).name
    if base in _OTHERS:
        raise UsageError(
            f"{name}: this format is not taken over",
            hint=f"export it, and adopt that: {_OTHERS[base]}",
        )
    for pattern, found in _NAMES:
        if re.fullmatch(pattern, base):
            return found
    for pattern, found in _CONTENTS:
        if re.search(pattern, text[:_HEAD], re.MULTILINE):
            return found
    raise UsageError(f"{name}: not a lock that can be taken over", hint=f"those are: {READ}")
