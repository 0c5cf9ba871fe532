"""Resolve the inputs and write the locks, keeping the pins that stand."""

from __future__ import annotations

import difflib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache

from packaging.utils import canonicalize_name

from repro.compare.locks import diff_locks
from repro.ecosystems.apt.resolve import AptIndex, AptResolution, AptResolver
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.request import PipRequest, PipResolution
from repro.ecosystems.pip.resolve import resolve
from repro.errors import LockError, UsageError
from repro.files import write_together
from repro.locks import apt, requirements, seal, toml
from repro.locks.inputs import environment_inputs
from repro.models.image import Image
from repro.models.lock import Interpreter, Lock, PipArtifact, Seal, Upgrade
from repro.models.outcome import SnapshotResult
from repro.models.project import PLATFORM, Project
from repro.workflows.assemble import base_image
from repro.workflows.image_record import drop_obsolete
from repro.workflows.lockfiles import lock_state, read_file, read_lock
from repro.workflows.state import staging, turn
from repro.workflows.tools import Tools


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotOptions:
    """`upgrade`: pins that may move. `adopt_edits`: seal what stands there if it resolves."""

    upgrade: Upgrade = field(default_factory=Upgrade)
    dry_run: bool = False
    adopt_edits: bool = False


_OBSOLETE = "image.toml was not of this lock, and is removed; repro build records the new image"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Old:
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
    _require_inputs(project)
    root = project.root.stat()  # a path may be another project's in another container
    name = f"snapshot-{root.st_dev:x}-{root.st_ino:x}"
    with tools.store.lock(name, what=f"a snapshot of {project.root}"):
        old = _old_lock(project, adopt=options.adopt_edits)
        upgrade = _known(old.lock, options.upgrade)
        lock = _resolved(project, tools, old.lock, upgrade)
        if options.adopt_edits:
            _require_adopted(old.lock, lock)
        if old.lock is not None and old.lock.key == lock.key:
            kept = old.lock.seal.provenance or lock.seal.provenance
            lock = replace(lock, seal=replace(lock.seal, provenance=kept))
        files = _files(lock)
        written = not options.dry_run and _differ(project, files)
        notes = old.notes
        if written:
            with turn(project, tools):
                if drop_obsolete(project, lock):
                    notes += (_OBSOLETE,)
                write_together(project.lock_folder, files, staging=staging(project))
    return SnapshotResult(
        lock=lock,
        diff=diff_locks(old.lock, lock) if old.lock is not None else None,
        written=written,
        folder=str(project.lock_folder.relative_to(project.root)),
        notes=notes,
    )


def _require_inputs(project: Project) -> None:
    """Refuse a folder in which nothing was found: it is the wrong one, or says nothing yet."""
    environment = project.environment
    if project.config is None and not environment.pip and not environment.apt:
        raise UsageError(
            f"{project.root}: nothing to lock: no requirements.in, requirements.txt, "
            "pyproject.toml with dependencies, apt.txt or repro.toml",
            hint="go to the project's folder; or list its packages in requirements.in, one a "
            "line; or let repro init propose a repro.toml",
        )


def _known(old: Lock | None, upgrade: Upgrade) -> Upgrade:
    """Return the upgrade in the lock's spelling; refuse what is not locked: it is misspelt."""
    locked = {deb.name for deb in old.debs} | {item.name for item in old.pip} if old else set()
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


def _old_lock(project: Project, *, adopt: bool) -> _Old:
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
        return _Old()
    if adopt:
        return _Old(lock=_edited_lock(project))
    try:
        return _Old(lock=read_lock(project.lock_folder, root=project.root))
    except LockError as error:
        if not state.edited:
            raise
        note = f"the edited lock could not be read, its pins are not kept: {error.message}"
        return _Old(notes=(note,))


def _edited_lock(project: Project) -> Lock:
    """The lock as the edited files have it, under the old seal's settings."""
    folder = project.lock_folder
    where = str(folder.relative_to(project.root))
    parts = {}
    for name in (seal.SEAL, seal.APT_LOCK, seal.PIP_LOCK):
        data = read_file(folder / name, where=f"{where}/{name}")
        if data is None:
            raise LockError(f"{where}/{name} is missing", hint="run: repro snapshot")
        parts[name] = data
    sealed = seal.parse(parts[seal.SEAL], where=f"{where}/{seal.SEAL}")
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
        parts[seal.APT_LOCK].decode(errors="replace"), where=f"{where}/{seal.APT_LOCK}"
    )
    return seal.make_lock(debs, replace(sealed, pip=pins))


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


def _resolved(project: Project, tools: Tools, old: Lock | None, upgrade: Upgrade) -> Lock:
    """Resolve apt and pip side by side: pip starts as soon as the image's glibc is known."""
    environment = project.environment
    if old is not None and old.seal.suite != environment.suite:
        old = replace(old, debs=())
    resolver = AptResolver(
        tools.store.root / "apt", project.sources, tools.progress, tools.store.claim
    )
    with (
        resolver.open(
            environment.suite, previous=old.debs if old else (), upgrade=upgrade
        ) as index,
        ThreadPoolExecutor(1) as pool,
    ):
        glibc, full = index.glibc(), _full_version(index, environment.python)
        debs = pool.submit(
            index.resolve,
            environment.apt,
            python=environment.python,
            apt_source=environment.apt_source,
        )

        @cache
        def image() -> Image:
            return base_image(project, _lock(project, debs.result(), None), tools)

        with tools.progress.task("resolving Python packages"):
            pip = resolve(
                PipRequest(
                    environment=environment,
                    interpreter=Interpreter.of_debian(environment.python),
                    glibc=glibc,
                    python_full=full,
                    previous=old.pip if old else (),
                    upgrade=upgrade,
                    sources=project.sources,
                ),
                store=tools.store,
                fetcher=tools.fetcher(project.vendor_folder),
                http=tools.http,
                builder=Builder(engine=tools.build_engine, image=image),
            )
        if moved := debs.result().moved:
            tools.progress.note("moved too, because an upgrade needs it: " + ", ".join(moved))
        return _lock(project, debs.result(), pip)


def _full_version(index: AptIndex, python: str) -> str | None:
    """The interpreter's version in that suite (`3.11.2`), as its package has it."""
    match = re.match(r"\d+\.\d+\.\d+", index.version(f"python{python}") or "")
    return match[0] if match else None


def _lock(project: Project, debs: AptResolution, pip: PipResolution | None) -> Lock:
    environment = project.environment
    artifacts = pip.artifacts if pip else ()
    sealed = Seal(
        platform=PLATFORM,
        suite=environment.suite,
        python=environment.python,
        inputs=environment_inputs(environment),
        locks=(
            (seal.APT_LOCK, seal.digest(apt.render(debs.debs).encode())),
            (seal.PIP_LOCK, seal.digest(requirements.render(artifacts).encode())),
        ),
        pip=artifacts,
        system_site_packages=environment.system_site_packages,
        allow_overlap=environment.allow_overlap,
        provenance=(*debs.provenance, *(pip.provenance if pip else ())),
    )
    return seal.make_lock(debs.debs, sealed)


def _files(lock: Lock) -> dict[str, bytes]:
    return {
        seal.APT_LOCK: apt.render(lock.debs).encode(),
        seal.PIP_LOCK: requirements.render(lock.pip).encode(),
        seal.SEAL: seal.render(lock.seal),
    }


def _differ(project: Project, files: dict[str, bytes]) -> bool:
    return any(
        read_file(project.lock_folder / name, where=name) != data for name, data in files.items()
    )
