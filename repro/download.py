"""The only user of HTTP: bounded, hashed, and it never shows a credential."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from repro.errors import NetworkError

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
TOTAL_TIMEOUT = 1800.0
TRIES = 4
CHUNK = 1 << 18
_RETRIED = frozenset({429, 500, 502, 503, 504})
_MAX_WAIT = 30.0


def redact(text: str) -> str:
    """Remove user names, passwords and query strings from every address in `text`."""
    # greedy: a password may hold an @ of its own
    text = re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s'\"]*@", r"\1", text)
    return re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?'\"]+)\?[^\s'\"]*", r"\1", text)


class Http:
    """Reads addresses: `http`, `https` and `file`; one session a thread.

    Proxies, CA bundles and netrc come from the environment, as `requests` reads them.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._proxies: dict[str, str] = {}
        self._authorities: dict[str, str] = {}

    def route(self, *, proxies: Mapping[str, str], authorities: Mapping[str, str]) -> None:
        """Reach some hosts as another program's settings say, whatever the environment says.

        `proxies` are {`scheme://host`: proxy}, `authorities` {host: path of its CA bundle}.
        """
        self._proxies |= proxies
        self._authorities |= authorities

    def _session(self) -> requests.Session:
        import requests

        session = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.max_redirects = 5
            session.headers["User-Agent"] = "repro"
            self._local.session = session
        assert isinstance(session, requests.Session)
        return session

    def get(self, url: str, *, accept: str = "*/*", limit: int = 256 << 20) -> tuple[bytes, str]:
        """Return body and content type. Raises NetworkError; FileNotFoundError never escapes."""
        parts: list[bytes] = []
        size = 0
        kind = ""
        for kind, chunk in self._open(url, accept):  # noqa: B007
            size += len(chunk)
            if size > limit:
                raise NetworkError(f"{redact(url)}: larger than {limit} bytes")
            parts.append(chunk)
        return b"".join(parts), kind

    def chunks(self, url: str) -> Iterator[bytes]:
        """Yield the body of `url` in pieces. Raises NetworkError."""
        for _, chunk in self._open(url, "*/*"):
            yield chunk

    def size(self, url: str) -> int:
        """Return the length of the body of `url` in bytes, unread. Raises NetworkError."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            try:
                return os.stat(unquote(parts.path)).st_size  # noqa: PTH116 - not our path
            except OSError as error:
                raise NetworkError(f"{redact(url)}: {error.strerror}") from None
        with self._respond(url, "*/*", "HEAD") as response:
            length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise NetworkError(f"{redact(url)}: does not say its size")
        return int(length)

    def _open(self, url: str, accept: str) -> Iterator[tuple[str, bytes]]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            yield from _read_file(unquote(parts.path))
        elif parts.scheme in ("http", "https"):
            yield from self._read_http(url, accept)
        else:
            raise NetworkError(f"{redact(url)}: only http, https and file addresses are read")

    def _read_http(self, url: str, accept: str) -> Iterator[tuple[str, bytes]]:
        import requests

        deadline = time.monotonic() + TOTAL_TIMEOUT
        response = self._respond(url, accept)
        with response:
            kind = response.headers.get("Content-Type", "")
            expected = response.headers.get("Content-Length", "")
            encoded = response.headers.get("Content-Encoding")
            received = 0
            yield kind, b""
            try:
                for chunk in response.iter_content(CHUNK):
                    received += len(chunk)
                    if time.monotonic() > deadline:
                        raise NetworkError(f"{redact(url)}: took over {TOTAL_TIMEOUT:g} s")
                    yield kind, chunk
            except requests.RequestException as error:
                raise NetworkError(f"{redact(url)}: {redact(str(error))}") from None
            if expected.isdecimal() and not encoded and received != int(expected):
                raise NetworkError(f"{redact(url)}: ended after {received} of {expected} bytes")

    def _respond(self, url: str, accept: str, method: str = "GET") -> requests.Response:
        """The first good response of at most TRIES; 429 and 5xx are tried again."""
        import requests

        said = ""
        for attempt in range(TRIES):
            wait = min(0.5 * 2**attempt, _MAX_WAIT)
            try:
                response = self._session().request(
                    method,
                    url,
                    headers={"Accept": accept, "Accept-Encoding": "identity"},
                    stream=True,
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                    proxies=dict(self._proxies),
                    verify=self._authorities.get(urlsplit(url).hostname or ""),
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                said = redact(f"{type(error).__name__}: {error}")
            except requests.RequestException as error:
                raise NetworkError(f"{redact(url)}: {redact(str(error))}") from None
            except OSError as error:  # requests found no CA bundle where a setting says it is
                raise NetworkError(
                    f"{redact(url)}: {redact(str(error))}",
                    hint="check REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and the package managers' own "
                    "settings",
                ) from None
            else:
                if response.ok:
                    return response
                said = f"HTTP {response.status_code}"
                after = response.headers.get("Retry-After", "")
                response.close()
                if response.status_code not in _RETRIED:
                    break
                if after.isdigit():
                    wait = min(float(after), _MAX_WAIT)
            if attempt + 1 < TRIES:
                time.sleep(wait)
        raise NetworkError(f"{redact(url)}: {said}")


def _read_file(path: str) -> Iterator[tuple[str, bytes]]:
    kind = "text/html" if path.endswith((".html", "/")) else "application/octet-stream"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - an address's path, not ours
            yield kind, b""
            while chunk := file.read(CHUNK):
                yield kind, chunk
    except OSError as error:
        raise NetworkError(f"file://{path}: {error.strerror}") from None


def join(base: str, *parts: str) -> str:
    """Append path parts to an address, keeping its query."""
    split = urlsplit(base)
    path = "/".join([split.path.rstrip("/"), *(part.strip("/") for part in parts)])
    return urlunsplit(split._replace(path=path))
