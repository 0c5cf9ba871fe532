"""Guards over archives from elsewhere: their shape is known before anything in them is used.

Format: APPNOTE.TXT 6.3.10 (zip).
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from repro.errors import LockError
from repro.locks import names

HINT = "the artifact is damaged or not to be trusted; lock another one: repro snapshot --upgrade"

MOST_ENTRIES = 1 << 16
MOST_WHOLE = 12 << 20
"""Bytes of what is read at once: a RECORD, a script, one header of a tar."""

PAX_FROM = 8 << 30
"""Bytes of a tar's member from which on its header has no room for the size."""

_MOST_DIRECTORY = 16 << 20
_MOST_UNPACKED = 64 << 30
_RATIO, _RATIO_FROM = 100, 1 << 30  # packages unpack to about three times their size

_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY, _LOCAL = b"PK\1\2", b"PK\3\4"
_NARROW = 0xFFFFFFFF  # a 32-bit field whose value stands in a zip64 record
_DESCRIBED, _UTF8 = 0x8, 0x800  # general purpose flags: sizes follow the data; names in UTF-8


@contextmanager
def opened_zip(path: Path, where: str) -> Iterator[zipfile.ZipFile]:
    """Yield a zip that is safe to look into: members' names, kinds, sizes and places are right.

    Raises LockError naming the member and the cause; what `zipfile` itself refuses passes.
    """
    with path.open("rb") as file:
        _check_directory(file, where)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_names(members, where)
            _check_sizes(members, path.stat().st_size, where)
            _check_places(members, file, archive.start_dir, where)
            yield archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member's content, at most MOST_WHOLE bytes. Raises ValueError, KeyError.

    `ZipFile.read` unpacks a member to its end, however little it declares.
    """
    info = archive.getinfo(name)
    if info.file_size > MOST_WHOLE:
        raise ValueError(f"{names.shown(name)} has {info.file_size} bytes")
    with archive.open(info) as member:
        return member.read(info.file_size)


def is_bomb(size: int, unpacked: int) -> bool:
    """Whether an archive of `size` bytes that unpacks to so many is none to unpack."""
    return unpacked > _MOST_UNPACKED or (unpacked > _RATIO_FROM and unpacked > _RATIO * size)


def _check_directory(file: BinaryIO, where: str) -> None:
    """Bound the central directory, which `zipfile` makes an object of every entry of."""
    tail_size = min(file.seek(0, 2), 22 + 0xFFFF + 76)
    file.seek(-tail_size, 2)
    tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < 22:
        raise LockError(f"{where}: is not a zip archive, or only a part of one", hint=HINT)
    (size,) = struct.unpack_from("<L", tail, end + 12)
    before = len(tail) - end
    if end >= 20 and tail[end - 20 : end - 16] == _LOCATOR64:
        wide = end - 76
        if wide < 0 or tail[wide : wide + 4] != _END64:
            raise LockError(f"{where}: its zip64 directory is not where it must be", hint=HINT)
        (size,) = struct.unpack_from("<Q", tail, wide + 40)
        before = len(tail) - wide
    start = file.seek(0, 2) - before - size
    if size > _MOST_DIRECTORY or start < 0:
        raise LockError(f"{where}: its central directory has {size} bytes", hint=HINT)
    file.seek(start)
    if (count := file.read(size).count(_ENTRY)) > MOST_ENTRIES:
        raise LockError(f"{where}: holds {count} entries, more than {MOST_ENTRIES}", hint=HINT)


def _check_names(members: list[zipfile.ZipInfo], where: str) -> None:
    """Refuse names that leave the archive, that two members share, and kinds that are no file."""
    seen: dict[str, str] = {}
    for info in members:
        raw = info.orig_filename  # `filename` is cut at a NUL, and replaced by an extra field
        name = raw.removesuffix("/")
        names.relative_path(name, where)
        if "\\" in raw or raw != info.filename:
            raise LockError(
                f"{where}: {names.shown(raw)} holds a backslash, or has a second name", hint=HINT
            )
        # as file systems that fold case or normalise would see it
        key = unicodedata.normalize("NFC", name).casefold()
        if (other := seen.setdefault(key, raw)) is not raw:
            raise LockError(
                f"{where}: holds {names.shown(raw)} twice"
                if other == raw
                else f"{where}: {names.shown(other)} and {names.shown(raw)} are one name where "
                "case and Unicode forms do not count",
                hint=HINT,
            )
        _check_kind(info, where)
    for info in members:
        parent = info.filename.removesuffix("/").rpartition("/")[0]
        while parent:
            above = seen.get(unicodedata.normalize("NFC", parent).casefold())
            if above is not None and not above.endswith("/"):
                raise LockError(
                    f"{where}: {names.shown(above)} is a file, and {names.shown(info.filename)} "
                    "lies below it",
                    hint=HINT,
                )
            parent = parent.rpartition("/")[0]


def _check_kind(info: zipfile.ZipInfo, where: str) -> None:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LockError(f"{where}: {names.shown(info.filename)} is no regular file", hint=HINT)
    if mode & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISDIR(mode):
        raise LockError(f"{where}: {names.shown(info.filename)} is setuid or setgid", hint=HINT)


def _check_sizes(members: list[zipfile.ZipInfo], size: int, where: str) -> None:
    """Refuse a bomb; `zipfile` gives no more of a member than it declares."""
    unpacked = sum(info.file_size for info in members)
    if is_bomb(size, unpacked):
        raise LockError(f"{where}: its {size} bytes would unpack to {unpacked}", hint=HINT)
    for info in members:
        folder, _, name = info.filename.partition("/")
        # licences and bills of materials may lie deeper, and are never read whole
        whole = folder.endswith(".dist-info") and "/" not in name
        if whole and info.file_size > MOST_WHOLE:
            raise LockError(
                f"{where}: {names.shown(info.filename)} has {info.file_size} bytes", hint=HINT
            )


class _Local(NamedTuple):
    """A member's own header: what a program that reads the archive as a stream goes by."""

    signature: bytes
    version: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed: int
    size: int
    name_length: int
    extra_length: int


_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


def _check_places(
    members: list[zipfile.ZipInfo], file: BinaryIO, directory: int, where: str
) -> None:
    """Compare each member's own header with the directory, and see that no two members overlap."""
    ends: list[tuple[int, int, str]] = []
    for info in members:
        file.seek(max(info.header_offset, 0))
        data = file.read(_LOCAL_HEADER.size) if info.header_offset >= 0 else b""
        local = _Local(*_LOCAL_HEADER.unpack(data)) if len(data) == _LOCAL_HEADER.size else None
        if local is None or local.signature != _LOCAL:
            raise LockError(f"{where}: {names.shown(info.filename)} has no local header", hint=HINT)
        name = file.read(local.name_length)
        if wrong := _disagreement(info, local, name):
            raise LockError(
                f"{where}: {names.shown(info.filename)}: its local header and the central "
                f"directory disagree about its {wrong}",
                hint=HINT,
            )
        length = _LOCAL_HEADER.size + local.name_length + local.extra_length + info.compress_size
        ends.append((info.header_offset, info.header_offset + length, info.filename))
    ends.sort()
    for (_, end, one), (start, _, other) in pairwise([*ends, (directory, 0, "the directory")]):
        if end > start:
            raise LockError(
                f"{where}: {names.shown(one)} and {names.shown(other)} overlap", hint=HINT
            )
    gaps = [0, *(end for _, end, _ in ends)]
    for end, (start, _, _) in zip(gaps, [*ends, (directory, 0, "")], strict=True):
        file.seek(end)
        # a data descriptor is shorter than a header
        if start - end >= _LOCAL_HEADER.size and _LOCAL in file.read(min(start - end, 1 << 20)):
            raise LockError(f"{where}: holds a member that its directory leaves out", hint=HINT)


def _disagreement(info: zipfile.ZipInfo, local: _Local, name: bytes) -> str | None:
    """Name what the two headers of a member say differently; None: nothing."""
    encoding = "utf-8" if info.flag_bits & _UTF8 else "cp437"
    if name.decode(encoding, errors="replace") != info.orig_filename:
        return f"name ({names.shown(name.decode(encoding, errors='replace'))})"
    if local.method != info.compress_type:
        return "compression"
    for what, own, listed in (
        ("checksum", local.crc, info.CRC),
        ("compressed size", local.compressed, info.compress_size),
        ("size", local.size, info.file_size),
    ):
        unsaid = (0, _NARROW) if local.flags & _DESCRIBED else (_NARROW,)
        if own != listed and own not in unsaid:
            return f"{what} ({own} and {listed})"
    return None
