"""Guards over source distributions: gzipped tars, of which one file is looked at.

Format: POSIX.1-2017 pax (tar).
"""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

from repro.ecosystems.archives import MOST_ENTRIES, MOST_WHOLE, PAX_FROM
from repro.locks import names

_MOST_SOURCE = 4 << 30


class _Bounded:
    """An unpacked stream of which no more is read, at once or in all, than an sdist may have.

    `tarfile` reads a header's extension whole, whatever length it says.
    """

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_WHOLE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == 0 and position > _MOST_SOURCE:
            raise tarfile.ReadError(f"unpacks to more than {_MOST_SOURCE} bytes")
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()


def source_member(path: Path, wanted: str, limit: int) -> bytes | None:
    """Return a file of the top folder of a gzipped tar, None where there is none.

    At most `limit` bytes of it; nothing is extracted. Raises TarError, OSError, EOFError or
    zlib's error for a damaged or hostile archive, saying why.
    """
    with gzip.open(path) as file, tarfile.open(fileobj=_Bounded(file), mode="r:") as tar:  # type: ignore[call-overload]
        found: bytes | None = None
        count = 0
        while (item := tar.next()) is not None:
            tar.members.clear()  # else it keeps every header
            count += 1
            if count > MOST_ENTRIES:
                raise tarfile.ReadError(f"holds more than {MOST_ENTRIES} entries")
            if "size" in item.pax_headers and item.size < PAX_FROM:
                raise tarfile.ReadError(f"{names.shown(item.name)}: its headers say two sizes")
            parts = item.name.removeprefix("./").split("/")
            if found is None and item.isreg() and len(parts) == 2 and parts[1] == wanted:
                stream = tar.extractfile(item)
                found = stream.read(limit) if stream is not None else None
        return found
