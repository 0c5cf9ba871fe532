"""A fake Engine API on a unix socket: the real daemon with one thing broken, or a script alone.

What lies between `repro` and a Docker daemon is an HTTP server on a unix socket. `EngineApi`
puts itself there. It passes every request on to the real daemon, so that everything which is
not the fault is real (the API's answers, the image, the container), and breaks what it is told
to break:

    with EngineApi(tmp_path) as api:
        api.on("POST /images/load", answer(500, "write /layer.tar: no space left on device"))
        answer_of_repro = tiny("--engine", "docker", "run", env=api.env)
        assert_refused(answer_of_repro, 5, "loading", "no space left on device")
        assert "POST /images/load" in api.requests

`on(pattern, fault, times=1)` says what happens to the next `times` requests (None: to all) of
which `METHOD /path` matches the regular expression; the version in front of the path (`/v1.41`)
is left out of what is matched, the query is not. Rules are tried in the order in which they were
given. What no rule takes goes to the daemon; without one (`EngineApi(folder, daemon=None)`) it is
answered 501, so that a test of a script alone sees what it forgot. `requests` lists what was
asked, `versions` with which versions of the API. The faults:

| fault | what the client meets |
|---|---|
| `answer(status, body)` | that answer, without the daemon; a text becomes `{"message": …}` |
| `rewritten(change)` | the daemon's answer: `change` gets its JSON and returns another |
| `raw(data)` | these bytes, whatever HTTP says |
| `cut()` | the connection ends without an answer |
| `cut_after(size)` | the daemon's answer ends after `size` bytes of its body |
| `dropped(when)` | a stream (attach, wait) that works until the event `when`, then ends |
| `hang()` | no answer while the test lasts |
| `first(act)` | `act()` is called (remove an image, say), then the daemon is asked |
| `daemon_gone` | every connection ends, and nobody listens any more |

Each connection carries one request: the proxy asks both sides to close it afterwards, but for
one that is upgraded to a raw stream (attach), which is copied in both directions.
"""

from __future__ import annotations

import json
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DAEMON = Path("/var/run/docker.sock")
CHUNK = 1 << 16
_VERSION = re.compile(r"^/v[0-9]+\.[0-9]+(?=/)")


@dataclass(kw_only=True)
class Exchange:
    """One request, and the ways to treat it; `head` ends with its empty line."""

    api: EngineApi
    client: socket.socket
    head: bytes
    rest: bytes
    """What came with the head: the beginning of the body."""
    name: str
    """`METHOD /path?query`, without the version."""

    def reply(self, data: bytes) -> None:
        """Send these bytes and end the connection."""
        self.client.sendall(data)

    def forward(self, *, until: threading.Event | None = None) -> None:
        """Ask the daemon and pass its answer on as it comes, until the event if there is one."""
        with self.api.connected() as daemon:
            daemon.sendall(self._single() + self.rest)
            upward = threading.Thread(target=copy, args=(self.client, daemon), daemon=True)
            upward.start()
            downward = threading.Thread(target=copy, args=(daemon, self.client), daemon=True)
            downward.start()
            if until is None:
                downward.join()
                return
            while downward.is_alive() and not until.wait(0.05):
                continue

    def asked(self) -> bytes:
        """Ask the daemon and return its whole answer."""
        with self.api.connected() as daemon:
            daemon.sendall(self._single() + self.rest)
            threading.Thread(target=copy, args=(self.client, daemon), daemon=True).start()
            return b"".join(iter(lambda: daemon.recv(CHUNK), b""))

    def _single(self) -> bytes:
        """The head, asking to close the connection afterwards unless it is to be upgraded."""
        if re.search(rb"\r\nUpgrade:", self.head, re.IGNORECASE):
            return self.head
        kept = re.sub(rb"\r\nConnection:[^\r]*", b"", self.head, flags=re.IGNORECASE)
        return kept.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"


Fault = Callable[[Exchange], None]


@dataclass
class _Rule:
    pattern: re.Pattern[str]
    fault: Fault
    left: int | None


@dataclass
class EngineApi:
    """A daemon's socket with faults; a context manager, gone afterwards with its threads' work.

    `folder` is where the socket comes to lie, if its path is short enough for a socket.
    `daemon` is the socket to pass requests on to.
    """

    folder: Path
    daemon: Path | None = DAEMON
    requests: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    _rules: list[_Rule] = field(default_factory=list)
    _open: set[socket.socket] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _short: tempfile.TemporaryDirectory[str] | None = None

    def __post_init__(self) -> None:
        if len(bytes(self.folder)) > 80:  # a socket's name holds 107 bytes
            self._short = tempfile.TemporaryDirectory(prefix="repro-api-", dir="/tmp")
            self.folder = Path(self._short.name)
        self.path = self.folder / "engine.sock"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    @property
    def url(self) -> str:
        """Its address, as `base_url` and DOCKER_HOST take it."""
        return f"unix://{self.path}"

    @property
    def env(self) -> Mapping[str, str]:
        """The variable that sends a command to it."""
        return {"DOCKER_HOST": self.url}

    @property
    def over(self) -> threading.Event:
        """Set when the test ends."""
        return self._over

    def on(self, pattern: str, fault: Fault, *, times: int | None = 1) -> None:
        """Treat the next `times` requests that match so (None: all of them)."""
        self._rules.append(_Rule(re.compile(pattern), fault, times))

    def __enter__(self) -> Self:
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self.vanish()
        if self._short is not None:
            self._short.cleanup()

    def vanish(self) -> None:
        """End every connection and take no new one, as when the daemon dies."""
        self.path.unlink(missing_ok=True)
        with self._guard:
            left = [self._server, *self._open]
        for item in left:
            _end(item)
        self._server.close()

    def connected(self) -> socket.socket:
        """A connection to the daemon."""
        assert self.daemon is not None
        daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        daemon.connect(str(self.daemon))
        with self._guard:
            self._open = {daemon, *(item for item in self._open if item.fileno() >= 0)}
        return daemon

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:  # it vanished
                return
            with self._guard:
                self._open.add(client)
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        try:
            exchange = self._read(client)
            if exchange is not None:
                self._fault(exchange.name)(exchange)
        except OSError:
            return  # one of the two ends is gone
        finally:
            _end(client)
            client.close()
            with self._guard:
                self._open.discard(client)

    def _read(self, client: socket.socket) -> Exchange | None:
        """Read a request's head; None for somebody who only knocked."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(CHUNK)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        name = f"{method} {_VERSION.sub('', target)}"
        if (version := _VERSION.match(target)) is not None:
            self.versions.add(version[0].removeprefix("/v"))
        self.requests.append(name)
        return Exchange(api=self, client=client, head=head + b"\r\n\r\n", rest=rest, name=name)

    def _fault(self, name: str) -> Fault:
        with self._guard:
            for rule in self._rules:
                if rule.left != 0 and rule.pattern.search(name):
                    rule.left = None if rule.left is None else rule.left - 1
                    return rule.fault
        if self.daemon is None:
            return answer(501, f"the test says nothing of {name}")
        return Exchange.forward


# ---- faults ------------------------------------------------------------------------------


def answer(status: int, body: str | Mapping[str, Any] | list[Any] = "") -> Fault:
    """Answer this, a text as the API's error document."""
    document = {"message": body} if isinstance(body, str) else body
    return raw(_response(status, json.dumps(document).encode()))


def rewritten(change: Callable[[Any], Any]) -> Fault:
    """Answer what the daemon answers, its JSON changed."""

    def fault(exchange: Exchange) -> None:
        head, _, body = exchange.asked().partition(b"\r\n\r\n")
        if re.search(rb"\r\nTransfer-Encoding: chunked", head, re.IGNORECASE):
            body = _unchunked(body)
        status = int(head.split(b" ")[1])
        exchange.reply(_response(status, json.dumps(change(json.loads(body))).encode()))

    return fault


def raw(data: bytes) -> Fault:
    """Answer exactly these bytes."""

    def fault(exchange: Exchange) -> None:
        _swallow(exchange)
        exchange.reply(data)

    return fault


def cut() -> Fault:
    """End the connection without an answer."""
    return raw(b"")


def cut_after(size: int) -> Fault:
    """Answer what the daemon answers, and end after `size` bytes of its body."""

    def fault(exchange: Exchange) -> None:
        head, _, body = exchange.asked().partition(b"\r\n\r\n")
        exchange.reply(head + b"\r\n\r\n" + body[:size])

    return fault


def dropped(when: threading.Event) -> Fault:
    """Pass a stream on until the event, then end it."""
    return lambda exchange: exchange.forward(until=when)


def hang() -> Fault:
    """Say nothing while the test lasts."""

    def fault(exchange: Exchange) -> None:
        exchange.api.over.wait()

    return fault


def first(act: Callable[[], object]) -> Fault:
    """Do something, then ask the daemon."""

    def fault(exchange: Exchange) -> None:
        act()
        exchange.forward()

    return fault


def daemon_gone(exchange: Exchange) -> None:
    """End every connection, this one too, and listen no more."""
    exchange.api.vanish()


# ---- bytes -------------------------------------------------------------------------------


def copy(source: socket.socket, target: socket.socket) -> None:
    """Bring everything from one socket to another, and its end too."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # either end is gone
        return


def _swallow(exchange: Exchange) -> None:
    """Read the request's body as far as it comes at once: some clients only then listen."""
    exchange.client.settimeout(0.3)
    try:
        while exchange.client.recv(CHUNK):
            continue
    except TimeoutError:
        exchange.client.settimeout(None)


def _response(status: int, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _unchunked(body: bytes) -> bytes:
    """Format: RFC 9112 §7.1."""
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return whole
        whole, body = whole + body[:length], body[length + 2 :]


def _end(item: socket.socket) -> None:
    try:
        item.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        return
