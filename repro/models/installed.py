"""What is installed somewhere: read from its files, never by running it."""

from __future__ import annotations

from dataclasses import dataclass

from repro.models.lock import PipArtifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One row of a RECORD: `path` as it stands there, `digest` as `algorithm=value` or ""."""

    path: str
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What direct_url.json says: a distribution that came from no index (PEP 610).

    `kind` is "archive", "folder", "editable" or "vcs". `address` has no credentials; `sha256` is
    an archive's, hex, `commit` a checkout's; "" where the file does not say it.
    """

    kind: str
    address: str
    sha256: str = ""
    commit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """An installed Python distribution; `name` and `version` are normalised.

    `folder` is its metadata (`….dist-info`, `….egg-info`) as a path of the tree, `site` the
    folder that the paths of its record begin at. `tags` and `build` are its wheel's. `requested`:
    somebody asked for it by name. `system`: it lies outside the environment itself, in what the
    environment sees of the system.
    """

    name: str
    version: str
    folder: str
    site: str
    record: tuple[Recorded, ...] | None = None
    """None: it has none, so nobody knows its files."""
    tags: tuple[str, ...] = ()
    build: str = ""
    purelib: bool = True
    requested: bool = False
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    origin: Origin | None = None
    system: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A distribution whose own files do not say what it is, and why."""

    folder: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonEnvironment:
    """An interpreter's packages, sorted by name; each name once, as the interpreter finds it.

    `python` is `major.minor`, `full` its whole version where it is known, "" else. `strays` are
    names at the top of its folders that belong to no distribution.
    """

    prefix: str
    python: str
    full: str
    distributions: tuple[Distribution, ...]
    unreadable: tuple[Unreadable, ...] = ()
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledDeb:
    """A package of dpkg's status: `automatic` where it was pulled in by another.

    The relations are as its stanza has them; `architecture` is amd64, all or foreign.
    """

    name: str
    version: str
    architecture: str
    essential: bool = False
    priority: str = ""
    automatic: bool = False
    depends: str = ""
    recommends: str = ""
    provides: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledConda:
    """A package of a conda prefix, as its record there has it.

    `channel` is an address without credentials, `sha256`, `md5` hex and `size` bytes; "" and 0
    where the record does not say them. `requested` are the specifications by which somebody asked
    for it; `files` (path in the prefix, sha256 hex there or "").
    """

    name: str
    version: str
    build: str
    subdir: str
    channel: str
    filename: str
    sha256: str
    md5: str
    size: int
    depends: tuple[str, ...]
    requested: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaEnvironment:
    """A conda prefix: `specs` are what was asked for, `channels` addresses, the most used first."""

    prefix: str
    packages: tuple[InstalledConda, ...]
    specs: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A file that is not what its distribution recorded; `missing`: it is not there."""

    name: str
    path: str
    missing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfound:
    """A package that no source has as it is installed: why, in one line.

    `vendorable`: its files are known, so that a wheel can be made of them.
    """

    ecosystem: str
    name: str
    version: str
    reason: str
    vendorable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PipRecord:
    """What an environment's distributions are in the indexes; sorted by name.

    `vendored` are file names of the wheels that were made of what is installed.
    """

    artifacts: tuple[PipArtifact, ...]
    unfound: tuple[Unfound, ...] = ()
    changed: tuple[Changed, ...] = ()
    vendored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
