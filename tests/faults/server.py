"""A loopback server that serves real artifacts with one thing broken.

What is served are values: a `Reply` for each path, or several that are given one after the other
(the last one for ever). A fault is a field of the reply, so a test says what is broken and
nothing else:

    with serving() as server:
        server.add_index({"demo-1.0-py3-none-any.whl": wheel}, project="demo")    # all is well
        path = "/files/demo-1.0-py3-none-any.whl"

        server.replies[path] = Reply(status=404)
        server.replies[path] = Reply(body=other)                        # 200 with wrong bytes
        server.replies[path] = [busy(after=2), Reply(body=wheel)]       # 503, Retry-After: 2
        server.replies[path] = Reply(body=wheel, cut=100, etag='"1"')   # breaks off, can go on
        server.replies[path] = Reply(body=wheel, cut=100, etag='"1"', ranges=Ranges.SHIFTED)
        server.replies[path] = Reply(body=wheel, length=len(wheel) + 1)
        server.replies[path] = Reply(body=wheel, drip=0.2)              # seconds a byte
        server.replies[path] = Reply(hang=True)                         # takes, never answers
        server.replies[path] = redirect("/elsewhere?token=canary")

        ...                                                  # run the command on server.address
        assert server.count(path) == 2
        assert server.ranges == [None, "bytes=100-"]         # what each request asked for

`serving(tls=self_signed(folder))` is the same over https with a certificate that nobody trusts,
unless a test names `Certificate.file` as the authority.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


class Ranges(enum.Enum):
    """How a request for the rest of a body (`Range: bytes=N-`) is answered."""

    RIGHT = "206 with the bytes from N on; 200 where If-Range names another ETag"
    IGNORED = "200 with the whole body"
    SHIFTED = "206 that says, and has, the bytes from another offset"
    LYING = "206 that says the right offset and has other bytes"
    REFUSED = "416"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer, and what is broken about it.

    `length` replaces Content-Length (-1: none is sent); `cut` closes the connection after so
    many bytes of the body, also of a partial one; `drip` is the pause before each byte of the
    body, in seconds; `hang` takes the request and never answers.
    """

    status: int = 200
    body: bytes = b""
    kind: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    ranges: Ranges = Ranges.RIGHT
    length: int | None = None
    cut: int | None = None
    drip: float = 0.0
    hang: bool = False


def busy(status: int = 503, *, after: int | str) -> Reply:
    """An answer that asks to come again: `after` is its Retry-After, seconds or a date."""
    return Reply(status=status, headers={"Retry-After": str(after)})


def redirect(to: str, status: int = 302) -> Reply:
    """An answer that leads elsewhere."""
    return Reply(status=status, headers={"Location": to})


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A TLS certificate that signed itself, for 127.0.0.1; `file` is also its authority."""

    file: Path
    key: Path


def self_signed(folder: Path) -> Certificate:
    """Make a certificate that is valid for a day."""
    made = Certificate(file=folder / "certificate.pem", key=folder / "key.pem")
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    asked += " -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *asked.split(), "-keyout", str(made.key), "-out", str(made.file)],
        check=True,
        capture_output=True,
    )
    return made


def signed(folder: Path) -> tuple[Certificate, Path]:
    """Make an authority, and a certificate of its: for programs that take no authority as one."""
    authority, key, asked = folder / "authority.pem", folder / "authority-key.pem", folder / "asked"
    made = Certificate(file=folder / "signed.pem", key=folder / "signed-key.pem")
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    sign = f"x509 -req -days 1 -CAcreateserial -CA {authority} -CAkey {key} -in {asked}".split()
    for words in (
        [*new, "-x509", "-days", "1", "-subj", "/CN=authority", "-keyout", key, "-out", authority],
        [*new, "-subj", "/CN=loopback", "-keyout", made.key, "-out", asked],
        [*sign, "-extfile", extensions, "-out", made.file],
    ):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    return made, authority


@dataclass
class Server:
    """What is served: replies by path, changed at will; what was asked for is noted."""

    address: str = ""
    replies: dict[str, Reply | Sequence[Reply]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.asked.count(path)

    def reply(self, path: str) -> Reply:
        """The answer that is due after the last request for `path` was noted."""
        found = self.replies.get(path, Reply(status=404))
        if isinstance(found, Reply):
            return found
        return found[min(self.count(path), len(found)) - 1]

    def add_index(
        self,
        files: Mapping[str, bytes],
        *,
        project: str,
        root: str = "/simple",
        hashes: Mapping[str, str] | None = None,
        uploaded: Mapping[str, str] | None = None,
    ) -> None:
        """Serve one project of a simple index (PEP 503); `hashes` replaces what it says.

        With `uploaded` (when each file was) it is one that says so (PEP 691, PEP 700).
        """
        links = []
        for name, data in files.items():
            digest = (hashes or {}).get(name, hashlib.sha256(data).hexdigest())
            fragment = f"#sha256={digest}" if digest else ""
            links.append(f'<a href="../../files/{name}{fragment}">{name}</a><br>')
            self.replies[f"{root.rpartition('/')[0]}/files/{name}"] = Reply(body=data)
        if uploaded is not None:
            self.replies[f"{root}/{project}/"] = _json_page(project, files, uploaded)
            return
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        self.replies[f"{root}/{project}/"] = Reply(body=page.encode(), kind="text/html")


def _json_page(project: str, files: Mapping[str, bytes], uploaded: Mapping[str, str]) -> Reply:
    listed = [
        {
            "filename": name,
            "url": f"../../files/{name}",
            "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
            "size": len(data),
            "upload-time": uploaded[name],
        }
        for name, data in files.items()
    ]
    page = {"meta": {"api-version": "1.1"}, "name": project, "files": listed}
    return Reply(body=json.dumps(page).encode(), kind="application/vnd.pypi.simple.v1+json")


@contextmanager
def serving(tls: Certificate | None = None) -> Iterator[Server]:
    """Serve on a free loopback port; the server is gone after the block."""
    server = Server()

    class Handler(_Handler):
        state = server

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.file, tls.key)
        web.socket = context.wrap_socket(
            web.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "http" if tls is None else "https"
    server.address = f"{scheme}://127.0.0.1:{web.server_address[1]}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        web.shutdown()
        web.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection after the replies of `state`."""

    state: Server
    protocol_version = "HTTP/1.1"
    noting = threading.Lock()

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            self.close_connection = True  # the client went away, or does not trust us

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        with self.noting:
            self.state.asked.append(path)
            self.state.authorizations.append(self.headers.get("Authorization"))
            self.state.ranges.append(self.headers.get("Range"))
            reply = self.state.reply(path)
        if reply.hang:
            self.state.closing.wait()
            self.close_connection = True
            return
        status, body, headers = self.part(reply)
        length = len(body) if reply.length is None else reply.length
        self.send_response(status)
        self.send_header("Content-Type", reply.kind)
        if length >= 0:
            self.send_header("Content-Length", str(length))
        if reply.etag is not None:
            self.send_header("ETag", reply.etag)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        broken = length != len(body) or (reply.cut is not None and reply.cut < len(body))
        if broken:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self.send(body[: reply.cut], reply.drip)

    def part(self, reply: Reply) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of what a Range asks for."""
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        changed = self.headers.get("If-Range") not in (None, reply.etag)
        body, size = reply.body, len(reply.body)
        ignored = reply.status != 200 or reply.ranges is Ranges.IGNORED
        if asked is None or ignored or (changed and reply.ranges is Ranges.RIGHT):
            return reply.status, body, {}
        start = int(asked[1]) if asked[1] else max(size - int(asked[2]), 0)
        end = min(int(asked[2]) + 1, size) if asked[1] and asked[2] else size
        if reply.ranges is Ranges.REFUSED or start >= size:
            return 416, b"", {"Content-Range": f"bytes */{size}"}
        rest = body[start:end]
        if reply.ranges is Ranges.SHIFTED:
            start, rest = start + 1, body[start + 1 : end]
        elif reply.ranges is Ranges.LYING:
            rest = bytes(byte ^ 1 for byte in rest)
        last = start + len(rest) - 1
        return 206, rest, {"Content-Range": f"bytes {start}-{last}/{size}"}

    def send(self, body: bytes, drip: float) -> None:
        if not drip:
            self.wfile.write(body)
            return
        for number in range(len(body)):
            if self.state.closing.wait(drip):
                return
            self.wfile.write(body[number : number + 1])

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean; `asked` has it all."""
