"""Fetching what a lock names: vendored folder, store, mirrors, snapshot archive (DESIGN.md §5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.addresses import redact
from repro.download import Http
from repro.errors import LockError, NetworkError
from repro.files import local_errors, require_room
from repro.progress import Progress, Task, counted
from repro.store.artifacts import Store

WORKERS = 8
_NAMED = 12  # packages that a message names before it counts the others


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One artifact to have. `addresses` yields where it may be, best first, only when asked.

    `label` names package and version in messages; `size` is in bytes, None where the lock does
    not say it.
    """

    label: str
    filename: str
    sha256: str
    size: int | None
    addresses: Callable[[], Iterable[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """Brings artifacts into the store. `vendor` is searched first, by sha256 then file name."""

    store: Store
    http: Http
    progress: Progress
    vendor: Path | None = None
    offline: bool = False

    def fetch(self, wanted: Sequence[Wanted], *, what: str) -> None:
        """Have every artifact in the store; `what` names one of them.

        One that is damaged there is fetched once more.

        Raises LockError when a source served other bytes than the lock's, or none can replace a
        damaged one; NetworkError naming every package that no source has; LocalError when the disk
        is full. What did arrive stays in the store.
        """
        missing = [
            item for item in wanted if not self.store.has(item.sha256, item.size, label=item.label)
        ]
        if not missing:
            return
        failures: list[tuple[Wanted, LockError | NetworkError]] = []
        total = sum(item.size or 0 for item in missing)
        require_room(self.store.root, total)
        plural = "" if len(missing) == 1 else "s"
        with (
            self.progress.task(f"fetching {len(missing)} {what}{plural}", total) as task,
            self.http.workers(WORKERS) as pool,
        ):
            for item, error in zip(
                missing, pool.map(lambda i: self._try(i, task), missing), strict=True
            ):
                if error is not None:
                    failures.append((item, error))
        if failures:
            raise _combined(failures, offline=self.offline)

    def take(self, wanted: Iterable[Wanted]) -> None:
        """Have in the store what the vendored folder has of these; nobody is asked for the rest."""
        for item in wanted:
            if not self.store.has(item.sha256, item.size, label=item.label):
                with self.progress.task(f"reading {item.filename}") as task:
                    self._by_vendor(item, task)

    def _try(self, item: Wanted, task: Task) -> LockError | NetworkError | None:
        try:
            self._one(item, task)
        except (LockError, NetworkError) as error:
            return error
        return None

    def _one(self, item: Wanted, task: Task) -> None:
        found, wrong = self._by_vendor(item, task)
        if found:
            return
        said: list[str] = []
        hints: list[str | None] = []
        if self.offline:
            said.append("not in the store, and this run is offline")
        for address in () if self.offline else item.addresses():
            try:
                self._from_address(item, address, task)
            except NetworkError as error:
                said.append(error.message)
                hints.append(error.hint)
            except LockError as error:  # wrong bytes: another source may still be right
                wrong = error
            else:
                return
        if wrong is not None:
            raise wrong
        tried = "; ".join(dict.fromkeys(said)) or "no configured source lists it"
        hint = hints[0] if hints and not self.offline else None
        raise self._unavailable(item, tried, hint)

    def _unavailable(self, item: Wanted, why: str, hint: str | None) -> LockError | NetworkError:
        """The error for what no source gives: of integrity where the store's own was damaged."""
        kept = self.store.kept_aside(item.sha256)
        if kept is None:
            return NetworkError(f"{item.label}: {why}", hint=hint)
        offline = "run it once without --offline" if self.offline else None
        return LockError(
            f"{item.label}: the store's copy is damaged and kept aside: {kept}; and there is no "
            f"other: {why}",
            hint=offline
            or hint
            or "run it again when the network is there, or with a vendored folder that has it",
        )

    def _by_vendor(self, item: Wanted, task: Task) -> tuple[bool, LockError | None]:
        """Take it from the vendored folder; say whether it was there, and what is wrong else."""
        wrong: LockError | None = None
        for path in places(self.vendor, item) if self.vendor is not None else ():
            if not path.is_file():
                continue
            try:
                self._from_vendor(item, path, task)
            except LockError as error:
                wrong = error
                self.progress.note(f"warning: {error.message}; asking the next source")
            else:
                return True, None
        return False, wrong

    def _from_vendor(self, item: Wanted, path: Path, task: Task) -> None:
        with local_errors(path), path.open("rb") as file:
            pieces = iter(lambda: file.read(1 << 20), b"")
            label = f"{item.label} from {path}"
            self.store.put(counted(pieces, task), item.sha256, label=label, size=item.size)

    def _from_address(self, item: Wanted, address: str, task: Task) -> None:
        label = f"{item.label} from {redact(address)}"
        self.http.read(
            address,
            lambda body: self.store.put(
                counted(body, task), item.sha256, label=label, size=item.size
            ),
            size=item.size,
        )


def places(vendor: Path, item: Wanted) -> tuple[Path, Path]:
    """Return where a vendored folder may have an artifact: by content, then by name."""
    return places_of(vendor, item.filename, item.sha256)


def places_of(vendor: Path, filename: str, sha256: str) -> tuple[Path, Path]:
    """As `places`, of the file with this name and digest."""
    return vendor / "sha256" / sha256[:2] / sha256, vendor / filename


def _combined(
    failures: Sequence[tuple[Wanted, LockError | NetworkError]], *, offline: bool
) -> Exception:
    wrong = [error for _, error in failures if isinstance(error, LockError)]
    if wrong:
        return (
            wrong[0]
            if len(wrong) == 1
            else LockError("\n".join(error.message for error in wrong), hint=wrong[0].hint)
        )
    lines = [error.message for _, error in failures[:_NAMED]]
    if len(failures) > _NAMED:
        lines.append(f"and {len(failures) - _NAMED} more")
    names = sorted({item.label.split()[1] for item, _ in failures})
    named = f" {' '.join(names)}" if len(names) <= _NAMED else ""
    gone = f"if they are gone for good: repro snapshot --upgrade{named}; else set a mirror or a "
    gone += "vendored folder that has them"
    # what an address itself advises: its certificate, its slowness
    advice = [one.hint for _, one in failures if one.hint not in (None, NetworkError.next_step)]
    return NetworkError(
        "cannot be fetched from anywhere:\n  " + "\n  ".join(lines),
        hint="run it once without --offline" if offline else next(iter(advice), gone),
    )
