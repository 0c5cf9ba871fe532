"""Inputs for what is installed already: written where there are none, else it must meet them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from repro.errors import UsageError
from repro.locks.names import paths_shown
from repro.models.project import (
    AptRequest,
    CondaRequest,
    Environment,
    Project,
    RequirementSet,
)
from repro.project.config import FILE, Settings
from repro.project.environment_yml import parse_environment
from repro.project.requirements import requirement_line
from repro.project.template import init_text, look_around

REQUIREMENTS = "requirements.in"
APT = "apt.txt"
ENVIRONMENT = "environment.yml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """What the inputs must ask for.

    `source` names where it runs, for comments and messages. `pip` are requirement lines;
    `versions` are all distributions that were chosen, by name, `markers` the values of their
    interpreter. `apt` is None where the source says nothing of system packages; with `apt_whole`
    nothing else may be asked for. `vendor` is the folder of wheels that no index has, "" for
    none.
    """

    source: str
    suite: str
    python: str
    pip: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    markers: Mapping[str, str] = field(default_factory=dict)
    conda: CondaRequest | None = None
    apt: tuple[str, ...] | None = None
    recommended: tuple[str, ...] = ()
    apt_whole: bool = True
    system_site_packages: bool = False
    vendor: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Files to write, by path relative to the project, and the environment that they declare."""

    files: tuple[tuple[str, str], ...]
    environment: Environment


def plan_inputs(project: Project, settings: Settings, running: Running) -> Inputs:
    """Return the inputs that lock this. Nothing that is there is written over.

    Raises UsageError naming the file and the difference where what is there asks for something
    else.
    """
    files: dict[str, str] = {}
    environment = replace(
        project.environment,
        suite=running.suite,
        python=running.python,
        system_site_packages=running.system_site_packages or settings.system_site_packages,
    )
    if settings.file is not None:
        _require_configured(settings, running)
    environment = _with_conda(settings, running, environment, files)
    environment = _with_pip(project, settings, running, environment, files)
    environment = _with_apt(project, settings, running, environment, files)
    if settings.file is None:
        files[FILE] = _config(project.root, running, environment)
    return Inputs(files=tuple(sorted(files.items())), environment=environment)


def _require_configured(settings: Settings, running: Running) -> None:
    """Refuse a configuration under which the source's packages would not run."""
    for key, said, needed in (
        ("suite", settings.suite, running.suite),
        ("python", settings.python, running.python),
    ):
        if said is not None and said != needed and not said.startswith(f"{needed}."):
            raise UsageError(
                f'{settings.where(f"environment.{key}")} is "{said}", and {running.source} needs '
                f'"{needed}"',
                hint=f'write there: {key} = "{needed}"; or record it in a folder of its own',
            )
    missing = []
    if settings.suite is None and settings.python is None and running.conda is None:
        missing.append(f'suite = "{running.suite}" and python = "{running.python}"')
    if running.system_site_packages and not settings.system_site_packages:
        missing.append("system-site-packages = true")
    if missing:
        raise UsageError(
            f"{settings.file}: [environment] does not say what {running.source} needs: "
            + ", ".join(missing),
            hint="write that there, then run it again",
        )


def _with_conda(
    settings: Settings, running: Running, environment: Environment, files: dict[str, str]
) -> Environment:
    """Have environment.yml ask for conda's packages, and for pip's beside them."""
    if running.conda is None:
        return environment
    there = environment.conda
    if there is not None:
        if set(there.specs) != set(running.conda.specs):
            more = sorted(set(running.conda.specs) - set(there.specs))
            less = sorted(set(there.specs) - set(running.conda.specs))
            said = [f"not asked for there: {paths_shown(more)}"] if more else []
            said += [f"asked for there alone: {paths_shown(less)}"] if less else []
            raise UsageError(
                f"{there.path} and {running.source} differ:\n  " + "\n  ".join(said),
                hint=f"correct {there.path}, which is never written over; or move it away, and "
                f"{ENVIRONMENT} is written anew",
            )
        return environment
    if settings.conda is not None or environment.pip:
        where = environment.pip[0].path if environment.pip else settings.where("environment.conda")
        raise UsageError(
            f"{where} says what is installed, and {running.source} has conda packages too",
            hint=f"move it away: {ENVIRONMENT} is written, with pip's packages in it",
        )
    text = environment_text(running.conda, running.pip, running.source)
    parsed = parse_environment(text, where=ENVIRONMENT)
    files[ENVIRONMENT] = text
    lines = parsed.pip.lines if parsed.pip is not None else ()
    pip = (RequirementSet(path=ENVIRONMENT, lines=lines),) if lines else ()
    return replace(environment, conda=parsed.conda, pip=pip)


def environment_text(conda: CondaRequest, pip: Iterable[str], source: str) -> str:
    """Return the text of an environment.yml with these packages."""
    lines = [f"# What was asked for in {source}; the versions are in lockfiles/."]
    lines += ["channels:", *(f"  - {_quoted(one)}" for one in conda.channels)]
    lines += ["dependencies:", *(f"  - {_quoted(one)}" for one in conda.specs)]
    if listed := [f"      - {_quoted(one)}" for one in pip]:
        lines += ["  - pip:", *listed]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text)  # a YAML scalar too


def canonical_specs(specs: Iterable[str], channels: tuple[str, ...]) -> CondaRequest:
    """Return a request for these; a specification that is not read is its package's name alone."""
    found: list[str] = []
    for spec in specs:
        whole = CondaRequest(path=ENVIRONMENT, channels=channels, specs=(spec,))
        try:
            parsed = parse_environment(environment_text(whole, (), ""), where=ENVIRONMENT).conda
            assert parsed is not None
            found += parsed.specs
        except UsageError:
            found.append(re.split(r"[\s=<>!~\[]", spec.rpartition("::")[2].strip())[0].lower())
    return CondaRequest(path=ENVIRONMENT, channels=channels, specs=tuple(sorted(set(found))))


def _with_pip(
    project: Project,
    settings: Settings,
    running: Running,
    environment: Environment,
    files: dict[str, str],
) -> Environment:
    there = environment.pip
    if there and ENVIRONMENT in files:  # they are in there
        return environment
    if there:
        _require_met(there, running)
        return environment
    if not running.pip:
        return environment
    if settings.pip is not None:
        raise UsageError(
            f"{settings.where('environment.pip')} is empty, and {running.source} has "
            f"{len(running.versions)} packages of pip's",
            hint=f"remove that line: {REQUIREMENTS} is found by its name",
        )
    lines = tuple(sorted(requirement_line(line, REQUIREMENTS) for line in running.pip))
    head = f"# What was asked for in {running.source}; the versions are in lockfiles/.\n"
    files[REQUIREMENTS] = head + "".join(f"{line}\n" for line in lines)
    one = RequirementSet(path=REQUIREMENTS, lines=lines)
    return replace(environment, pip=(one,))


def _require_met(sets: Sequence[RequirementSet], running: Running) -> None:
    """Refuse inputs that ask for another version than the one that is there, or for more."""
    names = ", ".join(one.path for one in sets)
    wrong: list[str] = []
    for line in (line.partition(" --hash=")[0] for one in sets for line in one.lines):
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate(
            {**running.markers, "extra": ""}
        ):
            continue
        version = running.versions.get(name)
        if version is None:
            if not _only_constrains(sets, line):
                wrong.append(f"{line}: is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{line}: {version} is installed")
    asked = {canonicalize_name(Requirement(line).name) for line in running.pip}
    listed = {
        canonicalize_name(Requirement(line.partition(" --hash=")[0]).name)
        for one in sets
        if not one.constraint
        for line in one.lines
    }
    if more := sorted(asked - listed):
        wrong.append(f"installed, but not asked for there: {paths_shown(more)}")
    if wrong:
        raise UsageError(
            f"{names} and {running.source} differ:\n  " + "\n  ".join(wrong),
            hint=f"correct {names}, which is never written over; or move it away, and "
            f"{REQUIREMENTS} is written anew",
        )


def _only_constrains(sets: Iterable[RequirementSet], line: str) -> bool:
    return not any(line in one.lines for one in sets if not one.constraint)


def _with_apt(
    project: Project,
    settings: Settings,
    running: Running,
    environment: Environment,
    files: dict[str, str],
) -> Environment:
    if running.apt is None:
        return environment
    wanted = {*running.apt, *running.recommended}
    there = {request.name for request in environment.apt}
    if environment.apt or settings.apt is not None:
        more, less = sorted(wanted - there), sorted(there - wanted) if running.apt_whole else []
        if more or less:
            wrong = [f"installed, but not asked for there: {paths_shown(more)}"] if more else []
            wrong += [f"asked for, but not installed: {paths_shown(less)}"] if less else []
            where = environment.apt_source
            raise UsageError(
                f"{where} and {running.source} differ:\n  " + "\n  ".join(wrong),
                hint=f"correct {where}, which is never written over; or move it away, and "
                f"{APT} is written anew",
            )
        return environment
    if not wanted:
        return environment
    text = f"# What was asked for in {running.source}; the versions are in lockfiles/.\n"
    text += "".join(f"{name}\n" for name in running.apt)
    if running.recommended:
        text += "\n# Came along there as recommendations; repro installs none unasked.\n"
        text += "".join(f"{name}\n" for name in running.recommended)
    files[APT] = text
    requests = tuple(AptRequest(name=name) for name in sorted(wanted))
    return replace(environment, apt=requests, apt_source=APT)


def _config(root: Path, running: Running, environment: Environment) -> str:
    """The first repro.toml, as `repro init` writes it, for this base and these inputs."""
    facts = replace(
        look_around(root),
        suite=running.suite,
        python=running.python,
        conda=environment.conda.path if environment.conda is not None else None,
        pip=tuple(one.path for one in environment.pip[:1])
        if environment.conda is None or environment.pip[:1] != environment.pip
        else (),
        apt=environment.apt_source if environment.apt else None,
        system_site_packages=running.system_site_packages,
        vendor=running.vendor,
    )
    return init_text(facts)
