"""`repro snapshot --adopt FILE`: the lock of another tool, and the inputs that it stands for."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from repro.ecosystems.pip.adopt import refused_pin
from repro.errors import UsageError
from repro.files import write_atomic
from repro.locks.conda_names import SUBDIRS
from repro.locks.foreign.common import LIMIT
from repro.locks.foreign.read import read
from repro.locks.foreign.select import asks_for_choice
from repro.locks.names import path_shown
from repro.models.foreign import ForeignLock
from repro.models.lock import Provenance
from repro.models.project import PLATFORM, Project, RequirementSet
from repro.project import detect, source
from repro.project.environment_yml import parse_environment
from repro.project.interpreter import Asked, choose, choose_suite
from repro.project.load import read_settings
from repro.project.requirements import requirement_line
from repro.workflows.state import staging

INPUT = "requirements.in"
PYTHON_VERSION = ".python-version"
ENVIRONMENT = "environment.yml"

_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """A foreign lock that a project takes over.

    `locks` are what it holds for each of the project's platforms, by name. `project` has the
    inputs that the lock is sealed with, `inputs` are those of them that the project has not yet:
    (path, text).
    """

    locks: tuple[tuple[str, ForeignLock], ...]
    sha256: str
    project: Project
    inputs: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The file's name."""
        return self.locks[0][1].path

    def of(self, platform: str) -> ForeignLock:
        """Return what it holds for one platform."""
        return dict(self.locks)[platform]

    @property
    def provenance(self) -> Provenance:
        """Where the pins come from."""
        kind = self.locks[0][1].kind
        facts = (("file", self.path), ("format", kind), ("sha256", self.sha256))
        return Provenance(source="adopted", facts=facts)


def read_adoption(project: Project, file: Path) -> Adoption:
    """Read the lock that `file` is; where the project has no inputs, say what they will be.

    Raises UsageError for a file that cannot be read or has another format, LockError naming the
    place for whatever in it is not that format.
    """
    place = Path(os.path.normpath(file.absolute()))
    inside = place.is_relative_to(project.root)
    name = path_shown(str(place.relative_to(project.root)) if inside else place.name)
    real = place.resolve()  # whoever names a link means what it leads to
    data = source.read_bytes(real.parent, real.name, where="--adopt", limit=LIMIT)
    text = source.decode(data, where=name)
    platforms = sorted(project.environment.platforms, key=lambda one: (one != PLATFORM, one))
    locks = tuple((one, read(name, text, subdir=SUBDIRS[one])) for one in platforms)
    lock = locks[0][1]
    _require_any(lock)
    inputs: tuple[tuple[str, str], ...] = ()
    environment = project.environment
    if lock.conda and environment.conda is None:
        project, inputs = _with_conda_inputs(project, lock)
    elif not environment.pip and environment.conda is None:
        project, inputs = _with_inputs(project, lock)
    return Adoption(
        locks=locks, sha256=hashlib.sha256(data).hexdigest(), project=project, inputs=inputs
    )


def _require_any(lock: ForeignLock) -> None:
    """Raise LockError where no package can be taken over: before any index is asked."""
    refused = [pin for pin in lock.pins if pin.refusal is not None]
    if refused and len(refused) == len(lock.pins):
        raise refused_pin(refused[0])


def write_inputs(adoption: Adoption) -> None:
    """Write the inputs that the project has not yet. Raises LocalError."""
    for name, text in adoption.inputs:
        project = adoption.project
        write_atomic(project.root / name, text.encode(), staging=staging(project))


def _with_inputs(
    project: Project, lock: ForeignLock
) -> tuple[Project, tuple[tuple[str, str], ...]]:
    """Return the project as it will be with a requirements.in that names what the lock is for."""
    settings = read_settings(project.root)
    if settings.pip is not None:
        raise UsageError(
            f"{settings.where('environment.pip')} names no requirements, and {lock.path} is a "
            "lock of some",
            hint="name their file there, or remove the key: what is asked for is written to "
            f"{INPUT} then",
        )
    lines = input_lines(lock)
    written = [(INPUT, _text(lock, lines))]
    environment = replace(project.environment, pip=(RequirementSet(path=INPUT, lines=lines),))
    if (python := _python(project, lock)) is not None:
        written.append((PYTHON_VERSION, f"{python[1]}\n"))
        environment = replace(environment, suite=python[0], python=python[1])
    return replace(project, environment=environment), tuple(written)


def _with_conda_inputs(
    project: Project, lock: ForeignLock
) -> tuple[Project, tuple[tuple[str, str], ...]]:
    """Return the project as it will be with an environment.yml that names what the lock is for."""
    name = ENVIRONMENT
    settings = read_settings(project.root)
    if project.environment.pip or settings.pip is not None or settings.conda is not None:
        raise UsageError(
            f"{lock.path} holds conda packages, and the project asks conda for none",
            hint=f"list them in {name}, with what it asks of pip: {_wanted(lock)}",
        )
    text = _environment_text(lock)
    parsed = parse_environment(text, where=name)
    part = parsed.pip
    pip = RequirementSet(path=name, lines=part.lines) if part is not None else None
    asked = Asked(value=settings.suite, where="suite") if settings.suite is not None else None
    environment = replace(
        project.environment,
        conda=parsed.conda,
        pip=(pip,) if pip is not None else (),
        suite=choose_suite(asked).suite,
        python="",
    )
    return replace(project, environment=environment), ((name, text),)


def _wanted(lock: ForeignLock) -> str:
    more = "…" if len(lock.conda_wants) > _SHOWN else ""
    return ", ".join(lock.conda_wants[:_SHOWN]) + more


def _environment_text(lock: ForeignLock) -> str:
    """An environment.yml: the channels, what no other package needs, the Python, pip's part."""
    specs = [one for one in lock.conda_wants if one != "python"]
    python = next((one.version for one in lock.conda if one.name == "python"), None)
    if python is not None:
        specs.insert(0, f"python={'.'.join(python.split('.')[:2])}")
    lines = ["channels:", *(f"  - {_quoted(one)}" for one in lock.channels)]
    lines += ["dependencies:", *(f"  - {_quoted(one)}" for one in specs)]
    if lock.pins:
        lines += ["  - pip:", *(f"      - {_quoted(one)}" for one in input_lines(lock))]
    return _head(lock) + "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """Write a YAML scalar; the readers' grammars let no control character through."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./=-]*", text)
    return text if plain else "'" + text.replace("'", "''") + "'"


def input_lines(lock: ForeignLock) -> tuple[str, ...]:
    """What the lock says that it was made for; every package of it where it says nothing."""
    forks = Counter(pin.name for pin in lock.pins)
    lines = lock.wants or tuple(
        f"{pin.name} ; {pin.markers[0]}" if pin.markers and forks[pin.name] == 1 else pin.name
        for pin in lock.pins
        if not any(map(asks_for_choice, pin.markers))
    )
    if not lines:
        raise UsageError(f"{lock.path} pins no Python packages", hint="is this the right file?")
    return tuple(sorted({requirement_line(line, lock.path) for line in lines}))


def _text(lock: ForeignLock, lines: tuple[str, ...]) -> str:
    return _head(lock) + "".join(f"{line}\n" for line in lines)


def _head(lock: ForeignLock) -> str:
    return (
        f"# What {lock.path} was made for. Its versions and hashes are in lockfiles/: they stay\n"
        "# until repro snapshot --upgrade NAME lets one move.\n"
    )


def _python(project: Project, lock: ForeignLock) -> tuple[str, str] | None:
    """Return the (suite, Python) that the lock asks for where nothing else does."""
    settings = read_settings(project.root)
    asked = settings.python or settings.suite or detect.find_python(project.root)
    if asked is not None or not lock.requires_python or project.environment.image:
        return None
    where = f"{lock.path}: requires-python"
    found = choose(None, None, Asked(value=lock.requires_python, where=where))
    now = (project.environment.suite, project.environment.python)
    return None if now == (found.suite, found.python) else (found.suite, found.python)
