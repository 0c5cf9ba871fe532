"""What indexes list: project pages (PEP 503 HTML, PEP 691 JSON) and flat folders of files."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from repro.addresses import join, redact
from repro.download import Http
from repro.ecosystems.pip.indexes import Index, Indexes
from repro.errors import NetworkError
from repro.locks.names import said

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, "
    "text/html;q=0.01"
)
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedFile:
    """A file as an index lists it; `sha256` (hex) and `size` (bytes) where it says them.

    `address` may carry credentials: it is hidden from `repr`. `dated`: whether it is said when
    the file was uploaded (PEP 700).
    """

    filename: str
    address: str = field(repr=False)
    index: str
    sha256: str | None = None
    size: int | None = None
    dated: bool = False


def project_of(filename: str) -> tuple[str, str] | None:
    """Return (normalised name, version) of a wheel or sdist file name, None for other files."""
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
        return name, str(version)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    except ValueError:  # a number of more than 4,300 digits
        return None


def parse_page(data: bytes, kind: str, *, base: str, index: str) -> tuple[ListedFile, ...]:
    """Read a project page of either form; `base` is its address.

    Raises ValueError when it is JSON of another shape.
    """
    found = _json_files(data, base) if kind.startswith(_JSON) else _html_files(data, base)
    return tuple(
        ListedFile(
            filename=name, address=address, index=index, sha256=sha256, size=size, dated=dated
        )
        for name, address, sha256, size, dated in found
    )


_Row = tuple[str, str, str | None, int | None, bool]


def _json_files(data: bytes, base: str) -> Iterator[_Row]:
    try:
        for item in json.loads(data)["files"]:
            size = item.get("size")
            yield (
                str(item["filename"]),
                urljoin(base, str(item["url"])),
                item.get("hashes", {}).get("sha256"),
                size if isinstance(size, int) else None,
                isinstance(item.get("upload-time"), str),
            )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a project page: {error!r}") from None


def _html_files(data: bytes, base: str) -> Iterator[_Row]:
    from pypi_simple import parse_links_stream

    for link in parse_links_stream([data], base_url=base, http_charset="utf-8"):
        address, fragment = urldefrag(link.url)
        name = unquote(urlsplit(address).path.rpartition("/")[2])
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        yield name, address, sha256, None, False


class Catalogue:
    """Asks the indexes, once for each project; safe for several threads."""

    def __init__(self, indexes: Indexes, http: Http) -> None:
        self.indexes = indexes
        self._http = http
        self._lock = threading.Lock()
        self._pages: dict[tuple[str, str], Future[tuple[ListedFile, ...]]] = {}

    def files(self, name: str, alias: str) -> Iterator[ListedFile]:
        """Yield the files of a project, those of index `alias` first, find-links last.

        An index that does not have the project yields nothing. One that cannot be read raises
        its NetworkError, but only after all others were asked; so does the last one when none
        has the project.
        """
        failed: NetworkError | None = None
        anything = False
        for key, read in self._sources(name, alias):
            try:
                page = self._once((key, name), read)
            except NetworkError as error:
                failed = failed if failed is not None and not is_absent(failed) else error
                continue
            for file in page:
                found = project_of(file.filename)
                if found is not None and found[0] == name:
                    anything = True
                    yield file
        if failed is not None and not (anything and is_absent(failed)):
            raise failed

    def undated(self, filename: str) -> str | None:
        """Return the address of the source that lists a file without its upload time, if any.

        It holds no credentials. Raises NetworkError.
        """
        found = project_of(filename)
        for key, read in self._sources(found[0], "") if found else ():
            try:
                page = self._once((key, found[0]), read) if found else ()
            except NetworkError as error:
                if is_absent(error):
                    continue
                raise
            if any(file.filename == filename and not file.dated for file in page):
                known = {index.alias: index.address for index in self.indexes.indexes}
                return redact(known.get(key, key))
        return None

    def _sources(
        self, name: str, alias: str
    ) -> Iterator[tuple[str, Callable[[], tuple[ListedFile, ...]]]]:
        for index in self.indexes.ordered(alias):
            yield index.alias, partial(self._page, index, name)
        for link in self.indexes.find_links:
            yield link, partial(self._links, link)

    def _once(
        self, key: tuple[str, str], read: Callable[[], tuple[ListedFile, ...]]
    ) -> tuple[ListedFile, ...]:
        with self._lock:
            future = self._pages.get(key)
            mine = future is None
            if future is None:
                future = self._pages[key] = Future()
        if mine:
            try:
                future.set_result(read())
            except NetworkError as error:
                future.set_exception(error)
            finally:
                future.cancel()  # whoever waits does not wait for ever; no effect when it is done
        return future.result()

    def _page(self, index: Index, name: str) -> tuple[ListedFile, ...]:
        address = join(index.address, canonicalize_name(name)) + "/"
        asked = address + "index.html" if address.startswith("file:") else address
        return self._read(asked, base=address, index=index.alias)

    def _links(self, link: str) -> tuple[ListedFile, ...]:
        """Read a find-links source: a folder, a page of links."""
        path = local_path(link)
        if path is not None and path.is_dir():
            return tuple(
                ListedFile(
                    filename=item.name,
                    address=item.absolute().as_uri(),
                    index=self.indexes.alias_of(item.absolute().as_uri()),
                    size=item.stat().st_size,
                )
                for item in sorted(path.iterdir())
                if item.is_file()
            )
        address = path.absolute().as_uri() if path is not None else link
        return self._read(address, base=address, index=self.indexes.alias_of(address))

    def _read(self, address: str, *, base: str, index: str) -> tuple[ListedFile, ...]:
        data, kind = self._http.get(address, accept=ACCEPT)
        try:
            files = parse_page(data, kind, base=base, index=index)
        except ValueError as error:
            raise NetworkError(f"{redact(address)}: {said(redact(str(error)))}") from None
        return tuple(
            ListedFile(
                filename=file.filename,
                address=self.indexes.with_credentials(file.address),
                index=file.index,
                sha256=file.sha256,
                size=file.size,
                dated=file.dated,
            )
            for file in files
        )


def is_absent(error: NetworkError) -> bool:
    """Whether an index answered that it does not have this; its message ends with the status."""
    return re.search(r": (HTTP 4(04|10)|No such file or directory)$", error.message) is not None


def local_path(link: str) -> Path | None:
    """Return the local path that a find-links entry names, None for an address elsewhere."""
    parts = urlsplit(link)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme in ("http", "https") else Path(link).expanduser()
