"""The verified package indexes of one suite, as a private apt holds them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.addresses import redact
from repro.ecosystems.apt.private import LOCAL_ORIGIN, PrivateApt, release_date
from repro.ecosystems.apt.sources import TIMESTAMP
from repro.errors import LockError
from repro.files import local_errors
from repro.locks.apt import from_fields
from repro.locks.names import said
from repro.models.lock import Deb, Provenance
from repro.models.project import DEBIAN, Family, family_of
from repro.process import Done, run, which

_SHA256 = re.compile(rb"^SHA256: ([0-9a-f]{64})$", re.MULTILINE)
_NAMES = re.compile(rb"^(?:Package: (\S+)|Provides: (.+))$", re.MULTILINE)
_PACKAGE = re.compile(rb"^Package: (\S+)$", re.MULTILINE)
_VERSION = re.compile(rb"^Version: (\S+)$", re.MULTILINE)
_CANDIDATE = re.compile(r"^  Candidate: (\S+)$", re.MULTILINE)
_VALID = re.compile(r"^\[GNUPG:\] VALIDSIG .*?([0-9A-F]{40})\s*$", re.MULTILINE)
_TARGET = ("Filename", "Release", "Repo-URI")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One `Packages` index that apt has verified: its file, archive and release."""

    file: Path
    archive: str
    release: str


def parse_targets(text: str, family: Family = DEBIAN) -> tuple[Target, ...]:
    """Return the archives' indexes in the output of `apt-get indextargets`.

    The local source is left out. Raises LockError for an index that apt does not trust, or that
    is not the family's.
    """
    found = []
    for paragraph in text.strip().split("\n\n"):
        fields = fields_of(paragraph)
        if fields.get("Origin") == LOCAL_ORIGIN or fields.get("Repo-URI", "").startswith("copy:"):
            continue
        base = said(redact(fields.get("Repo-URI", "an unknown source")))
        if fields.get("Trusted") != "yes":
            raise LockError(
                f"{base}: apt does not trust this index", hint="mend apt's sources: Signed-By"
            )
        if missing := [name for name in _TARGET if name not in fields]:
            raise LockError(
                f"{base}: apt says no {', '.join(missing)} of this index",
                hint="remove the apt folder of the cache and run again",
            )
        if fields.get("Origin") != family.origin:
            raise LockError(
                f"{base}: its origin is {fields.get('Origin', 'not given')!r}, not {family.origin}",
                hint=f"name a mirror of {family.origin} itself: [apt] mirror in repro.toml",
            )
        found.append(
            Target(
                file=Path(fields["Filename"]),
                archive=_archive(fields["Repo-URI"]),
                release=fields["Release"],
            )
        )
    return tuple(found)


def _archive(address: str) -> str:
    """The last part of a mirror's address, before the timestamp of a past state."""
    parts = address.rstrip("/").split("/")
    return parts[-2] if TIMESTAMP.fullmatch(parts[-1]) else parts[-1]


def fields_of(paragraph: str) -> dict[str, str]:
    """Return the fields of one paragraph that a trusted apt wrote or verified."""
    from debian.deb822 import Deb822

    return {str(key): str(value) for key, value in Deb822(paragraph.splitlines()).items()}


class PackageIndexes:
    """What the suite offers. Valid while the lock on its folder is held."""

    def __init__(self, apt: PrivateApt) -> None:
        self.apt = apt
        self._targets: tuple[Target, ...] | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """The verified indexes. Raises LockError when one is not."""
        if self._targets is None:
            done = self.apt.call("apt-get", "indextargets", "Created-By: Packages")
            self._targets = parse_targets(_checked(done).text, family_of(self.apt.suite))
            if not self._targets:
                raise LockError(f"{self.apt.suite}: the archive has no package index")
        return self._targets

    def version(self, package: str) -> str | None:
        """Return the version that would be chosen; None when the suite has no such package."""
        done = _checked(self.apt.call("apt-cache", "policy", "--", package))
        match = _CANDIDATE.search(done.text)
        return None if match is None or match[1] == "(none)" else match[1]

    def names(self) -> frozenset[str]:
        """Names of all packages, also those that others only provide."""
        found: set[str] = set()
        for data in self._contents():
            for package, provided in _NAMES.findall(data):
                if package:
                    found.add(package.decode())
                else:
                    found.update(
                        part.split()[0].decode() for part in provided.split(b",") if part.split()
                    )
        return frozenset(found)

    def debs(self, wanted: Mapping[str, str]) -> dict[str, Deb]:
        """Return {sha256: package} of those of `wanted` (sha256 → path) that the indexes hold."""
        found: dict[str, Deb] = {}
        for target, data in zip(self.targets, self._contents(), strict=True):
            for match in _SHA256.finditer(data):
                sha256 = match[1].decode()
                if sha256 in wanted and sha256 not in found:
                    start = data.rfind(b"\n\n", 0, match.start()) + 1
                    end = data.find(b"\n\n", match.end())
                    text = data[start : end if end >= 0 else len(data)].decode()
                    where = f"the index of {target.release}"
                    found[sha256] = from_fields(
                        fields_of(text.strip("\n")),
                        archive=target.archive,
                        where=where,
                        architecture=self.apt.architecture,
                    )
        return found

    def of_versions(self, wanted: Mapping[str, str]) -> dict[str, Deb]:
        """Return {name: package} of those of `wanted` (name → version) that the indexes hold."""
        found: dict[str, Deb] = {}
        for target, data in zip(self.targets, self._contents(), strict=True):
            for match in _PACKAGE.finditer(data):
                name = match[1].decode()
                if name not in wanted or name in found:
                    continue
                end = data.find(b"\n\n", match.end())
                stanza = data[match.start() : end if end >= 0 else len(data)]
                version = _VERSION.search(stanza)
                if version is not None and version[1].decode() == wanted[name]:
                    where = f"the index of {target.release}"
                    fields = fields_of(stanza.decode().strip("\n"))
                    found[name] = from_fields(fields, archive=target.archive, where=where)
        return found

    def provenance(self) -> tuple[Provenance, ...]:
        """Return InRelease hash, date and signer of each release, and apt's version."""
        found: dict[Path, Provenance] = {}
        for target in self.targets:  # one a component
            name = target.file.name.partition(f"_{target.release}_")[0]
            path = target.file.with_name(f"{name}_{target.release}_InRelease")
            if path not in found and path.is_file():
                with local_errors(path):
                    data = path.read_bytes()
                found[path] = Provenance(
                    source=f"{target.archive} {target.release}",
                    facts=(
                        ("inrelease", hashlib.sha256(data).hexdigest()),
                        ("date", release_date(data.decode(errors="replace"))),
                        *self._past(target.archive),
                        *(("signer", one) for one in self._signers(path, target.archive)),
                    ),
                )
        done = _checked(self.apt.call("apt-get", "--version"))
        version = Provenance(source="apt", facts=(("version", done.text.split()[1]),))
        return (*found.values(), version)

    def _past(self, archive: str) -> Iterable[tuple[str, str]]:
        past = self.apt.sources.mirror(archive).past
        return (("snapshot", past),) if past else ()

    def _contents(self) -> Iterator[bytes]:
        for target in self.targets:
            with local_errors(target.file):
                yield target.file.read_bytes()

    def _signers(self, path: Path, archive: str) -> Iterable[str]:
        """Fingerprints of the good signatures' primary keys, as far as gpgv is there to ask."""
        keys = self.apt.sources.mirror(archive).signed_by or family_of(self.apt.suite).keyring
        gpgv = which("gpgv")
        if gpgv is None or "-----BEGIN" in keys or not keys.endswith(".gpg"):
            return ()
        words = [word for key in keys.split() for word in ("--keyring", key)]
        done = run([gpgv, "--status-fd", "1", *words, path], timeout=60)
        return sorted(set(_VALID.findall(done.text)))


def _checked(done: Done) -> Done:
    if done.code:
        raise LockError(
            f"{' '.join(done.argv[:2])} failed: {redact(done.tail(5))}",
            hint="remove the apt folder of the cache and run again",
        )
    return done
