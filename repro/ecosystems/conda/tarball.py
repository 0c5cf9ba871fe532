"""A strict reader of tar streams: of what two readers may understand otherwise it takes nothing.

Formats: POSIX.1-2017 (ustar, pax), tar(5) of GNU (long names).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from repro.ecosystems.archives import HINT, MOST_ENTRIES, PAX_FROM, is_bomb
from repro.errors import LockError
from repro.locks import names

_BLOCK = 512
_PIECE = 1 << 18
_MOST_EXTENSION = 1 << 16
"""Bytes of an extended header: a path has at most 4096."""

_KINDS = {b"0": "file", b"\0": "file", b"1": "hardlink", b"2": "symlink", b"5": "dir"}
_SPECIAL = {b"3": "a device", b"4": "a device", b"6": "a FIFO", b"7": "a contiguous file"}
_SPECIAL |= {b"S": "a sparse file"}
_SETID = 0o6000


class Readable(Protocol):
    """What unpacks."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One name of a tar; `kind` is file, hardlink, symlink or dir, `size` bytes of content."""

    name: str
    kind: str
    mode: int
    size: int = 0
    link: str = ""
    mtime: int = 0


class Tarball:
    """An unpacked stream, of which no more is read than an archive of `size` bytes may hold.

    `members` yields each name; before the next one is asked for, `content` yields its bytes.
    Both raise LockError, naming `where`; what unpacks raises its own errors.
    """

    def __init__(self, stream: Readable, size: int, where: str) -> None:
        self._stream = stream
        self._size = size
        self._where = where
        self._read = 0
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Yield every member; at the end nothing but zeros has followed."""
        extended: dict[str, str] = {}
        count = 0
        while (block := self._exactly(_BLOCK)) != bytes(_BLOCK):
            count += 1
            if count > MOST_ENTRIES:
                raise self._refused(f"holds more than {MOST_ENTRIES} entries")
            flag = block[156:157]
            if flag in (b"x", b"L", b"K"):
                extended |= self._extension(block, flag)
                continue
            if flag == b"g":  # git's comment; nobody else writes one
                self._only_comment(block)
                continue
            member = self._member(block, extended)
            extended = {}
            self._left = member.size
            self._padding = -member.size % _BLOCK
            yield member
            for _ in self.content():
                pass
            self._exactly(self._padding)
        if extended:
            raise self._refused("ends behind an extended header")
        self._require_zeros()

    def content(self) -> Iterator[bytes]:
        """Yield what is not read yet of the member that `members` yielded last."""
        while self._left:
            piece = self._exactly(min(self._left, _PIECE))
            self._left -= len(piece)
            yield piece

    def _member(self, block: bytes, extended: dict[str, str]) -> Member:
        self._check(block)
        flag = block[156:157]
        name = extended.get("path") or self._text(_name(block))
        shown = names.shown(name)
        if flag in _SPECIAL:
            raise self._refused(f"{shown} is {_SPECIAL[flag]}")
        kind = _KINDS.get(flag)
        if kind is None:
            raise self._refused(f"{shown} has the unknown type {flag!r}")
        if kind == "file" and name.endswith("/"):
            kind = "dir"
        size, mode = self._number(block[124:136]), self._number(block[100:108])
        if "size" in extended and (size < PAX_FROM or extended["size"] != str(size)):
            raise self._refused(f"{shown}: its headers say two sizes: {size}, {extended['size']}")
        if kind != "file" and size:
            raise self._refused(f"{shown} is no file, and has {size} bytes")
        if mode & _SETID and kind != "dir":
            raise self._refused(f"{shown} is setuid or setgid")
        link = extended.get("linkpath") or self._text(block[157:257].partition(b"\0")[0])
        return Member(
            name=self._path(name),
            kind=kind,
            mode=mode,
            size=size,
            link=link if kind in ("symlink", "hardlink") else "",
            mtime=self._number(block[136:148]),
        )

    def _path(self, name: str) -> str:
        plain = name.removeprefix("./").removesuffix("/")
        return names.relative_path(plain, self._where) if plain else plain

    def _extension(self, block: bytes, flag: bytes) -> dict[str, str]:
        """Return what an extended header says of the next member."""
        self._check(block)
        data = self._whole(block)
        if flag in (b"L", b"K"):
            return {"path" if flag == b"L" else "linkpath": self._text(data.rstrip(b"\0"))}
        records = self._records(data)
        for key in records:
            if key.startswith("GNU.sparse"):
                raise self._refused("holds a sparse file")
        return {key: records[key] for key in ("path", "linkpath", "size") if key in records}

    def _only_comment(self, block: bytes) -> None:
        self._check(block)
        if keys := self._records(self._whole(block)).keys() - {"comment"}:
            raise self._refused(f"a header for all members says {names.shown(min(keys))}")

    def _whole(self, block: bytes) -> bytes:
        size = self._number(block[124:136])
        if size > _MOST_EXTENSION:
            raise self._refused(f"an extended header has {size} bytes")
        data = self._exactly(size)
        self._exactly(-size % _BLOCK)
        return data

    def _records(self, data: bytes) -> dict[str, str]:
        """Read PAX records: `LENGTH KEY=VALUE` and a newline, the length that of it all."""
        found: dict[str, str] = {}
        while data:
            digits, _, _ = data[:8].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            key, is_said, value = data[len(digits) + 1 : length - 1].partition(b"=")
            if not is_said or length > len(data) or data[length - 1 : length] != b"\n":
                raise self._refused("an extended header is damaged")
            if key in (b"path", b"linkpath", b"size") or key.startswith(b"GNU.sparse"):
                found[self._text(key)] = self._text(value)
            else:
                found[key.decode(errors="replace")] = ""
            data = data[length:]
        return found

    def _check(self, block: bytes) -> None:
        """Refuse a damaged header, and one whose fields not all readers find in one place."""
        total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if self._number(block[148:156]) != total:
            raise self._refused(f"no header at byte {self._read - _BLOCK}")
        magic = block[257:265]
        if magic not in (b"ustar\x0000", b"ustar  \0"):
            raise self._refused(f"a header of the unknown kind {magic!r}")
        if magic == b"ustar  \0" and block[345:500].strip(b"\0"):
            raise self._refused("a header of GNU's incremental backups")

    def _number(self, field: bytes) -> int:
        """Read octal digits. A first byte of 0x80 begins a binary number (GNU)."""
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        if not all(digit in b"01234567" for digit in digits):
            raise self._refused(f"a header holds {field!r} for a number")
        return int(digits or b"0", 8)

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            shown = names.shown(data.decode(errors="replace"))
            raise self._refused(f"the name {shown} is not UTF-8") from None

    def _exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        pieces: list[bytes] = []
        while size > 0:
            piece = self._stream.read(min(size, _PIECE))
            if not piece:
                raise self._refused(f"ends within its tar, at byte {self._read}")
            self._count(piece)
            size -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _require_zeros(self) -> None:
        """Read to the end: what unpacks checks its own sums there."""
        behind = 0
        while piece := self._stream.read(_PIECE):
            self._count(piece)
            behind += len(piece)
            if piece.strip(b"\0"):
                raise self._refused("holds more behind the end of its tar")
        if behind < _BLOCK:
            raise self._refused(f"ends within its tar, at byte {self._read}")

    def _count(self, piece: bytes) -> None:
        self._read += len(piece)
        if is_bomb(self._size, self._read):
            raise self._refused(f"its {self._size} bytes unpack to more than {self._read}")

    def _refused(self, why: str) -> LockError:
        return LockError(f"{self._where}: {why}", hint=HINT)


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix else name


def leaves(member: Member) -> bool:
    """Whether a symbolic link points out of the folder that its archive is unpacked to."""
    if member.link.startswith("/") or not member.link:
        return True
    at = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.link))
    return at == ".." or at.startswith("../")
