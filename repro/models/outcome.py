"""What each workflow returns."""

from __future__ import annotations

from dataclasses import dataclass

from repro.models.baseline import Baseline
from repro.models.execution import Run
from repro.models.image import Image, ImageRecord
from repro.models.lock import Lock, LockDiff, LockState, Seal
from repro.models.measurement import Measurement
from repro.models.verdict import Comparison, Verification


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotResult:
    """A lock that was written (or would be: `written` False).

    `diff` is against the lock that was there before; None when there was none. `notes` are
    remarks for the user. `adopted` is the foreign lock that the pins were taken from; `inputs`
    are input files that the project did not have: (path, text), written with the lock. `others`
    are the locks of further platforms.
    """

    lock: Lock
    diff: LockDiff | None
    written: bool
    folder: str
    """Where the locks lie, relative to the project."""
    notes: tuple[str, ...] = ()
    adopted: str | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    others: tuple[SnapshotResult, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordResult:
    """What is installed somewhere, as a lock: `source` is it, as it was named.

    `inputs` and `locks` are the texts of the files that were written, or would be on a dry run,
    by path relative to the project; `vendored` the file names of wheels that were made.
    """

    source: str
    snapshot: SnapshotResult
    inputs: tuple[tuple[str, str], ...]
    locks: tuple[tuple[str, str], ...]
    vendored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Everything `repro status` says, without network, engine or build."""

    project: str
    environment_key: str | None
    """None: there is no lock."""
    lock: LockState | None
    packages: tuple[tuple[str, int], ...]
    """(ecosystem, number of locked packages)."""
    image_id: str | None
    """From image.toml; None: never built."""
    image_built: bool
    """Whether all its layers are in the store."""
    baseline: Baseline | None
    baseline_current: bool
    """Whether the baseline was accepted in the environment that is locked now."""
    last_run: str | None
    """ID of the last run, None: none."""
    last_run_succeeded: bool
    next_step: str
    """What to do next: a command and why, one line."""
    platforms: tuple[tuple[str, LockState | None], ...] = ()
    """(platform, state of its lock; None: it has none) of all that are asked for."""
    seal: Seal | None = None
    """What the lock stands on; None: there is no lock that can be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult:
    """An image, and where it is now. `layers_built` of `len(image.layers)` were not cached."""

    image: Image
    record: ImageRecord
    layers_built: int
    loaded: tuple[str, ...]
    """Names of the engines that hold it."""
    recorded: bool
    """Whether image.toml was written (first build, or `--record`)."""
    checked: bool
    """Whether two builds in two empty stores were compared (`--check`)."""
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VendorResult:
    """A vendored folder: `files` artifacts of `size` bytes in it, `added` of them new.

    `folder` is relative to the project where it lies in it. `obsolete` are objects that no lock
    needs, relative to the folder: gone where `pruned`. `notes` are remarks for the user.
    """

    folder: str
    files: int
    added: int
    size: int
    obsolete: tuple[str, ...]
    pruned: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportResult:
    """What `repro export` wrote: `files` relative to the project where they lie in it.

    None of them where it went to a stream. `notes` are remarks for the user.
    """

    format: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """A run and what it measured; `measurement` is None for a command of the user's own."""

    run: Run
    measurement: Measurement | None
    copied: tuple[str, ...] = ()
    """Outputs that were copied into the project."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptResult:
    """A new baseline; `reran` says whether the analysis had to be run for it."""

    baseline: Baseline
    measurement: Measurement
    reran: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffResult:
    """Two locks, two runs or two baselines side by side; None where that was not compared."""

    old: str
    new: str
    environment: LockDiff | None
    comparison: Comparison | None

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return bool(self.environment and self.environment.changes) or bool(
            self.comparison and self.comparison.drifted
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InitResult:
    """What `repro init` did; None: that step was declined or did not apply.

    `config` is the file that configures the project now, `config_written` the same if it is new;
    `runnable`: an analysis is declared in it.
    """

    config_written: str | None
    config: str | None = None
    runnable: bool = True
    snapshot: SnapshotResult | None
    build: BuildResult | None
    run: RunResult | None
    accepted: AcceptResult | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult:
    """The flagship case, run for real in `folder`."""

    folder: str
    verification: Verification
