"""From what was resolved to sealed locks, and onto the disk: one way for all who lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from repro.ecosystems.apt.resolve import AptResolution
from repro.ecosystems.pip.request import PipResolution
from repro.files import write_together
from repro.locks import apt, conda, requirements, seal
from repro.locks.inputs import environment_inputs
from repro.models.lock import BaseImage, CondaPackage, Lock, Provenance, Seal
from repro.models.project import Environment, Project
from repro.workflows.image_record import drop_obsolete
from repro.workflows.lockfiles import read_file
from repro.workflows.state import staging, turn
from repro.workflows.tools import Tools

OBSOLETE = "image.toml was not of this lock, and is removed; repro build records the new image"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What was found for one platform; `python` is `major.minor`, "" for no Python.

    `as_of` is the moment that it was found of, "" for now.
    """

    platform: str
    python: str
    as_of: str = ""
    debs: AptResolution
    pip: PipResolution = field(default_factory=lambda: PipResolution(artifacts=(), provenance=()))
    conda: tuple[CondaPackage, ...] = ()
    base: BaseImage | None = None
    provenance: tuple[Provenance, ...] = ()
    """Of what is neither apt nor pip."""
    notes: tuple[str, ...] = ()
    """Remarks for the user."""


def sealed(environment: Environment, resolutions: Sequence[Resolution]) -> tuple[Lock, ...]:
    """Return the locks of all platforms, each bound to the inputs and to the locks' bytes."""
    text = _conda_text(environment, {found.platform: found.conda for found in resolutions})
    shared = ((seal.CONDA_LOCK, seal.digest(text)),) if text is not None else ()
    return tuple(_lock(environment, found, shared) for found in resolutions)


def _conda_text(
    environment: Environment, packages: Mapping[str, tuple[CondaPackage, ...]]
) -> bytes | None:
    """conda-lock.yml, which all platforms share; None where nothing is asked of conda."""
    if environment.conda is None:
        return None
    return conda.render(conda.make(environment.conda, packages)).encode()


def _lock(environment: Environment, found: Resolution, shared: tuple[tuple[str, str], ...]) -> Lock:
    sealing = Seal(
        platform=found.platform,
        suite=environment.suite,
        base=found.base,
        python=found.python,
        as_of=found.as_of,
        inputs=environment_inputs(environment),
        locks=(
            (seal.APT_LOCK, seal.digest(apt.render(found.debs.debs).encode())),
            (seal.PIP_LOCK, seal.digest(requirements.render(found.pip.artifacts).encode())),
            *shared,
        ),
        pip=found.pip.artifacts,
        system_site_packages=environment.system_site_packages,
        allow_overlap=environment.allow_overlap,
        provenance=(*found.debs.provenance, *found.pip.provenance, *found.provenance),
    )
    return seal.make_lock(found.debs.debs, sealing, found.conda)


def lock_files(lock: Lock) -> dict[str, bytes]:
    """Return the files of a lock's own folder by name."""
    return {
        seal.APT_LOCK: apt.render(lock.debs).encode(),
        seal.PIP_LOCK: requirements.render(lock.pip).encode(),
        seal.SEAL: seal.render(lock.seal),
    }


def differs(project: Project, locks: Sequence[Lock]) -> bool:
    """Whether the project's lock files are not these, byte for byte."""
    folder = project.lock_folder.parent
    files = all_files(project.environment, locks)
    return any(read_file(folder / name, where=name) != data for name, data in files.items())


def all_files(environment: Environment, locks: Sequence[Lock]) -> dict[str, bytes]:
    """Return the files of the locks of all platforms, by path below `lockfiles`."""
    files = {
        f"{lock.seal.platform}/{name}": data
        for lock in locks
        for name, data in lock_files(lock).items()
    }
    text = _conda_text(environment, {lock.seal.platform: lock.conda for lock in locks})
    return files if text is None else {seal.CONDA_LOCK: text, **files}


def write_locks(project: Project, tools: Tools, locks: Sequence[Lock]) -> tuple[str, ...]:
    """Write the locks in one step, image.toml of another lock gone; return what to say of it.

    Raises LocalError; the old locks stay as they were then.
    """
    notes: tuple[str, ...] = ()
    folder = project.lock_folder.parent
    with turn(project, tools):
        for lock in locks:
            if drop_obsolete(replace(project, platform=lock.seal.platform), lock):
                notes = (OBSOLETE,)
        write_together(folder, all_files(project.environment, locks), staging=staging(project))
    return notes
