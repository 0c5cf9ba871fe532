"""From what was resolved to sealed locks, and onto the disk: one way for all who lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from repro.ecosystems.apt.resolve import AptResolution
from repro.ecosystems.pip.request import PipResolution
from repro.files import write_together
from repro.locks import apt, requirements, seal
from repro.locks.inputs import environment_inputs
from repro.models.lock import BaseImage, CondaPackage, Lock, Provenance, Seal
from repro.models.project import Environment, Project
from repro.workflows.image_record import drop_obsolete
from repro.workflows.lockfiles import lock_path, read_file
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


def sealed(environment: Environment, resolutions: Sequence[Resolution]) -> tuple[Lock, ...]:
    """Return the locks of all platforms, each bound to the inputs and to the locks' bytes."""
    return tuple(_lock(environment, found) for found in resolutions)


def _lock(environment: Environment, found: Resolution) -> Lock:
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


def differs(project: Project, lock: Lock) -> bool:
    """Whether the project's lock files are not these, byte for byte."""
    folder = project.lock_folder
    return any(
        read_file(lock_path(folder, name), where=name) != data
        for name, data in lock_files(lock).items()
    )


def write_locks(project: Project, tools: Tools, locks: Sequence[Lock]) -> tuple[str, ...]:
    """Write the locks in one step, image.toml of another lock gone; return what to say of it.

    Raises LocalError; the old locks stay as they were then.
    """
    notes: tuple[str, ...] = ()
    [lock] = locks
    with turn(project, tools):
        if drop_obsolete(project, lock):
            notes += (OBSOLETE,)
        write_together(project.lock_folder, lock_files(lock), staging=staging(project))
    return notes
