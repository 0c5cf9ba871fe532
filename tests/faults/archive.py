"""An archive on loopback, signed by a throwaway key: a suite that a test can age or break.

`Archive.stands` has it as a mirror, `Archive.keeps` as a state of the snapshot archive.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from repro.locks import apt
from repro.models.lock import Deb
from repro.models.project import Family, family_of
from tests.faults.server import Reply, Server, redirect

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

    `key` signs; None leaves the InRelease unsigned. `packages` are what the suite holds, `arm`
    what it holds for arm64, `others` what its last component has; `listed` replaces the bytes
    that its index is served as, which the Release does not know.
    """

    packages: Sequence[Deb]
    key: Key | None
    date: datetime = NOW
    valid: timedelta = timedelta(days=7)
    listed: bytes | None = None
    arm: Sequence[Deb] = ()
    others: Sequence[Deb] = ()
    origin: str = ""

    def indexes(self, family: Family, *, empty: bool) -> dict[str, bytes]:
        """The package indexes of a suite, by their path in it."""
        architectures = {"amd64": self.packages, **({"arm64": self.arm} if self.arm else {})}
        found = {
            f"{component}/binary-{architecture}/Packages": b""
            for component in family.components.split()
            for architecture in architectures
        }
        if not empty:
            first, last = family.components.split()[0], family.components.split()[-1]
            found[f"{last}/binary-amd64/Packages"] = apt.render(self.others).encode()
            for architecture, packages in architectures.items():
                found[f"{first}/binary-{architecture}/Packages"] = apt.render(packages).encode()
        return found

    def release(self, suite: str, family: Family, indexes: Mapping[str, bytes]) -> str:
        """The Release file of a suite."""
        until = self.date + self.valid
        origin = self.origin or family.origin
        digests = "".join(
            f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n"
            for path, data in indexes.items()
        )
        return (
            f"Origin: {origin}\nLabel: {origin}\nSuite: {suite}\nCodename: {suite}\n"
            f"Date: {self.date:%a, %d %b %Y %H:%M:%S} UTC\n"
            f"Valid-Until: {until:%a, %d %b %Y %H:%M:%S} UTC\n"
            f"Architectures: amd64 {'arm64 ' if self.arm else ''}all\n"
            f"Components: {family.components}\nSHA256:\n{digests}"
        )


@dataclass
class Archive:
    """A suite and its -updates and -security, on a server, as a state says."""

    server: Server
    suite: str = "bookworm"
    served: list[str] = field(default_factory=list)

    @property
    def family(self) -> Family:
        """Whose archive it is."""
        return family_of(self.suite)

    def roots(self) -> dict[str, str]:
        """Where each suite lies: {suite: archive's name}."""
        return {
            f"{self.suite}{suffix}": archive
            for archive, suffixes in self.family.archives
            for suffix in suffixes
        }

    def stands(self, state: State) -> None:
        """Serve this state, and nothing of an earlier one."""
        for path in self.served:
            del self.server.replies[path]
        self.served.clear()
        for suite, root in self.roots().items():
            self.served += self._serve(state, suite, f"/{root}")

    def keeps(self, state: State, stamp: str, *, asked: Sequence[str] = ()) -> None:
        """Serve a state of the snapshot archive; who asks for `asked` is redirected to it."""
        for suite, root in self.roots().items():
            self._serve(state, suite, f"/archive/{root}/{stamp}")
            release = f"dists/{suite}/InRelease"
            for other in asked:
                self.server.replies[f"/archive/{root}/{other}/{release}"] = redirect(
                    f"/archive/{root}/{stamp}/{release}"
                )

    def _serve(self, state: State, suite: str, root: str) -> list[str]:
        indexes = state.indexes(self.family, empty=suite != self.suite)
        text = state.release(suite, self.family, indexes)
        base = f"{root}/dists/{suite}"
        name, data = "Release", text.encode()
        if state.key is not None:
            name, data = "InRelease", state.key.sign(text)
        if suite == self.suite and state.listed is not None:
            indexes[next(iter(indexes))] = state.listed
        served = {f"{base}/{name}": data, **{f"{base}/{p}": d for p, d in indexes.items()}}
        self.server.replies |= {path: Reply(body=body) for path, body in served.items()}
        return list(served)

    def sources(self, folder: Path, ring: Path, *, login: str = "", mirror: bool = True) -> Path:
        """Write apt's configuration of a host with this archive; return its path.

        `login` (`user:password@`) stands in its addresses. Not `mirror`: it names no mirror.
        """
        base = self.server.address.replace("://", f"://{login}")
        parts = folder / "sources.list.d"
        parts.mkdir(parents=True)
        text = "\n".join(
            f"Types: deb\nURIs: {base}/{root}\nSuites: {suite}\n"
            f"Components: {self.family.components}\nSigned-By: {ring}\n"
            for suite, root in self.roots().items()
        )
        (parts / "test.sources").write_text(text if mirror else "")
        config = folder / "apt.conf"
        config.write_text(
            f'Dir::Etc::sourceparts "{parts}";\nDir::Etc::sourcelist "/dev/null";\n'
            'Acquire::http::Proxy "DIRECT";\n'
        )
        return config

    def knows_snapshots(self, config: Path) -> None:
        """Have apt's configuration name the snapshot archive, as apt 3's own does."""
        lines = [
            f'Acquire::Snapshots::URI::Origin::{archive} "{self.server.address}/archive/{archive}'
            '/@SNAPSHOTID@/";\n'
            for archive, _ in self.family.archives
        ]
        config.write_text(config.read_text() + "".join(lines))
