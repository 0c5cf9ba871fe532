"""Wheels and source distributions made in the tests: small, real, and hostile where asked."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.ecosystems.pip.wheel import Wheel
from repro.models.lock import PipArtifact


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A wheel to make: `files` are member → content, `entry_points` the file's text."""

    name: str = "demo"
    version: str = "1.0"
    files: Mapping[str, bytes] | None = None
    requires: Sequence[str] = ()
    entry_points: str | None = None
    tag: str = "py3-none-any"
    inner_name: str | None = None
    inner_version: str | None = None
    executable: Sequence[str] = ()
    purelib: bool = True

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tag}.whl"


def record_line(name: str, data: bytes) -> str:
    """One row of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(data)}\n"


def make_wheel(recipe: Recipe) -> bytes:
    """The wheel's bytes: the same recipe is the same bytes."""
    base = f"{recipe.name.replace('-', '_')}-{recipe.version}"
    files = dict(
        recipe.files if recipe.files is not None else {f"{recipe.name}.py": b"VALUE = 1\n"}
    )
    metadata = (
        f"Metadata-Version: 2.1\nName: {recipe.inner_name or recipe.name}\n"
        f"Version: {recipe.inner_version or recipe.version}\n"
    )
    metadata += "".join(f"Requires-Dist: {line}\n" for line in recipe.requires)
    files[f"{base}.dist-info/METADATA"] = metadata.encode()
    files[f"{base}.dist-info/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {str(recipe.purelib).lower()}\n"
        f"Tag: {recipe.tag}\n"
    ).encode()
    if recipe.entry_points is not None:
        files[f"{base}.dist-info/entry_points.txt"] = recipe.entry_points.encode()
    record = "".join(record_line(name, data) for name, data in files.items())
    record += f"{base}.dist-info/RECORD,,\n"
    files[f"{base}.dist-info/RECORD"] = record.encode()
    return zipped(
        [
            (name, data, 0o755 if name in recipe.executable else 0o644)
            for name, data in files.items()
        ]
    )


def zipped(members: Sequence[tuple[str, bytes, int]]) -> bytes:
    """A zip of (name, content, mode); a mode with a type other than regular is kept."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.external_attr = (mode if stat.S_IFMT(mode) else stat.S_IFREG | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()


def inside(*members: tuple[str, bytes, int], record: str | None = None) -> bytes:
    """A wheel with extra members, listed in RECORD unless that is given."""
    base = "demo-1.0.dist-info"
    rows = "".join(record_line(name, data) for name, data, _ in members if "\n" not in name)
    known = [
        (f"{base}/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n", 0o644),
        (f"{base}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n", 0o644),
    ]
    rows += "".join(record_line(name, data) for name, data, _ in known)
    text = (rows if record is None else record) + f"{base}/RECORD,,\n"
    return zipped([*known, *members, (f"{base}/RECORD", text.encode(), 0o644)])


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a zip written by hand; `local_*` is what its own header says instead.

    `data` is as it lies in the archive, `size` what it says that this unpacks to.
    """

    name: bytes
    data: bytes = b""
    size: int | None = None
    method: int = 0
    crc: int | None = None
    flags: int = 0
    extra: bytes = b""
    listed: bool = True
    offset: int | None = None
    local_name: bytes | None = None
    local_size: int | None = None
    local_crc: int | None = None
    local_method: int | None = None


def raw_zip(members: Iterable[Member], *, end: bytes = b"") -> bytes:
    """A zip that says what its members say, right or wrong; `end` goes before the directory."""
    body, listing, count, offset = [], [], 0, 0
    for item in members:
        crc = zlib.crc32(item.data) if item.crc is None else item.crc
        size = len(item.data) if item.size is None else item.size
        name = item.name if item.local_name is None else item.local_name
        head = struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            20,
            item.flags,
            item.method if item.local_method is None else item.local_method,
            0,
            0x21,
            crc if item.local_crc is None else item.local_crc,
            len(item.data),
            size if item.local_size is None else item.local_size,
            len(name),
            0,
        )
        body += [head, name, item.data]
        if item.listed:
            count += 1
            listing += [
                struct.pack(
                    "<4s6H3L5H2L",
                    b"PK\1\2",
                    20,
                    20,
                    item.flags,
                    item.method,
                    0,
                    0x21,
                    crc,
                    len(item.data),
                    size,
                    len(item.name),
                    len(item.extra),
                    0,
                    0,
                    0,
                    0,
                    offset if item.offset is None else item.offset,
                ),
                item.name,
                item.extra,
            ]
        offset += len(head) + len(name) + len(item.data)
    directory = b"".join(listing)
    start = offset + len(end)
    tail = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), start, 0
    )
    return b"".join([*body, end, directory, tail])


def zeros(mebibytes: int) -> bytes:
    """A raw deflate stream of so many MiB of zeros, made in no time (about 1000 : 1)."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    press.compress(bytes(1 << 20))
    press.flush(zlib.Z_FULL_FLUSH)
    block = press.compress(bytes(1 << 20)) + press.flush(zlib.Z_FULL_FLUSH)
    return block * mebibytes + press.flush()


def make_sdist(name: str, version: str, files: Mapping[str, bytes]) -> bytes:
    """A `.tar.gz` source distribution with one top folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def stored(folder: Path, recipe: Recipe, data: bytes | None = None) -> Wheel:
    """Write a wheel to a file named by its digest, as the store does."""
    data = make_wheel(recipe) if data is None else data
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / sha256
    path.write_bytes(data)
    return Wheel(
        name=recipe.name, version=recipe.version, filename=recipe.filename, sha256=sha256, path=path
    )


def artifact(recipe: Recipe, data: bytes | None = None) -> PipArtifact:
    """The locked artifact of a wheel."""
    data = make_wheel(recipe) if data is None else data
    return PipArtifact(
        name=recipe.name,
        version=recipe.version,
        filename=recipe.filename,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
