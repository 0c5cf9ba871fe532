"""Versions that stay: a flat repository of the old lock's packages, which apt prefers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.ecosystems.apt.private import LOCAL_ORIGIN
from repro.files import write_atomic
from repro.locks.apt import render
from repro.models.lock import Deb, Upgrade


@dataclass(frozen=True, kw_only=True, slots=True)
class Pins:
    """The old lock's packages that are kept: a local source that apt prefers."""

    debs: tuple[Deb, ...]

    @classmethod
    def kept(cls, previous: Iterable[Deb], upgrade: Upgrade) -> Pins:
        """Return what an upgrade leaves alone: neither a name of it, nor of its source package.

        Binary packages of one source depend on each other's exact version.
        """
        debs = tuple(previous)
        sources = {source_of(deb) for deb in debs if upgrade.covers(deb.name)}
        return cls(debs=tuple(deb for deb in debs if source_of(deb) not in sources))

    def without(self, names: Iterable[str]) -> Pins:
        """Return the pins after those names, and all of their sources, are let go."""
        return Pins.kept(self.debs, Upgrade(names=tuple(names)))

    def newer_than(self, versions: Mapping[str, str]) -> Pins:
        """Return the pins without those that an image already has, in this version or a newer.

        apt would take a pin for an order to go back to it.
        """
        from debian.debian_support import Version

        return Pins(
            debs=tuple(
                deb
                for deb in self.debs
                if deb.name not in versions or Version(deb.version) > Version(versions[deb.name])
            )
        )

    def by_hash(self) -> dict[str, Deb]:
        """Return {sha256: package}."""
        return {deb.sha256: deb for deb in self.debs}

    def write(self, folder: Path, suite: str, architecture: str = "amd64") -> None:
        """Write them as a flat repository that apt reads."""
        packages = render(self.debs).encode()
        text = release(packages, LOCAL_ORIGIN, suite, architecture)
        write_atomic(folder / "Packages", packages)
        write_atomic(folder / "Release", text.encode())


def release(packages: bytes, origin: str, suite: str, architecture: str = "amd64") -> str:
    """Return the Release file of a flat repository with this `Packages` file.

    With Suite and Codename: without them mmdebstrap finds nothing to extract (BUILD.md §2).
    """
    digest = hashlib.sha256(packages).hexdigest()
    return (
        f"Origin: {origin}\nLabel: {origin}\nSuite: {suite}\nCodename: {suite}\n"
        f"Date: Sat, 01 Jan 2000 00:00:00 UTC\nArchitectures: {architecture} all\n"
        f"SHA256:\n {digest} {len(packages)} Packages\n"
    )


def source_of(deb: Deb) -> str:
    """Return the name of the source package that a package was built from."""
    return dict(deb.fields).get("Source", deb.name).split()[0]
