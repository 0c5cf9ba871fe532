"""Conda packages written by hand: small, real, and hostile where asked."""

from __future__ import annotations

import bz2
import hashlib
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import zstandard

from repro.models.lock import CondaPackage
from tests.wheelhouse import Member, raw_zip

PLACEHOLDER = "/opt/" + "placehold_" * 20


@dataclass(frozen=True, kw_only=True)
class Part:
    """One member of a tar: its header, and the bytes that follow. `before` goes first as it is."""

    header: tarfile.TarInfo
    data: bytes = b""
    before: bytes = b""

    def packed(self) -> bytes:
        """The member, padded to whole blocks."""
        head = self.header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        return self.before + head + self.data + bytes(-len(self.data) % 512)


def part(name: str, data: bytes = b"", *, mode: int = 0o644, **more: Any) -> Part:
    """A file, or whatever `type` says; `more` are fields of its header."""
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = len(data), mode, 1_600_000_000
    for key, value in more.items():
        setattr(header, key, value)
    return Part(header=header, data=data)


def link(name: str, target: str, *, kind: bytes = tarfile.SYMTYPE) -> Part:
    """A symbolic link, or one of another type."""
    return part(name, mode=0o777, type=kind, linkname=target)


def tarred(parts: Iterable[Part], end: bytes = bytes(1024)) -> bytes:
    """A tar of these members."""
    return b"".join(one.packed() for one in parts) + end


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package to write: `parts` are its files, `info` what stands in place of its own `info/`.

    `listed` are further entries of paths.json by path, or other ones; None: the path is left out.
    `index` goes over index.json, `points` are its entry points.
    """

    parts: Sequence[Part] = (part("share/demo.txt", b"demo\n"),)
    name: str = "demo"
    version: str = "1.0"
    build: str = "0"
    subdir: str = "linux-64"
    suffix: str = ".conda"
    points: Sequence[str] | None = None
    index: Mapping[str, Any] = field(default_factory=dict)
    listed: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    info: Mapping[str, bytes | None] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The archive's name without its suffix."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def filename(self) -> str:
        """The archive's name."""
        return self.stem + self.suffix

    def infos(self) -> list[Part]:
        """The members of `info/`."""
        index: dict[str, Any] = {"name": self.name, "version": self.version, "build": self.build}
        index |= {"subdir": self.subdir, "build_number": 0, "depends": [], **self.index}
        found: dict[str, bytes | None] = {
            "info/index.json": json.dumps(index).encode(),
            "info/paths.json": json.dumps({"paths": self._paths(), "paths_version": 1}).encode(),
        }
        if self.points is not None:
            noarch = {"type": "python", "entry_points": list(self.points)}
            found["info/link.json"] = json.dumps({"noarch": noarch}).encode()
        found |= self.info
        return [part(name, data) for name, data in found.items() if data is not None]

    def _paths(self) -> list[Mapping[str, Any]]:
        """What paths.json says of the files, of the last one where two have a name."""
        kinds = {tarfile.REGTYPE: "hardlink", tarfile.SYMTYPE: "softlink"}
        found: dict[str, Mapping[str, Any] | None] = {}
        for one in self.parts:
            if one.header.type == tarfile.DIRTYPE:
                continue
            entry: dict[str, Any] = {"_path": one.header.name}
            entry["path_type"] = kinds.get(one.header.type, "hardlink")
            if one.header.type == tarfile.REGTYPE:
                entry["sha256"] = hashlib.sha256(one.data).hexdigest()
                entry["size_in_bytes"] = len(one.data)
            if PLACEHOLDER.encode() in one.data:
                mode = "binary" if b"\0" in one.data else "text"
                entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": mode}
            found[one.header.name] = entry
        found |= self.listed
        return [entry for entry in found.values() if entry is not None]

    def archive(self) -> bytes:
        """The archive's bytes."""
        if self.suffix == ".tar.bz2":
            return bz2.compress(tarred([*self.infos(), *self.parts]), 1)
        return zipped(self.members())

    def members(self) -> dict[str, bytes]:
        """The members of the zip."""
        return {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{self.stem}.tar.zst": pressed(tarred(self.parts)),
            f"info-{self.stem}.tar.zst": pressed(tarred(self.infos())),
        }

    def locked(self, channel: str = "https://example.org/channel") -> CondaPackage:
        """What a lock says of it."""
        data = self.archive()
        return CondaPackage(
            name=self.name,
            version=self.version,
            build=self.build,
            subdir=self.subdir,
            channel=channel,
            filename=self.filename,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
        )


def pressed(data: bytes, level: int = 3) -> bytes:
    """Data, compressed with zstd."""
    return zstandard.ZstdCompressor(level=level).compress(data)


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip that stores its members."""
    return raw_zip([Member(name=name.encode(), data=data) for name, data in members.items()])
