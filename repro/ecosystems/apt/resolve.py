"""AptIndex: apt decides, never we; what it chose is looked up in the verified indexes."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from repro.addresses import redact
from repro.download import Http
from repro.ecosystems.apt.index import PackageIndexes
from repro.ecosystems.apt.past import Past, sources_as_of
from repro.ecosystems.apt.pins import Pins
from repro.ecosystems.apt.private import PrivateApt
from repro.ecosystems.apt.sources import host_sources
from repro.ecosystems.apt.status import versions
from repro.errors import LockError, UsageError
from repro.files import make_folder, scratch
from repro.models.lock import Deb, Provenance, Upgrade
from repro.models.project import SUITES, AptRequest, Sources
from repro.mutex import Claim, exclusive
from repro.process import Done
from repro.progress import Progress

BASE = ("libstdc++6", "libgcc-s1", "zlib1g", "libexpat1", "ca-certificates")
"""Asked for beside `?essential`: without libstdc++6 no compiled wheel imports (BUILD.md §1)."""

_OPTIONAL = "usr-is-merged"
"""Asked for where the suite has it: else bookworm takes usrmerge, and perl with it."""

_URI = re.compile(r"'([^']+)' \S+ [0-9]+ SHA256:([0-9a-f]{64})")
_BLOCKER = re.compile(r"^ (\S+) : |(?:Depends|PreDepends|Breaks|Conflicts): ([a-z0-9][a-z0-9+.-]+)")
_PREAMBLE = "The following information may help to resolve the situation:"
_PROVIDED = re.compile(r"^Package (\S+) is a virtual package provided by:\n((?:  .+\n)+)", re.M)
_GLIBC = re.compile(r"(?:[0-9]+:)?(2\.[0-9]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AptResolution:
    """What apt chose, sorted by name, and where that answer came from."""

    debs: tuple[Deb, ...]
    provenance: tuple[Provenance, ...]
    moved: tuple[str, ...] = ()
    """Pins that an upgrade had to move along with those that it names."""


class AptResolver:
    """Resolves on a private apt below `cache`; any suite and architecture, no root."""

    def __init__(
        self,
        cache: Path,
        sources: Sources,
        progress: Progress,
        claim: Claim | None = None,
        *,
        http: Http | None = None,
        architecture: str = "amd64",
    ) -> None:
        self.cache = cache
        self.sources = sources
        self.progress = progress
        self.claim = claim or Claim(progress=progress)
        self.http = http or Http(progress=progress)
        self.architecture = architecture

    @contextmanager
    def open(
        self,
        suite: str,
        *,
        status: bytes | None = None,
        previous: tuple[Deb, ...] = (),
        upgrade: Upgrade | None = None,
        past: Past | None = None,
    ) -> Iterator[AptIndex]:
        """Yield the suite's up-to-date index; what `previous` pins stays, as far as it may.

        `status` is the dpkg record of a base image that the packages come on top of; None: of no
        image. `previous` must come from the same suite and architecture. With `past` the index is
        the one of that moment. Raises NetworkError, LockError where an index is not to be trusted
        or not the one that the past's lock was made from, UsageError where the host lacks sources
        or keys.
        """
        sources = host_sources(self.sources, self.architecture)
        if past is not None:
            sources = sources_as_of(
                sources, past.moment, suite=suite, architecture=self.architecture, http=self.http
            )
        mirrors = repr([(mirror.archive, mirror.base) for mirror in sources.mirrors])
        other = "" if self.architecture == "amd64" else f"{self.architecture}-"
        name = f"{suite}-{other}{hashlib.sha256(mirrors.encode()).hexdigest()[:12]}"
        root = make_folder(self.cache / name)
        with (
            exclusive(
                self.cache / f"{name}.lock",
                what=f"reading apt's index of {suite}",
                claim=self.claim,
            ),
            scratch(self.cache) as secret,
        ):
            apt = PrivateApt(
                root=root,
                scratch=secret,
                suite=suite,
                sources=sources,
                status=status or b"",
                architecture=self.architecture,
            )
            apt.prepare()
            pins = Pins.kept(previous, upgrade or Upgrade())
            if status is not None:
                pins = pins.newer_than(versions(status))
            pins.write(root / "local", suite, self.architecture)
            with self.progress.task(f"reading the package index of {suite}"):
                apt.update()
            index = AptIndex(
                apt,
                pins,
                may_move=upgrade is not None and upgrade != Upgrade(),
                was=previous,
                on_top=status is not None,
            )
            if past is not None:
                past.require_same(index.provenance, lists=root / "lists")
            yield index


class AptIndex:
    """One suite's index, and apt's answers on it (see AptResolver.open)."""

    def __init__(
        self,
        apt: PrivateApt,
        pins: Pins,
        *,
        may_move: bool,
        was: tuple[Deb, ...],
        on_top: bool = False,
    ) -> None:
        self._indexes = PackageIndexes(apt)
        self._apt = apt
        self._pins = pins
        self._may_move = may_move
        self._was = was
        self._on_top = on_top

    @cached_property
    def provenance(self) -> tuple[Provenance, ...]:
        """InRelease hash, date and signer of each release, and apt's version."""
        return self._indexes.provenance()

    def version(self, package: str) -> str | None:
        """Return the version that would be chosen; None when the suite has no such package."""
        return self._indexes.version(package)

    def names(self) -> frozenset[str]:
        """Return the names of all packages, also those that others only provide."""
        known = self._indexes.names() | {deb.name for deb in self._pins.debs}
        return known | versions(self._apt.status).keys()  # an image may have it from elsewhere

    def glibc(self) -> str:
        """Return the C library's version as `2.N`. Raises LockError when there is none."""
        match = _GLIBC.match(self.version("libc6") or "")
        if match is None:
            raise LockError(
                f"{self._apt.suite} has no libc6 of a version 2.N", hint="check [apt] mirror"
            )
        return match[1]

    def keep(self, wanted: Mapping[str, str]) -> frozenset[str]:
        """Pin these versions (by name) as the old lock's; return the names that nobody has so.

        A pin of the old lock stays where it is of another package.
        """
        found = {deb.name: deb for deb in self._pins.debs if wanted.get(deb.name) == deb.version}
        rest = {name: version for name, version in wanted.items() if name not in found}
        found |= self._indexes.of_versions(rest)
        others = [deb for deb in self._pins.debs if deb.name not in wanted]
        self._pins = Pins(debs=(*others, *found.values()))
        self._pins.write(self._apt.root / "local", self._apt.suite, self._apt.architecture)
        self._apt.update_local()
        return frozenset(wanted) - found.keys()

    def resolve(
        self, requests: tuple[AptRequest, ...], *, python: str = "", apt_source: str
    ) -> AptResolution:
        """Return every package of an environment with this interpreter and these requests.

        On top of an image only what it lacks: added or upgraded, nothing removed, and no
        interpreter. `python` is "" where another ecosystem brings it. `apt_source` is the file
        that the requests came from. Raises UsageError for a package
        that the suite does not have, LockError with apt's explanation when they do not fit.
        """
        self._check(requests, apt_source)
        words = self._words(requests, python)
        before = {deb.name for deb in self._pins.debs}
        done = self._install(words)
        # every round lets go of a pin: it ends
        while done.code and self._may_move and (blockers := self._blockers(done)):
            self._pins = self._pins.without(blockers)
            self._pins.write(self._apt.root / "local", self._apt.suite, self._apt.architecture)
            self._apt.update_local()
            done = self._install(words)
        if done.code:
            raise self._unsatisfiable(done, requests, apt_source)
        debs = self._chosen(done.text)
        moved = _moved(self._was, debs, before - {deb.name for deb in self._pins.debs})
        return AptResolution(debs=debs, provenance=self.provenance, moved=moved)

    def _words(self, requests: tuple[AptRequest, ...], python: str) -> tuple[str, ...]:
        if self._on_top:
            return tuple(str(request) for request in requests)
        optional = (_OPTIONAL,) if self.version(_OPTIONAL) else ()
        interpreter = interpreter_packages(self._apt.suite, python) if python else ()
        asked = (*BASE, *optional, *interpreter)
        named = {request.name for request in requests}
        return (
            "?essential",
            *(name for name in asked if name not in named),
            *(str(request) for request in requests),
        )

    def _install(self, words: tuple[str, ...], quiet: str = "-qq") -> Done:
        done = self._apt.call(
            *("apt-get", "install", "-y", quiet, "--no-remove"),
            *("-o", "Acquire::ForceHash=SHA256"),  # without it: MD5
            *("--print-uris", "--", *words),
        )
        if done.code and quiet == "-qq":  # which also hides the explanation
            return self._install(words, "-q")
        return done

    def _check(self, requests: tuple[AptRequest, ...], apt_source: str) -> None:
        """Refuse unknown names ourselves: apt would read some of them as patterns."""
        if not requests:
            return
        known = self.names()
        for request in requests:
            if request.name not in known:
                close = difflib.get_close_matches(request.name, sorted(known), n=3, cutoff=0.75)
                raise UsageError(
                    f"{apt_source}: {self._apt.suite} has no package {request.name!r}",
                    hint=f"did you mean {' or '.join(close)}?"
                    if close
                    else "look it up: apt-cache search WORD",
                )

    def _blockers(self, done: Done) -> tuple[str, ...]:
        """Return the kept pins that apt's explanation names."""
        pinned = {deb.name for deb in self._pins.debs}
        text = done.text + done.stderr.decode(errors="replace")
        named = {
            name
            for line in text.splitlines()
            for pair in _BLOCKER.findall(line)
            for name in pair
            if name in pinned
        }
        return tuple(sorted(named))

    def _unsatisfiable(
        self, done: Done, requests: tuple[AptRequest, ...], apt_source: str
    ) -> LockError | UsageError:
        text = redact(done.text + "\n" + done.stderr.decode(errors="replace"))
        if (match := _PROVIDED.search(text)) is not None:
            providers = sorted(line.split()[0] for line in match[2].splitlines())
            return UsageError(
                f"{apt_source}: {match[1]!r} is a virtual package",
                hint=f"name the one that you want: {', '.join(providers)}",
            )
        for request in requests:
            if request.version and f"Version '{request.version}' for '{request.name}'" in text:
                return UsageError(
                    f"{apt_source}: {self._apt.suite} has no version {request.version} of "
                    f"{request.name}",
                    hint=f"it has {self.version(request.name) or 'none'} now",
                )
        blockers = self._blockers(done)
        return LockError(
            "apt finds no set of packages that fits\n  " + "\n  ".join(explanation(text)),
            hint=f"if a kept pin is in the way: repro snapshot --upgrade {' '.join(blockers)}"
            if blockers
            else f"change the packages in {apt_source}",
        )

    def _chosen(self, text: str) -> tuple[Deb, ...]:
        """Packages by the hashes that apt printed: kept ones from the old lock, as they were."""
        wanted: dict[str, str] = {}
        for line in text.splitlines():
            match = _URI.fullmatch(line)
            if match is None:
                raise LockError(
                    f"apt-get printed no SHA256: {redact(line)}", hint="lock a stronger archive"
                )
            wanted[match[2]] = match[1]
        kept = {key: deb for key, deb in self._pins.by_hash().items() if key in wanted}
        found = (
            self._indexes.debs({key: uri for key, uri in wanted.items() if key not in kept}) | kept
        )
        if missing := sorted(redact(uri) for key, uri in wanted.items() if key not in found):
            raise LockError(f"not in any verified index: {', '.join(missing)}")
        return tuple(sorted(found.values(), key=lambda deb: deb.name))


def explanation(text: str) -> tuple[str, ...]:
    """Return the lines in which apt-get says why it cannot, without its preamble."""
    lines = (text.partition(_PREAMBLE)[2] or text).splitlines()
    return tuple(
        line.rstrip()
        for line in lines
        if line.strip() and not line.startswith(("Reading ", "Building "))
    )


def interpreter_packages(suite: str, python: str) -> tuple[str, ...]:
    """Return the packages of an interpreter with its whole standard library.

    `python` and `python2` for 2.7, `python3` for the others. Raises UsageError for one that the
    suite does not have.
    """
    for known in SUITES:
        if known.name == suite and python in known.pythons:
            break
    else:
        have = "; ".join(f"{one.name}: {', '.join(one.pythons)}" for one in SUITES)
        raise UsageError(
            f"no Python {python} in {suite!r}", hint=f"suites and their interpreters: {have}"
        )
    if python == "2.7":
        return ("python2.7", "python2", "python-is-python2")
    # Debian keeps distutils apart until 3.12, where it is gone; zoneinfo reads tzdata
    legacy = ("python3-distutils",) if python in ("3.9", "3.10", "3.11") else ()
    return (f"python{python}", "python3", *legacy, "tzdata")


def _moved(was: Iterable[Deb], now: Iterable[Deb], released: set[str]) -> tuple[str, ...]:
    versions: Mapping[str, str] = {deb.name: deb.version for deb in was}
    return tuple(
        deb.name
        for deb in now
        if deb.name in released and versions.get(deb.name, deb.version) != deb.version
    )
