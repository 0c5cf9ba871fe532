"""Layers as registries hold them, back to the plain tar that their diff ID names."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from repro.errors import LockError
from repro.files import CHUNK

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FREE = 1 << 30
_RATIO = 100
"""A layer may become so many times larger, and any may become a gigabyte: a bomb is stopped
before the disk is full. Real ones are 2 to 10 times larger."""

_WINDOW = 1 << 27
"""Bytes that a zstd frame may have its reader keep: what `zstd --long` asks for."""


def plain(pieces: Iterable[bytes], *, size: int, label: str) -> Iterator[bytes]:
    """Yield the plain bytes of a blob of `size` bytes: gzip, zstd, or as it is.

    Which it is its first bytes say, as for docker: media types are not always right. All pieces
    are read. Raises LockError for a blob that is damaged, or grows beyond all measure.
    """
    most = max(_FREE, _RATIO * size)
    grown = 0
    for piece in _plain(iter(pieces), label):
        grown += len(piece)
        if grown > most:
            raise LockError(
                f"{label}: {size:,} bytes become more than {most:,}",
                hint="no real layer does: do not trust that image",
            )
        yield piece


def _plain(pieces: Iterator[bytes], label: str) -> Iterator[bytes]:
    head = b""
    while len(head) < len(_ZSTD) and (piece := next(pieces, b"")):
        head += piece
    if head.startswith(_GZIP):
        yield from _gunzip(head, pieces, label)
    elif head.startswith(_ZSTD):
        yield from _unzstd(head, pieces, label)
    else:
        if head:
            yield head
        yield from pieces


def _gunzip(data: bytes, pieces: Iterator[bytes], label: str) -> Iterator[bytes]:
    """Undo gzip (RFC 1952), however many members it has: pigz and estargz write many."""
    decoder = zlib.decompressobj(wbits=31)
    while True:
        try:
            out = decoder.decompress(data, CHUNK)
        except zlib.error as error:
            raise _damaged(label, str(error)) from None
        if out:
            yield out
        if decoder.eof:
            data = decoder.unused_data or next(pieces, b"")
            if not data:
                return
            decoder = zlib.decompressobj(wbits=31)
        elif decoder.unconsumed_tail or len(out) == CHUNK:  # some may still be inside
            data = decoder.unconsumed_tail
        elif not (data := next(pieces, b"")):
            raise _damaged(label, "it ends early")


def _unzstd(head: bytes, pieces: Iterator[bytes], label: str) -> Iterator[bytes]:
    """Undo zstd (RFC 8878), however many frames it has; one that ends early ends early here too."""
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    source = cast(BinaryIO, _Joined(head, pieces))
    reader = decoder.stream_reader(source, read_across_frames=True)
    try:
        while out := reader.read(CHUNK):
            yield out
    except zstandard.ZstdError as error:
        raise _damaged(label, str(error)) from None


class _Joined:
    """Pieces as a file to read."""

    def __init__(self, head: bytes, pieces: Iterator[bytes]) -> None:
        self._rest = head
        self._pieces = pieces

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        data = self._rest or next(self._pieces, b"")
        self._rest = data[size:] if size >= 0 else b""
        return data[:size] if size >= 0 else data


def _damaged(label: str, how: str) -> LockError:
    return LockError(
        f"{label}: cannot be uncompressed: {how}", hint="it is damaged there; nothing was kept"
    )
