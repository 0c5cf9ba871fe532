"""The locked packages as a flat repository that apt reads: the store's files, no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from repro.ecosystems.apt.pins import release
from repro.errors import LockError
from repro.files import copy_regular, digest_file, local_errors, make_folder, write_atomic
from repro.locks.apt import render_one
from repro.models.lock import Deb
from repro.models.project import PLATFORM, platform_of
from repro.store.artifacts import Store

_ORIGIN = "repro"
_POOL = re.compile(r"pool/([0-9a-f]{64})\.deb")
_DAMAGED = re.compile(r"(?i)hash sum mismatch|unexpected size|size mismatch")

# Documentation and translations; copyright files stay. The folders of manual pages stay too:
# without them some maintainer scripts fail (openjdk).
PATHS = (
    "path-exclude=/usr/share/man/*.gz",
    "path-exclude=/usr/share/doc/*/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*/*",
    "path-include=/usr/share/locale/locale.alias",
)
"""What dpkg leaves out of every package, as its own options say it."""


def fill(folder: Path, debs: Sequence[Deb], *, suite: str, store: Store) -> None:
    """Write the repository: hard links into the store where that is possible."""
    pool = make_folder(folder / "pool")
    for deb in debs:
        _link(store.path(deb.sha256), pool / f"{deb.sha256}.deb")
    packages = "\n".join(
        render_one(deb, filename=f"./pool/{deb.sha256}.deb") for deb in debs
    ).encode()
    write_atomic(folder / "Packages", packages)
    architecture = platform_of(PLATFORM).architecture
    write_atomic(folder / "Release", release(packages, _ORIGIN, suite, architecture).encode())


def require_stored(debs: Sequence[Deb], store: Store) -> None:
    """Raise LockError where the store lacks a package."""
    missing = [deb for deb in debs if not store.has(deb.sha256, deb.size, label=_label(deb))]
    if missing:
        first = missing[0]
        raise store.absent(first.sha256, label=_label(first), why=f"{len(missing)} missing")


def damaged_package(said: str, debs: Sequence[Deb], store: Store) -> LockError | None:
    """Return the error for a package that apt found damaged, set aside then; None: none was.

    `said` are apt's words, which name the repository's file.
    """
    named = set(_POOL.findall(said)) if _DAMAGED.search(said) else set()
    for deb in debs:
        path = store.path(deb.sha256)
        if deb.sha256 in named and (found := digest_file(path)[1]) != deb.sha256:
            return store.damaged(deb.sha256, label=_label(deb), found=found)
    return None


def _label(deb: Deb) -> str:
    """How messages call it."""
    return f"apt {deb.name} {deb.version}"


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or not allowed there
        with local_errors(target):
            copy_regular(source, target)
