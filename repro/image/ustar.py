"""Tar headers, byte for byte our own: POSIX ustar, with PAX records only where ustar cannot say it.

The standard library's writer has changed its bytes between releases (the device fields of
ordinary files); an image ID must not depend on which Python built it.
Format: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
"""

from __future__ import annotations

from dataclasses import dataclass

from repro.models.image import EPOCH

BLOCK = 512
END = bytes(2 * BLOCK)
"""What ends an archive."""

_NAME = 100
_MAX_NUMBER = 0o7777777
_MAX_SIZE = 0o77777777777
MAX_DEVICE = _MAX_NUMBER
"""Largest major or minor number: PAX has no record for them; Linux's have at most 20 bits."""

_XATTR = "SCHILY.xattr."


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """What one header says; `type` is ustar's type flag, `size` the bytes that follow."""

    name: str
    type: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    link: str = ""
    major: int = 0
    minor: int = 0
    mtime: int = EPOCH
    """Seconds since 1970; no layer has another than the constant."""
    xattrs: tuple[tuple[str, str], ...] = ()


def encoded(text: str) -> bytes:
    """Return the bytes of a path or value as the file system has them."""
    return text.encode("utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """Zeros that fill the last block of `size` bytes of content."""
    return bytes(-size % BLOCK)


def header(member: Member) -> bytes:
    """Return the header blocks of one member: a multiple of 512 bytes."""
    records = _records(member)
    body = b"".join(_record(key, value) for key, value in records)
    block = _block(
        name=encoded(member.name) if b"path" not in dict(records) else _shortened(member.name),
        link=encoded(member.link) if b"linkpath" not in dict(records) else _shortened(member.link),
        member=member,
    )
    if not body:
        return block
    extended = Member(name="././@PaxHeader", type=b"x", mode=0, size=len(body))
    return _block(encoded(extended.name), b"", extended) + body + padding(len(body)) + block


def _records(member: Member) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for key, text in ((b"linkpath", member.link), (b"path", member.name)):
        if not text.isascii() or len(text) > _NAME:
            found.append((key, encoded(text)))
    for key, number, most in (
        (b"gid", member.gid, _MAX_NUMBER),
        (b"size", member.size, _MAX_SIZE),
        (b"uid", member.uid, _MAX_NUMBER),
    ):
        if number > most:
            found.append((key, str(number).encode()))
    found += [(encoded(_XATTR + name), encoded(value)) for name, value in member.xattrs]
    found.sort()
    if not all(_is_utf8(value) for key, value in found if key in (b"path", b"linkpath")):
        found.insert(0, (b"hdrcharset", b"BINARY"))
    return found


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    """One PAX record: its own length in decimal, which counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _shortened(text: str) -> bytes:
    """What a reader without PAX sees."""
    return text.encode("ascii", "replace")[:_NAME]


def _octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


def _fitting(number: int, most: int) -> int:
    return number if number <= most else 0


def _block(name: bytes, link: bytes, member: Member) -> bytes:
    device = member.type in (b"3", b"4")
    fields = (
        name.ljust(_NAME, b"\0"),
        _octal(member.mode, 8),
        _octal(_fitting(member.uid, _MAX_NUMBER), 8),
        _octal(_fitting(member.gid, _MAX_NUMBER), 8),
        _octal(_fitting(member.size, _MAX_SIZE), 12),
        _octal(member.mtime, 12),
        b" " * 8,
        member.type,
        link.ljust(_NAME, b"\0"),
        b"ustar\x0000",
        bytes(64),  # owner and group by number only
        _octal(member.major, 8) if device else bytes(8),
        _octal(member.minor, 8) if device else bytes(8),
        bytes(155 + 12),
    )
    block = b"".join(fields)
    assert len(block) == BLOCK
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
