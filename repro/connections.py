"""Sessions of HTTP: redirects within bounds, and connections that can be cut while they wait."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from repro.addresses import redact
from repro.errors import NetworkError

if TYPE_CHECKING:
    import requests
    from urllib3.connection import HTTPConnection

MAX_REDIRECTS = 5
_READ = 1 << 18
"""Bytes of a redirect's own body that are read, to keep the connection."""


class Lines:
    """The connections that are open, so that who waits for an answer can be told to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[HTTPConnection] = set()
        self._cut = False

    def watched(self, base: type[HTTPConnection]) -> type[HTTPConnection]:
        """Return the class, of which each object is known here while it is connected."""
        lines = self

        class Connection(base):  # type: ignore[valid-type, misc]
            def connect(self) -> None:
                super().connect()
                with lines._lock:
                    lines._open.add(self)
                    late = lines._cut
                if late:
                    _shut(self)

            def close(self) -> None:
                with lines._lock:
                    lines._open.discard(self)
                super().close()

        return Connection

    def cut(self) -> None:
        """Shut every connection down, now and as soon as it is made, for ever.

        Whoever reads from it has the end of the stream.
        """
        with self._lock:
            self._cut = True
            found = tuple(self._open)
        for connection in found:
            _shut(connection)


def _shut(connection: HTTPConnection) -> None:
    if (line := connection.sock) is not None:
        with suppress(OSError):  # the other side was faster
            socket.socket.shutdown(line, socket.SHUT_RDWR)


def make_session(lines: Lines) -> requests.Session:
    """Return a session whose redirects are bounded and whose connections `lines` can cut."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Has every connection known to `lines`, those to a proxy too."""

        def get_connection_with_tls_context(self, *args: Any, **named: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*args, **named)
            if "ConnectionCls" not in vars(pool):
                pool.ConnectionCls = lines.watched(pool.ConnectionCls)
            return pool

    class Session(requests.Session):
        """Follows redirects within bounds; `requests` itself keeps logins to their origin."""

        def get_redirect_target(self, resp: requests.Response) -> str | None:
            target = super().get_redirect_target(resp)
            if target is None:
                return None
            if resp.url.startswith("https:") and not urljoin(resp.url, target).startswith("https:"):
                raise NetworkError(
                    f"{redact(resp.url)}: redirects from https to an address that is not",
                    hint="name another index or mirror, or its https address",
                )
            length = resp.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _READ:
                resp.close()  # else `requests` reads it whole, however long it is
            return target

    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    session.max_redirects = MAX_REDIRECTS
    session.headers["User-Agent"] = "repro"
    return session
