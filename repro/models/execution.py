"""Executions: what an engine is asked to run, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from repro.models.image import Image
from repro.models.project import Limits

PROJECT = "/project"
"""Where the project lies inside; the working directory of every run."""

HOME = "/tmp/home"  # noqa: S108 - a path inside the image, on a private tmpfs
"""HOME of every run, on both engines."""

UID = 1000
"""The user (and group) number of every run, on both engines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """A host file or folder bound read-only at `target` (absolute, inside)."""

    source: Path
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run: steps in order, each an argument list; the first that fails ends it.

    `stage` is the private copy of the project: the engine shows it writable at /project, and
    after the run it holds whatever the run left there. `env` is the whole environment of the
    run. `log` receives stdout and stderr, cut at `limits.log` bytes; `echo` also passes them on
    live. `stdin` passes this process's standard input on, else it is empty; `interactive` means a
    person at it, with a terminal if there is one.
    """

    image: Image
    steps: tuple[tuple[str, ...], ...]
    stage: Path
    env: tuple[tuple[str, str], ...]
    limits: Limits
    log: Path
    mounts: tuple[Mount, ...] = ()
    network: bool = False
    interactive: bool = False
    stdin: bool = False
    echo: bool = False

    @property
    def takes_input(self) -> bool:
        """Its standard input is this process's own."""
        return self.stdin or self.interactive


class Ending(StrEnum):
    """How a run ended."""

    EXITED = "exited"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """What became of a job. `code` is the exit status of the last step (128+N for a signal)."""

    engine: str
    ending: Ending
    code: int
    step: int
    """Index of the last step that ran."""
    seconds: float
    log_cut: bool = False
    unenforced: tuple[str, ...] = ()
    """Limits that this host could not enforce (best-effort only)."""
    crowded: bool = False
    """Its processes were as many as its limit when its time was over."""

    @property
    def succeeded(self) -> bool:
        """It ran to its end with status 0."""
        return self.ending is Ending.EXITED and self.code == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """The processor that a run saw: vector code dispatches on it."""

    model: str
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """One file: path relative to the project (POSIX), size in bytes, sha256 hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A recorded run: `.repro/runs/ID/run.toml` and the outputs beside it."""

    id: str
    folder: Path
    environment_key: str
    image_id: str
    platform: str
    execution: Execution
    cpu: Cpu
    code: tuple[FileDigest, ...]
    data: tuple[FileDigest, ...]
    outputs: tuple[FileDigest, ...]
    discarded: tuple[str, ...]
    """Paths below /project that the run wrote and that are no declared output."""

    @property
    def output_folder(self) -> Path:
        """Where the declared outputs lie, under their project paths."""
        return self.folder / "outputs"

    @property
    def lock_folder(self) -> Path:
        """Where the copy of the locks lies."""
        return self.folder / "locks"
