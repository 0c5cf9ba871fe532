"""Whose a store is, and that it is made of plain files: what lies in it is believed and run."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from repro.errors import LockError
from repro.files import local_errors

TRUST = "REPRO_TRUST_CACHE"
"""The environment variable with which a user takes a store that others may write."""


def require_own(root: Path, *, trusted: bool) -> None:
    """Check the store's folder and those directly in it. Raises LockError, LocalError.

    The store must belong to this user or to root, and not everybody may write there; unless
    `trusted`. A group may: whoever shares a cache with a group means to. The store's own folder
    may be reached through a link, which is its user's choice; nothing in it may be one.
    """
    with local_errors(root):
        try:
            state = root.stat()
        except FileNotFoundError:
            return
        if not trusted:
            _require_owner(root, state)
            _require_closed(root, state)
        with os.scandir(root) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(state.st_mode):
                    raise _foreign(Path(entry.path), state)
                if stat.S_ISDIR(state.st_mode) and not trusted:
                    _require_closed(Path(entry.path), state)


def plain_folder(path: Path) -> bool:
    """Whether a folder is there. Raises LockError for a link or anything else of that name."""
    return _plain(path, stat.S_IFDIR) is not None


def plain_file(path: Path) -> os.stat_result | None:
    """What is said of a regular file, None where there is none. Raises LockError otherwise."""
    return _plain(path, stat.S_IFREG)


def _plain(path: Path, kind: int) -> os.stat_result | None:
    with local_errors(path):
        try:
            state = path.lstat()
        except FileNotFoundError:
            return None
    if stat.S_IFMT(state.st_mode) != kind:
        raise _foreign(path, state)
    return state


def _foreign(path: Path, state: os.stat_result) -> LockError:
    what = "a link" if stat.S_ISLNK(state.st_mode) else "something else than the store put there"
    return LockError(
        f"{path}: is {what}, and the store follows none",
        hint=f"repro makes none there: find out who did; then remove it: rm {path}",
    )


def _require_owner(root: Path, state: os.stat_result) -> None:
    if state.st_uid in (0, os.geteuid()):
        return
    try:
        owner = f"{pwd.getpwuid(state.st_uid).pw_name} (user {state.st_uid})"
    except KeyError:
        owner = f"user {state.st_uid}"
    raise LockError(
        f"{root}: this cache belongs to {owner}, who could change what is run from it",
        hint=f"use one of your own: REPRO_CACHE=DIR; or, if you trust them: {TRUST}=1",
    )


def _require_closed(path: Path, state: os.stat_result) -> None:
    mode = stat.S_IMODE(state.st_mode)
    if mode & stat.S_IWOTH:
        raise LockError(
            f"{path}: everybody may write there (mode {mode:04o}), and change what is run from it",
            hint=f"chmod o-w {path}; or, if you trust everybody here: {TRUST}=1",
        )
