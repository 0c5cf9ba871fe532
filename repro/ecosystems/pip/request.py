"""The nouns of a pip resolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from repro.ecosystems.pip.pages import ListedFile
from repro.ecosystems.pip.tags import Target
from repro.models.lock import Interpreter, PipArtifact, Provenance, Upgrade
from repro.models.project import (
    PLATFORM,
    Environment,
    RequirementSet,
    Sources,
    platform_of,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provided:
    """A distribution that is there: its normalised name (PEP 503), its version, and by whom."""

    name: str
    version: str
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PipRequest:
    """What to resolve.

    `glibc` is `2.N`, from the image's libc6; `python_full` is the image's interpreter
    (`3.11.2`), None where it is not known yet. `previous` are the pins of the old lock: those
    that `upgrade` does not cover are kept where the requirements allow.
    """

    environment: Environment
    interpreter: Interpreter
    glibc: str
    python_full: str | None = None
    previous: tuple[PipArtifact, ...] = ()
    upgrade: Upgrade = field(default_factory=Upgrade)
    sources: Sources = field(default_factory=Sources)
    provided: tuple[Provided, ...] = ()
    """What is there before pip's packages."""
    wheels: Path | None = None
    """A folder of wheels that are in no index: the project's vendored one."""
    platform: str = PLATFORM

    @property
    def target(self) -> Target:
        """The interpreter that the files must fit."""
        return Target(
            python=self.interpreter.version,
            glibc=self.glibc,
            full=self.python_full,
            machine=platform_of(self.platform).machine,
        )

    @property
    def kept(self) -> tuple[PipArtifact, ...]:
        """The previous pins that stay where the requirements allow."""
        return tuple(item for item in self.previous if not self.upgrade.covers(item.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class PipResolution:
    """What was chosen, sorted by name, and how."""

    artifacts: tuple[PipArtifact, ...]
    provenance: tuple[Provenance, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One resolved package and the files of that version that the resolver saw."""

    name: str
    version: str
    files: tuple[ListedFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFiles:
    """The requirement sets as files in a scratch folder: names never reach an argument list."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]


def write_inputs(sets: tuple[RequirementSet, ...], folder: Path) -> InputFiles:
    """Write each set to a file of its own below `folder`; return their names.

    The `--hash` options stay out: they limit which file is chosen, not which version.
    """
    from repro.files import write_atomic

    requirements: list[str] = []
    constraints: list[str] = []
    for number, one in enumerate(sets):
        name = _file_name(number, one)
        (constraints if one.constraint else requirements).append(name)
        text = "".join(f"{line.partition(' --hash=')[0]}\n" for line in one.lines)
        write_atomic(folder / name, text.encode())
    return InputFiles(requirements=tuple(requirements), constraints=tuple(constraints))


def _file_name(number: int, one: RequirementSet) -> str:
    return f"{number}-constraints.txt" if one.constraint else f"{number}-requirements.in"


def in_users_words(said: str, sets: tuple[RequirementSet, ...]) -> str:
    """Return a resolver's words with the user's files in place of those of `write_inputs`."""
    for number, one in enumerate(sets):
        said = said.replace(_file_name(number, one), one.path)
    return said


def allowed_hashes(sets: tuple[RequirementSet, ...]) -> dict[str, frozenset[str]]:
    """Return the sha256 that the inputs allow, by normalised name; absent: any."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, frozenset[str]] = {}
    for line in (line for one in sets for line in one.lines):
        requirement, *options = line.split(" --hash=")
        if not options:
            continue
        name = canonicalize_name(Requirement(requirement).name)
        hashes = {o.strip().removeprefix("sha256:") for o in options if o.startswith("sha256:")}
        found[name] = found.get(name, frozenset()) | hashes
    return found


def input_names(sets: tuple[RequirementSet, ...]) -> str:
    """Return the input files' names, for messages."""
    return ", ".join(one.path for one in sets) or "the requirements"
