"""Locks: what an environment is made of, by content."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 1
"""Version of every format that is written below lockfiles/ and baseline/."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deb:
    """One locked Debian package: a stanza of `apt.lock`.

    `filename` is the path below the archive's root (`pool/…`), `archive` the archive's name
    (`debian`, `debian-security`), `size` bytes, `sha256` hex. `fields` are the remaining
    control fields that apt needs to install it, in canonical order.
    """

    name: str
    version: str
    architecture: str
    filename: str
    size: int
    sha256: str
    archive: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceBuild:
    """How a source distribution becomes a wheel: hashed build requirements, and the result."""

    requires: tuple[PipArtifact, ...]
    wheel: str
    """File name of the built wheel."""
    sha256: str
    reproducible: bool = True
    """Whether two builds gave the same bytes; if not, the wheel is kept, and never built again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipArtifact:
    """One locked file of a Python package index; `name` is normalised (PEP 503)."""

    name: str
    version: str
    filename: str
    size: int
    sha256: str
    index: str = "default"
    """Alias of the index it came from; never an address."""
    build: SourceBuild | None = None
    """For a source distribution only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaPackage:
    """One locked conda package: an entry of `conda-lock.yml`.

    `channel` is an address without credentials, `subdir` conda's name of a platform or
    `noarch`, `filename` the archive's name (`.conda` or `.tar.bz2`), `depends` its match
    specifications. `md5` and `size` (bytes) are "" and 0 where the index does not say them.
    """

    name: str
    version: str
    build: str
    subdir: str
    channel: str
    filename: str
    sha256: str
    md5: str = ""
    size: int = 0
    depends: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Where its channel has it."""
        return f"{self.channel}/{self.subdir}/{self.filename}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseImage:
    """An image that others made, pinned: what an environment stands on instead of a suite.

    `reference` is the whole name that was asked for (`docker.io/library/python:3.12-slim`),
    `digest` that of its manifest for the lock's platform, `id` that of its configuration,
    `layers` the digests of its uncompressed layers, bottom first (all `sha256:<hex>`). `env` is
    its environment. `suite` is the code name in its os-release, `interpreter` the absolute path
    of its Python, `glibc` its C library's version `2.N`; "" where it has none.
    """

    reference: str
    digest: str
    id: str
    layers: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    suite: str = ""
    interpreter: str = ""
    glibc: str = ""


CONDA_PREFIX = "/opt/conda"
"""Where the conda packages of an image lie."""

VENV = "/opt/venv"
"""The virtual environment that pip's packages of Python 3 lie in, without conda's Python."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """The Python of an image, `version` being `major.minor` and `path` absolute.

    `conda`: it is one of the conda packages, and pip's packages join them in their prefix.
    """

    version: str
    path: str
    conda: bool = False

    @classmethod
    def of_debian(cls, version: str) -> Interpreter:
        """Return the interpreter of a suite."""
        return cls(version=version, path=f"/usr/bin/python{version}")

    @classmethod
    def of_conda(cls, version: str) -> Interpreter:
        """Return the interpreter of a conda environment."""
        return cls(version=version, path=f"{CONDA_PREFIX}/bin/python{version}", conda=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a resolution came from; part of no key. For a suite: InRelease hash, date, signer."""

    source: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """`repro.lock`: binds the inputs to the locks.

    `inputs` are (input name, sha256 of its parsed content); `locks` are (file name, sha256 of
    its bytes). Both sorted. Exactly one of `suite` and `base` is given. `python` is
    `major.minor`, "" for an environment without Python; `as_of` a moment, "" for none.
    """

    platform: str
    suite: str
    python: str
    inputs: tuple[tuple[str, str], ...]
    locks: tuple[tuple[str, str], ...]
    pip: tuple[PipArtifact, ...]
    system_site_packages: bool = False
    allow_overlap: tuple[str, ...] = ()
    base: BaseImage | None = None
    as_of: str = ""
    provenance: tuple[Provenance, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgrade:
    """Which pins a new snapshot may move; the others are kept."""

    everything: bool = False
    names: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether the pin of this package may move."""
        return self.everything or name in self.names


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A whole environment: every package by content, and the seal that binds it.

    `debs` are those of the suite, or those on top of the base image. `key` (the environment
    key) is computed by `repro.locks.seal.environment_key`.
    """

    debs: tuple[Deb, ...]
    pip: tuple[PipArtifact, ...]
    seal: Seal
    key: str
    conda: tuple[CondaPackage, ...] = ()

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """(ecosystem, how many packages of it are locked); conda's only where there are any."""
        conda = (("conda", len(self.conda)),) if self.conda else ()
        return (("apt", len(self.debs)), *conda, ("pip", len(self.pip)))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The folders that hold locked packages alone, whatever lies below them."""
        python = self.interpreter
        virtual = python is not None and not python.conda and not python.version.startswith("2.")
        return (*((CONDA_PREFIX,) if self.conda else ()), *((VENV,) if virtual else ()))

    @property
    def interpreter(self) -> Interpreter | None:
        """The Python that the analysis is run with; None for an environment without one."""
        version = self.seal.python
        if not version:
            return None
        if any(package.name == "python" for package in self.conda):
            return Interpreter.of_conda(version)
        if self.seal.base is not None:
            return Interpreter(version=version, path=self.seal.base.interpreter)
        return Interpreter.of_debian(version)


@dataclass(frozen=True, kw_only=True, slots=True)
class LockState:
    """Whether a lock still fits: changed inputs make it stale, changed files edited."""

    stale: tuple[str, ...] = ()
    """Names of the inputs that changed, were added or were removed."""
    edited: tuple[str, ...] = ()
    """Names of the lock files that no longer match the seal."""

    @property
    def fresh(self) -> bool:
        """Neither stale nor edited."""
        return not self.stale and not self.edited


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageChange:
    """One package that differs between two locks; None: absent on that side."""

    ecosystem: str
    """"apt", "conda", "pip", "python" or "base"."""
    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LockDiff:
    """All changes between two locks, sorted by ecosystem and name."""

    changes: tuple[PackageChange, ...]
