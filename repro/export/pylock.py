"""`pylock.toml` (PEP 751): pip's packages for any installer that reads the standard.

A file of it must have an address or a path. A lock of repro names no host, so it has a path: where
the vendored folder has the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from repro.export.facts import head, machine
from repro.models.lock import Lock, PipArtifact

if TYPE_CHECKING:
    from packaging.pylock import Package

Place = Callable[[str, str], PurePosixPath]


def render(lock: Lock, *, place: Place) -> str:
    """Return the text; `place` says where a file (its name, sha256) is, seen from the text."""
    import tomli_w
    from packaging.pylock import Pylock

    found = Pylock(
        lock_version=Version("1.0"),
        environments=[Marker(_environment(lock))],
        requires_python=SpecifierSet(_requires_python(lock)) if lock.seal.python else None,
        created_by="repro",
        packages=[_package(item, place) for item in sorted(lock.pip, key=lambda item: item.name)],
    )
    found.validate()
    return f"# {head('pylock', lock)}.\n\n{tomli_w.dumps(dict(found.to_dict()))}"


def _environment(lock: Lock) -> str:
    return (
        "implementation_name == 'cpython' and sys_platform == 'linux' "
        f"and platform_machine == '{machine(lock)}'"
    )


def _requires_python(lock: Lock) -> str:
    return f"=={lock.seal.python}.*"


def _package(item: PipArtifact, place: Place) -> Package:
    from packaging.pylock import Package, PackageSdist, PackageWheel

    name: NormalizedName = canonicalize_name(item.name)
    if item.build is not None:
        sdist = PackageSdist(
            name=item.filename,
            path=place(item.filename, item.sha256).as_posix(),
            size=item.size,
            hashes={"sha256": item.sha256},
        )
        built = PackageWheel(
            name=item.build.wheel,
            path=place(item.build.wheel, item.build.sha256).as_posix(),
            hashes={"sha256": item.build.sha256},
        )
        return Package(name=name, version=Version(item.version), sdist=sdist, wheels=[built])
    wheel = PackageWheel(
        name=item.filename,
        path=place(item.filename, item.sha256).as_posix(),
        size=item.size,
        hashes={"sha256": item.sha256},
    )
    return Package(name=name, version=Version(item.version), wheels=[wheel])
