"""A token service for Debian's registry, as hosted registries have one: passwords in, JWTs out.

Format: the distribution project's docs/spec/auth (token.md, oauth.md, jwt.md). Signed by openssl
with a key of its own, in whose certificate the registry trusts.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SERVICE, ISSUER = "tests", "the tests' token service"


@dataclass
class TokenService:
    """One that runs on loopback. `login` may read, and so may who has the token `identity`."""

    folder: Path
    address: str = ""
    login: tuple[str, str] = ("reader", "hunter2-token")
    identity: str = "hunter2-identity"
    scopes: list[str] = field(default_factory=list)
    forms: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def settings(self) -> Mapping[str, object]:
        """What a registry must be configured with."""
        token = {
            "realm": f"{self.address}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(self.folder / "certificate.pem"),
        }
        return {"auth": {"token": token}}

    def token(self, repository: str, *actions: str) -> str:
        """Return a signed token for some actions on a repository."""
        pem = (self.folder / "certificate.pem").read_text()
        lines = [line for line in pem.splitlines() if "CERTIFICATE" not in line]
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines)]}
        now = int(time.time())
        access = {"type": "repository", "name": repository, "actions": list(actions)}
        claims = {
            **{"iss": ISSUER, "sub": "reader", "aud": SERVICE, "jti": str(time.time_ns())},
            **{"nbf": now - 10, "iat": now, "exp": now + 300, "access": [access]},
        }
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.folder / "key.pem")],
            input=text.encode(), capture_output=True, check=True,
        )  # fmt: skip
        return f"{text}.{_encoded(signed.stdout)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def token_service(folder: Path) -> Iterator[TokenService]:
    """Run a token service; it is gone after the block."""
    folder.mkdir()
    asked = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=tokens"
    paths = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", *asked.split(), *paths], check=True, capture_output=True)
    service = TokenService(folder)

    class Handler(_Handler):
        state = service

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    service.address = f"http://127.0.0.1:{web.server_address[1]}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers who is known with a token, others with 401."""

    state: TokenService

    def do_GET(self) -> None:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        password = ":".join(self.state.login).encode()
        basic = f"Basic {base64.b64encode(password).decode()}"
        self.answer(asked, known=self.headers.get("Authorization") == basic, name="token")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        self.state.forms.append(form)
        known = form.get("refresh_token") == self.state.identity
        self.answer(form, known=known, name="access_token")

    def answer(self, asked: Mapping[str, str], *, known: bool, name: str) -> None:
        assert asked["service"] == SERVICE
        if not known:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.state.scopes.append(asked["scope"])
        _, repository, actions = asked["scope"].split(":")
        token = self.state.token(repository, *actions.split(","))
        data = json.dumps({name: token, "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""
