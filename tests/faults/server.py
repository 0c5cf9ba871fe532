"""A loopback HTTP server that serves what a test gives it, with one thing broken."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. `length` overrides Content-Length: longer than the body is a cut body."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Server:
    """What is served: replies by path, changed at will; what was asked for is noted."""

    address: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.asked.count(path)

    def add_index(
        self,
        files: Mapping[str, bytes],
        *,
        project: str,
        root: str = "/simple",
        hashes: Mapping[str, str] | None = None,
    ) -> None:
        """Serve one project of a simple index (PEP 503); `hashes` replaces what it says."""
        links = []
        for name, data in files.items():
            digest = (hashes or {}).get(name, hashlib.sha256(data).hexdigest())
            fragment = f"#sha256={digest}" if digest else ""
            links.append(f'<a href="../../files/{name}{fragment}">{name}</a><br>')
            self.replies[f"{root.rpartition('/')[0]}/files/{name}"] = Reply(body=data)
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        self.replies[f"{root}/{project}/"] = Reply(body=page.encode(), kind="text/html")


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free loopback port; the server is gone after the block."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            server.asked.append(path)
            server.authorizations.append(self.headers.get("Authorization"))
            reply = server.replies.get(path, Reply(status=404))
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            length = len(reply.body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(length))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(reply.body)
            if length != len(reply.body):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean; `asked` has it all."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    server.address = f"http://127.0.0.1:{web.server_address[1]}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()
        thread.join()
