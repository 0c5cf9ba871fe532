"""Lock what is installed already, as it is: nothing is resolved but the base below it."""

from __future__ import annotations

import os
import re
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from repro.compare.locks import diff_locks
from repro.ecosystems.apt.installed import Asked, asked_for, owners, read_debs
from repro.ecosystems.apt.resolve import AptIndex
from repro.ecosystems.conda import installed as conda_installed
from repro.ecosystems.conda.request import CondaResolution
from repro.ecosystems.pip.find import Finder
from repro.ecosystems.pip.indexes import effective
from repro.ecosystems.pip.installed import DEBIANS
from repro.ecosystems.pip.pages import Catalogue
from repro.ecosystems.pip.pin import PinOptions, chosen, is_left_out, pin
from repro.ecosystems.pip.recorded import asked_for as asked_of_pip
from repro.ecosystems.pip.recorded import changes
from repro.ecosystems.pip.request import PipRequest, PipResolution
from repro.ecosystems.pip.tags import Target, markers, supported
from repro.errors import LockError, UsageError
from repro.files import write_atomic
from repro.locks import seal
from repro.locks.names import paths_shown
from repro.models.installed import Changed, Distribution, InstalledDeb, PipRecord, Unfound
from repro.models.lock import Deb, Lock, Provenance, Upgrade
from repro.models.outcome import RecordResult, SnapshotResult
from repro.models.project import PLATFORM, SUITES, VENDOR, AptRequest, CondaRequest, Project
from repro.project.config import Settings
from repro.project.interpreter import DEFAULT_SUITE
from repro.project.load import load_project, read_settings
from repro.project.recorded import Inputs, Running, canonical_specs, plan_inputs
from repro.workflows import resolution
from repro.workflows.lockfiles import lock_state
from repro.workflows.locking import differs, lock_files, sealed, write_locks
from repro.workflows.snapshot import moment_of, old_lock, snapshot_turn
from repro.workflows.sources import Installed, Source, opened
from repro.workflows.state import staging
from repro.workflows.tools import Tools
from repro.workflows.unfound import refusal, unfound_deb
from repro.workflows.wheels import Vendoring

_METADATA = re.compile(r"(.*-packages/[^/]+\.(?:dist|egg)-info)(?:/|$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """`without`: patterns of packages to leave out. `vendor_missing`: keep what no index has.

    `upgrade`: apt packages whose version no archive has any more may move to the one it has.
    `as_of` as for SnapshotOptions.
    """

    source: Source
    without: tuple[str, ...] = ()
    vendor_missing: bool = False
    as_of: str | None = None
    upgrade: Upgrade = field(default_factory=Upgrade)
    dry_run: bool = False


def snapshot_installed(project: Project, tools: Tools, options: RecordOptions) -> RecordResult:
    """Lock what is installed at the source, and write the inputs that ask for it.

    Inputs that are there are kept, and must ask for the same. Nothing is written on a dry run,
    nor on an error. Raises UsageError for a source that is not there or inputs that differ,
    LockError naming every package that no index or archive has as it is, NetworkError.
    """
    if tools.offline:
        raise UsageError(
            "recording what is installed asks the package indexes, and --offline forbids it",
            hint="a lock that stands is built with: repro build --offline",
        )
    if others := [name for name in project.environment.platforms if name != PLATFORM]:
        raise UsageError(
            f"environment.platforms has {', '.join(others)}, and what is installed here is for "
            f"{PLATFORM} alone",
            hint="take platforms away, or resolve for all of them: repro snapshot",
        )
    with snapshot_turn(project, tools), opened(options.source, tools) as installed:
        checkers = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        try:
            return _Recording(project, tools, options, installed, checkers).run()
        finally:
            checkers.shutdown(wait=True, cancel_futures=True)


class _Recording:
    """One source on its way into locks."""

    def __init__(
        self,
        project: Project,
        tools: Tools,
        options: RecordOptions,
        installed: Installed,
        checkers: Executor,
    ) -> None:
        self.project = project
        self.tools = tools
        self.options = options
        self.installed = installed
        self.settings: Settings = read_settings(project.root)
        self.notes: list[str] = []
        self.unfound: list[Unfound] = []
        self.record = PipRecord(artifacts=())
        self.checkers = checkers
        self.changed: dict[str, Future[tuple[Changed, ...]]] = {}
        self.debs = self._debs()
        self.running = self._running()

    def run(self) -> RecordResult:
        """Find everything, then write everything."""
        planned = plan_inputs(self.project, self.settings, self.running)
        old = old_lock(self.project)
        as_of, said = moment_of(self.project, old.lock, self.options.as_of)
        self.notes += said
        environment = replace(planned.environment, as_of=as_of)
        project = replace(self.project, environment=environment)
        self.notes += old.notes
        self._check_files()
        there = resolution.Installed(requests=self._requests, conda=self._conda, pip=self._pip)
        found = resolution.resolve_environment(
            project, self.tools, old.lock, Upgrade(), installed=there
        )
        self._compare(found.debs.debs)
        if self.unfound:
            raise refusal(self.options.source, self.unfound)
        if self.record.vendored:
            planned = self._with_vendored(planned)
        came = Provenance(source="installed", facts=(("from", self.options.source.kind),))
        [lock] = sealed(planned.environment, [replace(found, provenance=(came,))])
        if old.lock is not None and old.lock.key == lock.key and old.lock.seal.provenance:
            lock = replace(lock, seal=replace(lock.seal, provenance=old.lock.seal.provenance))
        return self._written(planned, lock, old.lock)

    def _check_files(self) -> None:
        """Begin to compare the files with their records: apt's index is read meanwhile."""
        for one in self._distributions():
            self.changed[one.name] = self.checkers.submit(changes, self.installed.tree, one)

    def _pip_options(self) -> PinOptions:
        return PinOptions(
            project=self.project.root,
            without=self.options.without,
            vendor=self.options.vendor_missing,
            owned=self._owned(),
        )

    def _owned(self) -> frozenset[str]:
        """Metadata of Python packages that conda installed."""
        conda = self.installed.conda
        if conda is None:
            return frozenset()
        found = (_METADATA.match(path) for one in conda.packages for path, _ in one.files)
        return frozenset(f"{conda.prefix}/{match[1]}" for match in found if match is not None)

    def _distributions(self) -> tuple[Distribution, ...]:
        python = self.installed.python
        return chosen(python, self._pip_options()) if python is not None else ()

    def _debs(self) -> tuple[InstalledDeb, ...] | None:
        """Packages of dpkg: those of the whole system, or those that a virtual environment sees."""
        if self.installed.debs is not None:
            return self.installed.debs
        python = self.installed.python
        seen = [one for one in python.distributions if one.site == DEBIANS] if python else []
        if not seen:
            return None
        debs = read_debs(self.installed.tree)
        names = set(owners(self.installed.tree, debs, [one.folder for one in seen]).values())
        return tuple(one for one in debs if one.name in names)

    def _running(self) -> Running:
        """What the inputs must ask for."""
        python = self.installed.python
        suite, version = self._base()
        target = Target(python=version, glibc="2.36", full=python.full if python else None)
        values = markers(target)
        found = self._distributions()
        asked = self._asked(suite, "" if self._has_conda_python() else version)
        return Running(
            source=self.options.source.described,
            suite=suite,
            python="" if self._has_conda_python() else version,
            conda=self._conda_request(),
            pip=asked_of_pip(found, values),
            versions={one.name: one.version for one in found},
            markers=values,
            apt=asked.asked if asked is not None else None,
            recommended=asked.recommended if asked is not None else (),
            apt_whole=self.installed.debs is not None,
            system_site_packages=python is not None
            and any(one.site == DEBIANS for one in python.distributions),
        )

    def _has_conda_python(self) -> bool:
        conda = self.installed.conda
        return conda is not None and any(one.name == "python" for one in conda.packages)

    def _conda_request(self) -> CondaRequest | None:
        conda = self.installed.conda
        return None if conda is None else canonical_specs(conda.specs, conda.channels)

    def _conda(self) -> CondaResolution:
        """Take conda's records as they are."""
        conda = self.installed.conda
        if conda is None:
            return CondaResolution(packages=(), provenance=())
        with self.tools.progress.task("comparing conda's files with its records"):
            changed = conda_installed.changed(self.installed.tree, conda)
        for name in sorted({one.name for one in changed}):
            paths = [one.path for one in changed if one.name == name]
            self.notes.append(
                f"conda {name}: changed after it was installed, and locked as it was before: "
                + paths_shown(paths, 3)
            )
        packages, unfound = conda_installed.locked(conda, self.tools.http)
        self.unfound += unfound
        return CondaResolution(packages=packages, provenance=())

    def _base(self) -> tuple[str, str]:
        """The suite, and its Python: the source's own where it is one, else the nearest."""
        python, release = self.installed.python, self.installed.release
        wanted = python.python if python is not None and not self._has_conda_python() else ""
        having = [one for one in SUITES if not wanted or wanted in one.pythons]
        if not having:
            there = "; ".join(f"{one.name}: {', '.join(one.pythons)}" for one in SUITES)
            raise UsageError(
                f"--from {self.options.source}: runs Python {wanted}, and no suite has that "
                f"({there})",
                hint=f'stand on an image: image = "python:{wanted}-slim" under [environment] in '
                "repro.toml; then run it again",
            )
        own = [one for one in having if one.name == release]
        if self.installed.debs is not None and not own:
            raise UsageError(
                f"--from {self.options.source}: is {self.installed.distribution or 'a system'} "
                f"{release or 'without a release'}, whose archive is not known"
                + (f", or has no Python {wanted}" if wanted else ""),
                hint="record its Python packages alone: --from venv:DIR; or stand on an image of "
                "it: image = … under [environment] in repro.toml",
            )
        configured = [one for one in having if one.name == self.settings.suite]
        usual = [one for one in having if one.name == DEFAULT_SUITE]
        chosen_suite = (own or configured or usual or having)[0]
        if not own and wanted:
            self.notes.append(
                f"the base is {chosen_suite.name}: it has Python {wanted}, as the source"
            )
        return chosen_suite.name, wanted or (python.python if python else chosen_suite.pythons[0])

    def _asked(self, suite: str, python: str) -> Asked | None:
        debs = self._kept_debs()
        if debs is None:
            return None
        if self.installed.debs is None:  # what a virtual environment sees was all asked for
            names = tuple(sorted(one.name for one in debs))
            return Asked(asked=names, recommended=(), needed=(), rest=())
        found = asked_for(debs, suite=suite, python=python)
        if found.rest:
            self.notes.append(
                f"{len(found.rest)} packages are not locked, as nothing needs them: "
                + ", ".join(found.rest[:10])
                + (" …" if len(found.rest) > 10 else "")
            )
        return found

    def _kept_debs(self) -> tuple[InstalledDeb, ...] | None:
        if self.debs is None:
            return None
        without = self.options.without
        return tuple(one for one in self.debs if not is_left_out(one.name, without))

    def _requests(self, index: AptIndex) -> tuple[AptRequest, ...]:
        """Have the installed versions kept; return what the index can be asked for."""
        environment = plan_inputs(self.project, self.settings, self.running).environment
        debs = self._kept_debs() or ()
        if not debs:
            return environment.apt
        native = {one.name: one.version for one in debs if one.architecture in ("all", "amd64")}
        for one in debs:
            if one.name not in native:
                self.unfound.append(unfound_deb(one, f"is of the architecture {one.architecture}"))
        lost = index.keep(native)
        known = index.names()
        absent = {name for name in lost if name not in known}
        asked = {request.name for request in environment.apt}
        self.unfound += [
            unfound_deb(one, "is in none of the configured archives")
            for one in debs
            if one.name in absent & asked
        ]
        return tuple(one for one in environment.apt if one.name not in absent)

    def _compare(self, debs: tuple[Deb, ...]) -> None:
        """Note each package that would be locked in another version than the one installed."""
        there = {one.name: one for one in self._kept_debs() or ()}
        moved = []
        for deb in debs:
            one = there.get(deb.name)
            if one is None or one.version == deb.version:
                continue
            if self.options.upgrade.covers(deb.name):
                moved.append(f"{deb.name} ({one.version} to {deb.version})")
                continue
            self.unfound.append(
                unfound_deb(one, f"no archive has this version any more, but {deb.version}")
            )
        if moved:
            self.notes.append(f"not as installed, as --upgrade allows: {', '.join(moved)}")

    def _pip(self, request: PipRequest) -> PipResolution:
        """Find the distributions in the indexes."""
        python = self.installed.python
        if python is None:
            return PipResolution(artifacts=(), provenance=())
        http = self.tools.http
        self.record = pin(
            self.installed.tree,
            python,
            Finder(
                catalogue=Catalogue(effective(request.sources), http),
                http=http,
                store=self.tools.store,
                tags=supported(request.target),
            ),
            self._pip_options(),
            interpreter=request.interpreter,
            progress=self.tools.progress,
            changed=lambda one: self.changed[one.name].result(),
        )
        provided = {one.name: one.by for one in request.provided}
        self.unfound += [
            Unfound(
                ecosystem="pip",
                name=one.name,
                version=one.version,
                reason=f"was installed by pip over {provided[one.name]}: one of the two must go",
            )
            for one in self.record.artifacts
            if one.name in provided
        ]
        self.unfound += self.record.unfound
        self.notes += self.record.notes
        full = python.full
        if full and request.python_full and full != request.python_full:
            self.notes.append(f"the source runs Python {full}, the base has {request.python_full}")
        return PipResolution(artifacts=self.record.artifacts, provenance=())

    def _with_vendored(self, planned: Inputs) -> Inputs:
        """Have the inputs name the vendored folder where a new repro.toml is written."""
        running = replace(self.running, vendor=self.project.sources.vendor or VENDOR)
        return replace(planned, files=plan_inputs(self.project, self.settings, running).files)

    def _written(self, planned: Inputs, lock: Lock, old: Lock | None) -> RecordResult:
        """Write inputs and locks, unless they are there already or this is a dry run."""
        project = replace(self.project, environment=planned.environment)
        inputs = {name: text.encode() for name, text in planned.files}
        write = not self.options.dry_run
        locked = differs(project, [lock])
        if write:
            Vendoring(project, self.tools).keep(self.record)
            # one after the other: what is there after a kill is met by the next call
            for name, data in inputs.items():
                write_atomic(project.root / name, data, staging=staging(project))
            if locked:
                self.notes += write_locks(project, self.tools, [lock])
            _require_fresh(project)
        folder = str(project.lock_folder.relative_to(project.root))
        return RecordResult(
            source=str(self.options.source),
            snapshot=SnapshotResult(
                lock=lock,
                diff=diff_locks(old, lock) if old is not None else None,
                written=write and (locked or bool(inputs)),
                folder=folder,
                notes=tuple(self.notes),
            ),
            inputs=planned.files,
            locks=tuple(
                (f"{folder}/{name}", data.decode()) for name, data in lock_files(lock).items()
            ),
            vendored=self.record.vendored,
        )


def _require_fresh(project: Project) -> None:
    """Check that what was written is read as it was meant. Raises LockError."""
    state = lock_state(load_project(project.root).project)
    if state is None or not state.fresh:
        said = ", ".join((*state.stale, *state.edited)) if state is not None else seal.SEAL
        raise LockError(
            f"the inputs that were written are read otherwise: {said}",
            hint="look at them, then run: repro snapshot",
        )
