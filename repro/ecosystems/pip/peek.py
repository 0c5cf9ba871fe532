"""Looking into a wheel where it lies: its RECORD by a few ranges, the rest of it unread."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from repro.addresses import redact
from repro.download import Http
from repro.ecosystems.archives import opened_zip, read_member
from repro.ecosystems.pip.records import parse_record
from repro.ecosystems.pip.wheels import DAMAGED
from repro.errors import LockError, NetworkError
from repro.locks import names
from repro.models.installed import Recorded

_TAIL = 1 << 16
"""Bytes of the first range: the directory of most wheels, and RECORD, which lies before it."""

_MOST = 64 << 20
"""Bytes that are read of one wheel in ranges; its directory alone may have 16 MiB."""

_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


class NoRangesError(Exception):
    """The server sends whole files only."""


class RemoteFile(io.RawIOBase):
    """A file at an address, read in ranges; `size` in bytes is known once it was made.

    Raises NoRangesError where its server has no ranges, NetworkError.
    """

    def __init__(self, http: Http, address: str) -> None:
        super().__init__()
        self._http = http
        self._address = address
        self._position = 0
        self._read = 0
        data, start, self.size = self._range(f"bytes=-{_TAIL}")
        self._parts = [(start, data)]

    def readable(self) -> bool:
        """See RawIOBase.readable."""
        return True

    def seekable(self) -> bool:
        """See RawIOBase.seekable."""
        return True

    def tell(self) -> int:
        """See RawIOBase.tell."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See RawIOBase.seek."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """See RawIOBase.read."""
        end = self.size if size < 0 else min(self._position + size, self.size)
        if end <= self._position:
            return b""
        data = self._held(self._position, end)
        if data is None:
            # what follows is wanted next: a member's header, then the member
            stop = min(max(end, self._position + _TAIL), self.size)
            found, start, _ = self._range(f"bytes={self._position}-{stop - 1}")
            self._parts.append((start, found))
            data = self._held(self._position, end)
            if data is None:
                raise NetworkError(f"{redact(self._address)}: the server sent another range")
        self._position = end
        return data

    def _held(self, start: int, end: int) -> bytes | None:
        for first, data in self._parts:
            if first <= start and end <= first + len(data):
                return data[start - first : end - first]
        return None

    def _range(self, wanted: str) -> tuple[bytes, int, int]:
        """Ask for a range: (bytes, where they begin, size of the whole file)."""
        tries = self._http.tries(self._address)
        with self._http.answer(self._address, tries, headers={"Range": wanted}) as response:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status_code != 206 or match is None:
                raise NoRangesError
            start, end, size = (int(number) for number in match.groups())
            length = end - start + 1
            self._read += length
            if self._read > _MOST:
                raise NetworkError(f"{redact(self._address)}: its directory is too large")
            data = b""
            while len(data) < length and (piece := response.raw.read(length - len(data))):
                data += piece
        if len(data) != length:
            raise NetworkError(f"{redact(self._address)}: broke off in a range")
        return data, start, size


def remote_record(http: Http, address: str, filename: str) -> tuple[tuple[Recorded, ...], int]:
    """Return the rows of a wheel's RECORD and the wheel's size in bytes.

    Raises NoRangesError, NetworkError, LockError for what is no wheel.
    """
    parts = urlsplit(address)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        try:
            return local_record(path, filename), path.stat().st_size
        except FileNotFoundError as error:
            raise NetworkError(f"{redact(address)}: {error.strerror}") from None
    file = RemoteFile(http, address)
    try:
        with zipfile.ZipFile(file) as archive:
            return _record(archive, filename), file.size
    except (*DAMAGED, KeyError, ValueError) as error:
        raise LockError(f"{filename}: {names.said(error)}", hint="is its index whole?") from None


def local_record(path: Path, filename: str) -> tuple[Recorded, ...]:
    """Return the rows of a wheel's RECORD. Raises LockError, FileNotFoundError."""
    try:
        with opened_zip(path, filename) as archive:
            return _record(archive, filename)
    except (*DAMAGED, KeyError, ValueError) as error:
        raise LockError(f"{filename}: {names.said(error)}", hint="fetch it again") from None


def _record(archive: zipfile.ZipFile, filename: str) -> tuple[Recorded, ...]:
    found = [
        name
        for name in archive.namelist()
        if name.endswith(".dist-info/RECORD") and name.count("/") == 1
    ]
    if len(found) != 1:
        raise LockError(f"{filename}: has {len(found)} RECORD files", hint="it is no wheel")
    text = read_member(archive, found[0]).decode(errors="surrogateescape")
    return parse_record(text, where=filename)
