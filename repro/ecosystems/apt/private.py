"""A private apt: reads nothing of the host's state, needs no root (BUILD.md §1)."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

from repro.addresses import redact
from repro.ecosystems.apt.sources import AptSources, Mirror
from repro.errors import EngineError, LockError, NetworkError, ReproError, UsageError
from repro.files import local_errors, make_folder, scratch, write_atomic
from repro.models.project import Family, family_of
from repro.process import Done, run, which

TIMEOUT = 1800.0
LOCAL_ORIGIN = "repro-lock"
"""`Origin` of the local source that keeps the old lock's versions available."""

_LOCAL_PIN = 1001
"""Above 1000 a version is chosen even if another source has a higher one (apt_preferences(5))."""

# What apt says when bytes arrived but are not what the archive signed, or no longer valid.
_UNTRUSTED = re.compile(
    r"(?i)GPG error|BADSIG|NO_PUBKEY|EXPKEYSIG|REVKEYSIG|EXPSIG|is not signed|no longer signed"
    r"|is expired|not valid yet|Hash Sum mismatch|clearsigned file|signature|Origin.*changed"
)
_UNSIGNED = re.compile(r"The repository '.+' is (?:no longer|not) signed\.")
_NOT_GIVEN = re.compile(r"Failed to fetch \S+/InRelease  [45][0-9]{2}  ")
_SAID = re.compile(r"^(?:[EW]:|Err:|  )\s*\S")

# what apt-get writes of a Release that a server sent: not "unchanged" (`Hit`)
_ARRIVED = re.compile(r"^Get:[0-9]+ \S+ (\S+) InRelease", re.MULTILINE)
_DATE = re.compile(r"^Date: (.+)$", re.MULTILINE)

_PASSED_ENVIRONMENT = ("PATH", "TMPDIR", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateApt:
    """apt with all its folders below `root`; `scratch` (mode 0700) holds what is secret.

    The caller holds the lock of `root`; one user at a time.
    """

    root: Path
    scratch: Path
    suite: str
    sources: AptSources
    architecture: str = "amd64"
    status: bytes = b""
    """What dpkg knows as installed: a base image's own record, nothing for a bootstrap."""
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def prepare(self) -> None:
        """Write configuration and sources. Raises UsageError where the host lacks something."""
        _require("apt-get", "apt")
        for name in ("lists/partial", "cache/archives/partial", "log", "local"):
            make_folder(self.root / name)
        for folder in (self.root, self.scratch):
            if set(str(folder)) & set('"\\\n'):
                raise UsageError(
                    f"{folder}: apt cannot work in a folder with this name",
                    hint="choose another cache: REPRO_CACHE=DIR",
                )
        make_folder(self.scratch / "parts")
        write_atomic(self.scratch / "status", self.status)
        write_atomic(self.scratch / "preferences", _PREFERENCES.encode())
        write_atomic(self.scratch / "parts" / "archive.sources", self._archive().encode(), 0o600)
        write_atomic(self.scratch / "parts" / "local.sources", self._local().encode())
        write_atomic(self.scratch / "apt.conf", self._configuration().encode(), 0o600)

    def update(self) -> None:
        """Bring the signed indexes up to date.

        Raises NetworkError when they cannot be had, LockError when they are not to be trusted,
        or older than those that were read before.
        """
        before = self._releases()
        said = self._update("update")
        now = self._releases()
        passed = [
            (self._address(suite), data, suite)
            for suite in _ARRIVED.findall(said)
            for path, data in now.items()
            if path.name.endswith(f"_dists_{suite}_InRelease") and before.get(path) == data
        ]
        if passed:
            self._look_again(passed)

    def _releases(self) -> dict[Path, bytes]:
        paths = sorted((self.root / "lists").glob("*_InRelease"))
        with local_errors(self.root):
            return {path: path.read_bytes() for path in paths}

    def _address(self, suite: str) -> str:
        """Where this suite's Release lies."""
        [base] = [mirror.base for mirror, suites in self._suites() if suite in suites]
        return f"{base.rstrip('/')}/dists/{suite}/InRelease"

    def _look_again(self, passed: list[tuple[str, bytes, str]]) -> None:
        """Read each Release that apt passed over: it says nothing of one older than it has.

        `passed` are (address, bytes that apt kept, suite). Raises LockError for an older one.
        """
        with scratch(self.scratch) as folder:
            files = [folder / str(number) for number in range(len(passed))]
            words = [
                word
                for (address, *_), file in zip(passed, files, strict=True)
                for word in (address, str(file))
            ]
            done = self.call(_HELPER, "download-file", *words)
            if done.code:
                raise failure(done, self.suite)
            with local_errors(folder):
                sent = [file.read_bytes() for file in files]
        for (_, kept, suite), data in zip(passed, sent, strict=True):
            if data == kept:
                continue
            now, seen = (release_date(text.decode(errors="replace")) for text in (data, kept))
            if now < seen:
                raise LockError(
                    f"{suite}: the archive's index of {now} is older than the one of {seen} that "
                    "was seen before; the old one was kept",
                    hint="a mirror may be late: try again in an hour, or take another mirror: "
                    "[apt] mirror",
                )

    def update_local(self) -> None:
        """Read the local source again, and nothing else."""
        self._update(
            "update",
            "-o",
            f"Dir::Etc::sourcelist={self.scratch / 'parts' / 'local.sources'}",
            "-o",
            "Dir::Etc::sourceparts=/dev/null",
            "-o",
            "APT::Get::List-Cleanup=false",
        )

    def call(self, *argv: str) -> Done:
        """Run one of apt's programs on the private configuration; the caller checks `code`."""
        env = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
        env |= {"APT_CONFIG": str(self.scratch / "apt.conf"), "LC_ALL": "C.UTF-8"}
        with self._one:  # its caches are written without apt's own locks
            return run(argv, env=env, timeout=TIMEOUT)

    def _update(self, *arguments: str) -> str:
        # -eany: without it a passing failure leaves old indexes in use with exit 0
        done = self.call("apt-get", "-q", "-eany", *arguments)
        if done.code and _MOVED in done.stderr:
            # an apt-get that outlived a killed repro was still at the same files
            done = self.call("apt-get", "-q", "-eany", *arguments)
        if done.code:
            raise failure(done, self.suite)
        return done.text

    def _suites(self) -> tuple[tuple[Mirror, tuple[str, ...]], ...]:
        return tuple(
            (self.sources.mirror(archive), tuple(f"{self.suite}{suffix}" for suffix in suffixes))
            for archive, suffixes in family_of(self.suite).archives_for(self.architecture)
        )

    def _archive(self) -> str:
        family = family_of(self.suite)
        return "\n".join(
            _source(mirror, " ".join(suites), family) for mirror, suites in self._suites()
        )

    def _local(self) -> str:
        return f"Types: deb\nURIs: {local_address(self.root / 'local')}\nSuites: ./\nTrusted: yes\n"

    def _configuration(self) -> str:
        root, scratch = self.root, self.scratch
        settings = [
            *self.sources.settings,
            ("Dir", str(scratch)),
            ("Dir::Etc", str(scratch)),
            ("Dir::Etc::main", "/dev/null"),
            ("Dir::Etc::parts", "/dev/null"),
            ("Dir::Etc::sourcelist", "/dev/null"),
            ("Dir::Etc::sourceparts", str(scratch / "parts")),
            ("Dir::Etc::trusted", "/dev/null"),
            ("Dir::Etc::trustedparts", "/dev/null"),
            ("Dir::Etc::preferences", str(scratch / "preferences")),
            ("Dir::Etc::preferencesparts", "/dev/null"),
            *self.sources.auth,
            ("Dir::State", str(root)),
            ("Dir::State::lists", str(root / "lists")),
            ("Dir::State::status", str(scratch / "status")),
            ("Dir::Cache", str(root / "cache")),
            ("Dir::Log", str(root / "log")),
            ("Dir::Bin::Methods", "/usr/lib/apt/methods"),
            ("APT::Architecture", self.architecture),
            ("APT::Architectures::", self.architecture),
            ("APT::Install-Recommends", "false"),
            ("APT::Install-Suggests", "false"),
            ("APT::Sandbox::User", ""),
            ("Acquire::Languages", "none"),
            ("Acquire::GzipIndexes", "false"),
            ("Acquire::Check-Date", "true"),  # a host may have switched these two off
            ("Acquire::Check-Valid-Until", "true"),
            ("Debug::NoLocking", "true"),  # we hold a lock of our own
        ]
        return "".join(f'{name} "{value}";\n' for name, value in settings)


_HELPER = "/usr/lib/apt/apt-helper"
_MOVED = b"lists or status file could not be parsed or opened"
_PREFERENCES = f"Package: *\nPin: release o={LOCAL_ORIGIN}\nPin-Priority: {_LOCAL_PIN}\n"


def local_address(folder: Path) -> str:
    """Return the address of a flat repository on this machine.

    Blanks separate the words of a source, so they are escaped; apt's methods undo that.
    """
    return "copy:" + quote(str(folder), safe="/~+")


def failure(done: Done, suite: str) -> ReproError:
    """Return what a failed `apt-get update` means, in apt's own words, without credentials."""
    text = redact(done.stderr.decode(errors="replace"))
    said = "\n  ".join(line for line in text.splitlines() if _SAID.match(line)) or done.tail(5)
    # a Release that a server does not give out is not thereby unsigned, as apt puts it
    if _UNTRUSTED.search(_UNSIGNED.sub("", text) if _NOT_GIVEN.search(text) else text):
        return LockError(
            f"{suite}: the archive's index is not to be trusted; the old one was kept\n  {said}",
            hint="check this host's clock and its key ring (apt-get install "
            f"{family_of(suite).keyring_package}), or take another mirror: [apt] mirror",
        )
    return NetworkError(
        f"{suite}: the archive's index cannot be fetched\n  {said}",
        hint="check the network and apt's sources, or take another mirror: [apt] mirror",
    )


def release_date(text: str) -> str:
    """Return a Release file's date as `YYYY-MM-DDThh:mm:ssZ`. Raises LockError without one."""
    match = _DATE.search(text)
    try:
        moment = parsedate_to_datetime(match[1] if match else "").astimezone(UTC)
    except (ValueError, OverflowError):
        raise LockError(
            "the archive's Release file has no date",
            hint="remove the apt folder of the cache and run again",
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _source(mirror: Mirror, suites: str, family: Family) -> str:
    signed_by = mirror.signed_by or family.keyring
    for word in signed_by.split() if "-----BEGIN" not in signed_by else ():
        if not Path(word).is_file():
            raise UsageError(
                f"{word}: the archive's key ring is missing",
                hint=f"apt-get install {family.keyring_package}",
            )
    if "-----BEGIN" in signed_by:  # a key itself: its lines are folded below the field
        signed_by = "".join(f"\n {line.strip()}" for line in signed_by.splitlines())
    # a past state has long expired: its InRelease is pinned by its hash instead
    valid = "Check-Valid-Until: no\n" if mirror.past else ""
    return (
        f"Types: deb\nURIs: {mirror.base}\nSuites: {suites}\nComponents: {family.components}\n"
        f"Signed-By: {signed_by}\n{valid}"
    )


def _require(program: str, package: str) -> None:
    if which(program) is None:
        raise EngineError(
            f"{program} is not installed on this host, and apt packages are resolved by apt",
            hint=f"apt-get install {package} (on Debian or Ubuntu), "
            "or lock on such a host: building and running does not need it",
        )
