"""Sessions of HTTP: redirects within bounds, logins for one origin, connections that can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin, urlsplit

from repro.addresses import redact
from repro.errors import NetworkError

if TYPE_CHECKING:
    import requests
    from requests.auth import AuthBase
    from urllib3.connection import HTTPConnection

MAX_REDIRECTS = 5
_READ = 1 << 18
"""Bytes of a redirect's own body that are read, to keep the connection."""


class Login(Protocol):
    """What answers a server that asks who is there (RFC 9110, §11); for one origin alone."""

    def header(self) -> str:
        """Return the value of Authorization, "" for none."""

    def renewed(self, challenge: str, refused: str) -> bool:
        """Whether to ask again, with another header than the one that was `refused`.

        `challenge` is the value of WWW-Authenticate that came with a 401. Raises NetworkError.
        """


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


def authorization(value: str) -> AuthBase:
    """Return what sends this value as Authorization, and nothing of netrc's in its place."""
    from requests.auth import AuthBase

    class Sent(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            if value:
                r.headers["Authorization"] = value
            return r

    return Sent()


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses have the same scheme, host and port."""
    usual = {"http": 80, "https": 443}
    left, right = (
        (part.scheme, part.hostname, part.port or usual.get(part.scheme))
        for part in (urlsplit(one), urlsplit(other))
    )
    return left == right


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


def reason(error: Exception) -> str:
    """Say why a request failed, without its address: its path and query may hold a secret."""
    import ssl

    import requests

    if isinstance(error, requests.TooManyRedirects):
        return f"is redirected more than {MAX_REDIRECTS} times"
    inner = innermost(error)
    said = "the connection was closed"
    if isinstance(error, requests.Timeout) or isinstance(inner, TimeoutError):
        said = "no answer in time"
    elif isinstance(inner, ssl.SSLCertVerificationError):
        said = f"its TLS certificate is not trusted: {inner.verify_message}"
    elif isinstance(inner, ssl.SSLError):
        said = f"TLS: {(inner.reason or 'failed').lower().replace('_', ' ')}"
    elif isinstance(inner, requests.RequestException | ValueError):
        said = "is, or is redirected to, an address that cannot be read"
    elif isinstance(inner, OSError):
        said = inner.strerror or said
    return f"proxy: {said}" if isinstance(error, requests.exceptions.ProxyError) else said


def innermost(error: BaseException) -> BaseException:
    """Return the error that others wrap, as urllib3 and `requests` do: in `reason` or `args`."""
    while True:
        wrapped = [getattr(error, "reason", None), *error.args, error.__cause__]
        inner = next((one for one in wrapped if isinstance(one, BaseException)), None)
        if inner is None:
            return error
        error = inner
