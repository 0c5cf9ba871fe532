"""Resolve the inputs and write the locks, keeping the pins that stand."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from repro.compare.locks import diff_locks
from repro.errors import LockError, UsageError
from repro.locks import apt, requirements, seal, toml
from repro.models.lock import Lock, PipArtifact, Upgrade
from repro.models.outcome import SnapshotResult
from repro.models.project import PLATFORM, PLATFORMS, Project, platform_of
from repro.workflows.lockfiles import conda_packages, lock_state, read_lock, read_parts
from repro.workflows.locking import Resolution, differs, sealed, write_locks
from repro.workflows.resolution import resolve_environment
from repro.workflows.tools import Tools

if TYPE_CHECKING:
    from repro.workflows.adoption import Adoption


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotOptions:
    """`upgrade`: pins that may move. `adopt_edits`: seal what stands there if it resolves.

    `as_of` is a moment, or "" for now; None where it was not asked for. `adoption`: take pip's
    and conda's pins from there, for the project that it names.
    """

    upgrade: Upgrade = field(default_factory=Upgrade)
    as_of: str | None = None
    dry_run: bool = False
    adopt_edits: bool = False
    adoption: Adoption | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OldLock:
    """The lock that stands, as far as it can be read: what to keep."""

    lock: Lock | None = None
    notes: tuple[str, ...] = ()


def snapshot(project: Project, tools: Tools, options: SnapshotOptions) -> SnapshotResult:
    """Lock the project's environment; write nothing when it is unchanged or on a dry run.

    Raises UsageError for inputs that cannot be met, LockError when a release signature or an
    adopted edit is refused, NetworkError when an index cannot be read. The old locks stay as
    they were then.
    """
    if tools.offline:
        raise UsageError(
            "a snapshot asks the package indexes, and --offline forbids it",
            hint="a lock that stands is built with: repro build --offline",
        )
    adoption = options.adoption
    if adoption is not None:
        project = adoption.project
    _require_inputs(project)
    with snapshot_turn(project, tools):
        views = _by_platform(project)
        olds = [old_lock(view, adopt=options.adopt_edits) for view in views]
        there = [old.lock for old in olds if old.lock is not None]
        upgrade = _known(there, options.upgrade, project.environment.image)
        as_of, said = moment_of(project, there[0] if there else None, options.as_of)
        resolutions = [
            _resolution(view, tools, old, options, upgrade=upgrade, as_of=as_of)
            for view, old in zip(views, olds, strict=True)
        ]
        locks = [
            _settled(old, lock, options)
            for old, lock in zip(olds, sealed(project.environment, resolutions), strict=True)
        ]
        notes = (*(note for old in olds for note in old.notes), *said, *left_over(project))
        notes += tuple(dict.fromkeys(note for found in resolutions for note in found.notes))
        written = not options.dry_run and differs(project, locks)
        if written:
            if adoption is not None:
                from repro.workflows.adoption import write_inputs  # most snapshots adopt nothing

                write_inputs(adoption)
            notes += write_locks(project, tools, locks)
    results = [
        SnapshotResult(
            lock=lock,
            diff=diff_locks(old.lock, lock) if old.lock is not None else None,
            written=written,
            folder=str(view.lock_folder.relative_to(project.root)),
        )
        for view, old, lock in zip(views, olds, locks, strict=True)
    ]
    return replace(
        results[0],
        notes=notes,
        others=tuple(results[1:]),
        adopted=adoption.path if adoption is not None else None,
        inputs=adoption.inputs if adoption is not None else (),
    )


def snapshot_turn(project: Project, tools: Tools) -> AbstractContextManager[None]:
    """Lock one project in one command at a time."""
    root = project.root.stat()  # a path may be another project's in another container
    name = f"snapshot-{root.st_dev:x}-{root.st_ino:x}"
    return tools.store.lock(name, what=f"a snapshot of {project.root}")


def _by_platform(project: Project) -> tuple[Project, ...]:
    """Return the project as each of its platforms sees it, the host's own first."""
    named = sorted(project.environment.platforms, key=lambda name: (name != PLATFORM, name))
    return tuple(replace(project, platform=name) for name in named)


def left_over(project: Project) -> Iterator[str]:
    """Yield what to say of locks for a platform that the project no longer has."""
    for known in PLATFORMS:
        folder = replace(project, platform=known.name).lock_folder
        named = known.name in project.environment.platforms
        if not named and (folder / seal.SEAL).is_file():
            yield (
                f"{folder.relative_to(project.root)} is of no platform of this project any more: "
                "remove it from version control"
            )


def _resolution(
    project: Project,
    tools: Tools,
    old: OldLock,
    options: SnapshotOptions,
    *,
    upgrade: Upgrade,
    as_of: str,
) -> Resolution:
    adoption = options.adoption
    of_then = replace(project, environment=replace(project.environment, as_of=as_of))
    adopted = adoption.of(project.platform) if adoption is not None else None
    found = resolve_environment(of_then, tools, old.lock, upgrade, adopted=adopted)
    if adoption is not None:
        found = replace(found, provenance=(*found.provenance, adoption.provenance))
    return found


def _settled(old: OldLock, lock: Lock, options: SnapshotOptions) -> Lock:
    """Return the lock with the provenance of the same one before; check an adopted edit."""
    if options.adopt_edits:
        _require_adopted(old.lock, lock)
    if old.lock is None or old.lock.key != lock.key:
        return lock
    kept = old.lock.seal.provenance or lock.seal.provenance
    return replace(lock, seal=replace(lock.seal, provenance=kept))


def _require_inputs(project: Project) -> None:
    """Refuse a folder in which nothing was found: it is the wrong one, or says nothing yet."""
    environment = project.environment
    inputs = (environment.pip, environment.apt, environment.conda)
    if project.config is None and not any(inputs):
        raise UsageError(
            f"{project.root}: nothing to lock: no requirements.in, requirements.txt, "
            "pyproject.toml with dependencies, environment.yml, apt.txt or repro.toml",
            hint="go to the project's folder; or list its packages in requirements.in, one a "
            "line; or let repro init propose a repro.toml",
        )


def moment_of(project: Project, old: Lock | None, asked: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the moment to lock, "" for now, and what to say of it.

    The configuration decides; where it says nothing, what is asked for; where nothing is, the
    lock that was made of a moment stays in it. Raises UsageError where two disagree.
    """
    configured = project.environment.as_of
    if configured:
        if asked is not None and asked != configured:
            raise UsageError(
                f"--as-of {asked or 'now'}: {project.config} says as-of = {configured}",
                hint=f"change it in {project.config}, or take it away there",
            )
        return configured, ()
    if asked is not None:
        return asked, ()
    if old is None or not old.seal.as_of or "environment.as-of" in dict(old.seal.inputs):
        return "", ()
    kept = old.seal.as_of
    return kept, (f"as of {kept}, as the lock is; for the present: repro snapshot --as-of now",)


def _known(old: Sequence[Lock], upgrade: Upgrade, image: str) -> Upgrade:
    """Return the upgrade in the locks' spelling; refuse what is not locked: it is misspelt.

    `image` is the base image as the project names it.
    """
    locked: set[str] = set()
    for lock in old:
        locked |= {item.name for part in (lock.debs, lock.pip, lock.conda) for item in part}
        if lock.seal.base is not None:
            locked |= {image, lock.seal.base.reference}
    names = []
    for name in upgrade.names:
        spelt = name if name in locked else canonicalize_name(name)
        if spelt not in locked:
            close = difflib.get_close_matches(name, locked, 3)
            meant = f"did you mean {' or '.join(close)}? " if close else ""
            raise UsageError(
                f"--upgrade {name}: the lock has no package of that name",
                hint=f"{meant}a new package is named in the inputs, then: repro snapshot",
            )
        names.append(spelt)
    return replace(upgrade, names=tuple(names))


def old_lock(project: Project, *, adopt: bool = False) -> OldLock:
    """Read the lock whose pins are kept; with `adopt` the edited one. Raises LockError."""
    try:
        state = lock_state(project)
    except LockError as error:
        if error.hint == toml.UPGRADE:
            raise
        folder = project.lock_folder.relative_to(project.root)
        raise LockError(
            error.message,
            hint="the pins to keep cannot be read: restore it from version control; or remove "
            f"{folder}/{seal.SEAL} to lock everything anew, and run: repro snapshot",
        ) from error
    if state is None:
        if adopt:
            raise LockError("there is no lock to adopt", hint="run: repro snapshot")
        return OldLock()
    if adopt:
        return OldLock(lock=_edited_lock(project))
    try:
        return OldLock(
            lock=read_lock(project.lock_folder, root=project.root, platform=project.platform)
        )
    except LockError as error:
        if not state.edited:
            raise
        note = f"the edited lock could not be read, its pins are not kept: {error.message}"
        return OldLock(notes=(note,))


def _edited_lock(project: Project) -> Lock:
    """The lock as the edited files have it, under the old seal's settings."""
    where = str(project.lock_folder.relative_to(project.root))
    sealed, parts = read_parts(project.lock_folder, root=project.root)
    text = parts[seal.PIP_LOCK].decode(errors="replace")
    known = {(item.name, item.version, item.sha256): item for item in sealed.pip}
    pins = tuple(
        known.get(
            (pin.name, pin.version, pin.sha256),
            PipArtifact(name=pin.name, version=pin.version, filename="", size=0, sha256=pin.sha256),
        )
        for pin in requirements.parse(text, where=f"{where}/{seal.PIP_LOCK}")
    )
    debs = apt.parse(
        parts[seal.APT_LOCK].decode(errors="replace"),
        where=f"{where}/{seal.APT_LOCK}",
        on_image=sealed.base is not None,
        architecture=platform_of(project.platform).architecture,
    )
    return seal.make_lock(
        debs, replace(sealed, pip=pins), conda_packages(sealed, parts, where=where)
    )


def _require_adopted(edited: Lock | None, resolved: Lock) -> None:
    """Refuse an edit that does not resolve to itself."""
    assert edited is not None
    changes = diff_locks(edited, resolved).changes
    if changes:
        raise LockError(
            "the edited lock does not resolve to itself:\n  "
            + "\n  ".join(
                f"{c.ecosystem} {c.name}: edited {c.old or 'absent'}, resolved {c.new or 'absent'}"
                for c in changes[:20]
            ),
            hint="correct the edit, or re-lock: repro snapshot",
        )
