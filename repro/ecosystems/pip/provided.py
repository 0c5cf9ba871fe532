"""Packages that are there before pip's: conda's hold distributions of Python too.

They are to pip what `pip install` calls "already satisfied": every requirement must fit their
version, and none of them is locked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from repro.ecosystems.pip.request import Package, PipRequest, Provided
from repro.ecosystems.pip.tags import markers
from repro.errors import UsageError
from repro.models.project import RequirementSet


def among(request: PipRequest) -> PipRequest:
    """Return the request with what is there as constraints, and no longer asked for.

    Raises UsageError naming both versions for a requirement that what is there does not meet.
    """
    provided = request.provided
    if not provided:
        return request
    held = {one.name: one for one in provided}
    environs = markers(request.target)
    asked = tuple(_unmet(one, held, environs) for one in request.environment.pip)
    there = RequirementSet(
        path="the conda packages",
        lines=tuple(
            sorted(f"{one.name}=={one.version}" for one in held.values() if _is_pep440(one))
        ),
        constraint=True,
    )
    environment = replace(request.environment, pip=(*asked, there) if there.lines else asked)
    previous = tuple(item for item in request.previous if item.name not in held)
    return replace(request, environment=environment, previous=previous)


def without(packages: Iterable[Package], provided: Iterable[Provided]) -> tuple[Package, ...]:
    """Return the resolved packages that are not there already."""
    held = {one.name for one in provided}
    return tuple(package for package in packages if package.name not in held)


def _unmet(
    one: RequirementSet, held: Mapping[str, Provided], environs: Mapping[str, str]
) -> RequirementSet:
    if one.constraint:
        return one
    lines = (line for line in one.lines if not _is_met(line, one, held, environs))
    return replace(one, lines=tuple(lines))


def _is_met(
    line: str, one: RequirementSet, held: Mapping[str, Provided], environs: Mapping[str, str]
) -> bool:
    """Whether what is there meets a requirement; extras need more, and stay.

    So does what is asked of another interpreter: the resolver leaves it out.
    """
    requirement = Requirement(line.partition(" --hash=")[0])
    there = held.get(canonicalize_name(requirement.name))
    if there is None or (requirement.marker and not requirement.marker.evaluate(dict(environs))):
        return False
    wanted = requirement.specifier
    if requirement.url or (wanted and not wanted.contains(there.version, prereleases=True)):
        raise UsageError(
            f"{one.path}: {requirement} is asked of pip, and {there.by} is already there",
            hint=f"leave {there.name} to one of them: drop it from conda's dependencies, or from "
            "pip's requirements; what needs it takes the other's",
        )
    return not requirement.extras


def _is_pep440(one: Provided) -> bool:
    try:
        Version(one.version)
    except InvalidVersion:
        return False
    return True
