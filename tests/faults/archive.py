"""A Debian archive on loopback, signed by a throwaway key: a suite that a test can age or break."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from repro.locks import apt
from repro.models.lock import Deb
from tests.faults.server import Reply, Server

SUITES = {
    "bookworm": "/debian",
    "bookworm-updates": "/debian",
    "bookworm-security": "/debian-security",
}
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, kw_only=True)
class Key:
    """A signing key: its home, and the key ring that has its public half alone."""

    home: Path
    ring: Path

    def sign(self, text: str) -> bytes:
        """The text, clear-signed."""
        return _gpg(self.home, "--clearsign", text=text.encode())


@contextmanager
def signing_key(home: Path) -> Iterator[Key]:
    """Make a key; its agent is gone after the block."""
    home.mkdir(mode=0o700)
    _gpg(home, "--quick-generate-key", "Archive of a test", "ed25519", "sign", "never")
    ring = home / "ring.gpg"
    ring.write_bytes(_gpg(home, "--export"))
    try:
        yield Key(home=home, ring=ring)
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def _gpg(home: Path, *words: str, text: bytes = b"") -> bytes:
    done = subprocess.run(
        ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", *words],
        input=text,
        capture_output=True,
        check=True,
    )
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class State:
    """How an archive stands: the time of its releases, how long they are valid, what is wrong.

    `key` signs; None leaves the InRelease unsigned. `packages` are what bookworm holds; `listed`
    replaces the bytes that its index is served as, which the Release does not know.
    """

    packages: Sequence[Deb]
    key: Key | None
    date: datetime = NOW
    valid: timedelta = timedelta(days=7)
    listed: bytes | None = None

    def release(self, suite: str, packages: bytes) -> str:
        """The Release file of a suite."""
        digest = hashlib.sha256(packages).hexdigest()
        until = self.date + self.valid
        return (
            f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\n"
            f"Date: {self.date:%a, %d %b %Y %H:%M:%S} UTC\n"
            f"Valid-Until: {until:%a, %d %b %Y %H:%M:%S} UTC\n"
            "Architectures: amd64 all\nComponents: main\n"
            f"SHA256:\n {digest} {len(packages)} main/binary-amd64/Packages\n"
        )


@dataclass
class Archive:
    """The suites of Debian that repro reads, on a server, as a state says."""

    server: Server
    served: list[str] = field(default_factory=list)

    def stands(self, state: State) -> None:
        """Serve this state, and nothing of an earlier one."""
        for path in self.served:
            del self.server.replies[path]
        self.served.clear()
        for suite, root in SUITES.items():
            packages = apt.render(state.packages).encode() if suite == "bookworm" else b""
            text = state.release(suite, packages)
            base = f"{root}/dists/{suite}"
            if state.key is not None:
                self._serve(f"{base}/InRelease", state.key.sign(text))
            else:
                self._serve(f"{base}/Release", text.encode())
            listed = state.listed if suite == "bookworm" and state.listed is not None else packages
            self._serve(f"{base}/main/binary-amd64/Packages", listed)

    def _serve(self, path: str, data: bytes) -> None:
        self.server.replies[path] = Reply(body=data)
        self.served.append(path)

    def sources(self, folder: Path, ring: Path, *, login: str = "") -> Path:
        """Write apt's configuration of a host with this archive; return its path.

        `login` (`user:password@`) stands in its addresses.
        """
        base = self.server.address.replace("://", f"://{login}")
        parts = folder / "sources.list.d"
        parts.mkdir(parents=True)
        (parts / "test.sources").write_text(
            "\n".join(
                f"Types: deb\nURIs: {base}{root}\nSuites: {suite}\n"
                f"Components: main\nSigned-By: {ring}\n"
                for suite, root in SUITES.items()
            )
        )
        config = folder / "apt.conf"
        config.write_text(
            f'Dir::Etc::sourceparts "{parts}";\nDir::Etc::sourcelist "/dev/null";\n'
            'Acquire::http::Proxy "DIRECT";\n'
        )
        return config
