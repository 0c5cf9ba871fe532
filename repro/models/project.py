"""The project as its user declares it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """What each calls one platform: we (`name`), Debian, the kernel and wheels, docker."""

    name: str
    architecture: str
    machine: str
    docker: str


PLATFORMS: tuple[Platform, ...] = (
    Platform(
        name="linux-amd64",
        architecture="amd64",
        machine="x86_64",
        docker="linux/amd64",
    ),
    Platform(
        name="linux-arm64",
        architecture="arm64",
        machine="aarch64",
        docker="linux/arm64",
    ),
)
"""The platforms that are locked."""


def platform_of(name: str) -> Platform:
    """Return the platform of this name; the first of PLATFORMS for another one."""
    return next((known for known in PLATFORMS if known.name == name), PLATFORMS[0])


def _own() -> str:
    machine = os.uname().machine
    known = [one.name for one in PLATFORMS if one.machine == machine]
    return known[0] if known else f"linux-{machine}"


PLATFORM = _own()
"""The host's own platform: the one that it builds and runs."""

SCRATCH_MOST = 1 << 30
"""Bytes that /tmp of a run may have, whatever its memory."""

SHARED_MEMORY = 64 << 20
"""Bytes of a run's /dev/shm, on both engines."""


VENDOR = "vendor"
"""The vendored folder of a project that names none, if `repro vendor` wrote it."""

VENDOR_MANIFEST = "SHA256SUMS"
"""What lists a vendored folder's artifacts, as `sha256sum` reads it."""

VENDOR_MARK = b"# repro vendor 1\n"
"""How that begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The archives of one distribution, and who signs them.

    `archives` are (archive's name, suffixes of the suites that it has); `ports` the name of the
    archive where other architectures than amd64 lie instead, "" where all lie in one.
    """

    origin: str
    archives: tuple[tuple[str, tuple[str, ...]], ...]
    components: str
    keyring: str
    keyring_package: str
    ports: str = ""

    def archives_for(self, architecture: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the archives that have this architecture."""
        if not self.ports or architecture == "amd64":
            return self.archives
        return tuple((self.ports, suffixes) for _, suffixes in self.archives)


DEBIAN = Family(
    origin="Debian",
    archives=(("debian", ("", "-updates")), ("debian-security", ("-security",))),
    components="main",
    keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
    keyring_package="debian-archive-keyring",
)
UBUNTU = Family(
    origin="Ubuntu",
    archives=(("ubuntu", ("", "-updates", "-security")),),
    components="main universe",
    keyring="/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    keyring_package="ubuntu-keyring",
    ports="ubuntu-ports",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A release that can be bootstrapped, and the interpreters it has."""

    name: str
    pythons: tuple[str, ...]
    family: Family = DEBIAN


SUITES: tuple[Suite, ...] = (
    Suite(name="bullseye", pythons=("3.9", "2.7")),
    Suite(name="bookworm", pythons=("3.11",)),
    Suite(name="trixie", pythons=("3.13",)),
    Suite(name="jammy", pythons=("3.10",), family=UBUNTU),
    Suite(name="noble", pythons=("3.12",), family=UBUNTU),
)


def family_of(suite: str) -> Family:
    """Return the distribution of a suite; Debian's where the suite is not one of SUITES."""
    return next((known.family for known in SUITES if known.name == suite), DEBIAN)


@dataclass(frozen=True, kw_only=True, slots=True)
class AptRequest:
    """One line of apt.txt: a package, and the version asked for (None: any)."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}={self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementSet:
    """The pip requirements of one input file, parsed.

    `path` is relative to the project, POSIX. `lines` are PEP 508 requirements in canonical
    form, sorted, with `--hash=` options kept; `constraint` says whether the file only
    constrains (`-c`).
    """

    path: str
    lines: tuple[str, ...]
    constraint: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaRequest:
    """The conda part of an environment.yml, parsed; its `pip:` part is a RequirementSet.

    `channels` are names or addresses in order of priority, without credentials; `specs` are
    match specifications in canonical form, sorted; `platforms` are conda's own names
    (`linux-64`), empty when the file names none.
    """

    path: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What must be locked: the inputs of a snapshot.

    The base is a `suite` that is bootstrapped, or an `image` as its user wrote it; the other is
    "". `python` is `major.minor`, or "" where the conda packages or the image decide it.
    `as_of` is a moment (`YYYY-MM-DDThh:mm:ssZ`), or "" for now. `platforms` are names of
    PLATFORMS: each has a lock of its own.
    """

    suite: str
    python: str
    image: str = ""
    conda: CondaRequest | None = None
    conda_resolver: str = "rattler"
    as_of: str = ""
    platforms: tuple[str, ...] = (PLATFORM,)
    apt: tuple[AptRequest, ...] = ()
    apt_source: str = "repro.toml"
    """The file that `apt` came from, for messages."""
    pip: tuple[RequirementSet, ...] = ()
    resolver: str = "uv"
    system_site_packages: bool = False
    allow_overlap: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one run may use. Sizes in bytes, times in seconds."""

    timeout: float = 3600.0
    memory: int = 4 << 30
    pids: int = 512
    output: int = 1 << 30
    """Bytes that the run may write below /project."""
    log: int = 16 << 20
    """Bytes of stdout and stderr that are kept."""
    best_effort: bool = False

    @property
    def scratch(self) -> int:
        """Bytes of /tmp and of HOME, which are memory."""
        return min(self.memory // 2, SCRATCH_MOST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """What is run: argument lists, one a step; data and outputs relative to the project."""

    steps: tuple[tuple[str, ...], ...]
    data: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    threads: int = 1
    env: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """Equal iff |a - b| <= max(abs, rel * |baseline|) (DESIGN.md §8)."""

    rel: float = 0.0
    abs: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRule:
    """How the metrics whose name matches `pattern` (fnmatch, case-sensitive) are judged.

    `ignore` is the reason why they are not; `direction` is "lower" or "higher" where an
    improvement in that direction is no drift.
    """

    pattern: str
    tolerance: Tolerance
    ignore: str | None = None
    direction: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSettings:
    """The `[metrics]` table; the last rule that matches a name wins, else `default`."""

    files: tuple[str, ...] = ()
    default: Tolerance = field(default_factory=lambda: Tolerance(rel=1e-9))
    rules: tuple[MetricRule, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSettings:
    """One `[[tables]]` entry. `key` empty: rows are matched by position."""

    file: str
    key: tuple[str, ...] = ()
    default: Tolerance = field(default_factory=lambda: Tolerance(rel=1e-9))
    columns: tuple[MetricRule, ...] = ()
    """Rules by column name; `pattern` is matched against the column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where artifacts may be fetched from, beside the package managers' own configuration."""

    apt_mirror: str | None = None
    """Base address under which `debian` and `debian-security` lie."""
    apt_snapshot: str | None = None
    """Base address of a snapshot archive: `archive/<name>/<timestamp>/` lies below."""
    indexes: tuple[tuple[str, str], ...] = ()
    """(alias, address) of package indexes, without credentials."""
    vendor: str | None = None
    """Vendored folder, relative to the project."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A folder, its environment, its analysis and how the results are judged.

    `platform` is the one whose locks are looked at: the host's own, where nothing else is said.
    """

    root: Path
    name: str
    config: str | None
    """The file that configures it, relative; None when everything was detected."""
    environment: Environment
    analysis: Analysis | None = None
    metrics: MetricSettings = field(default_factory=MetricSettings)
    tables: tuple[TableSettings, ...] = ()
    sources: Sources = field(default_factory=Sources)
    platform: str = PLATFORM

    @property
    def lock_folder(self) -> Path:
        """Where this platform's locks lie."""
        return self.root / "lockfiles" / self.platform

    @property
    def baseline_folder(self) -> Path:
        """Where this platform's baseline lies."""
        return self.root / "baseline" / self.platform

    @property
    def vendor_folder(self) -> Path | None:
        """The folder of artifacts that is searched first; None where none is configured."""
        return self.root / self.sources.vendor if self.sources.vendor else None

    @property
    def state_folder(self) -> Path:
        """`.repro`: runs and scratch space, ignored by git through its own file."""
        return self.root / ".repro"
