"""Taking over a foreign lock: its pins are checked against the inputs, and nothing is chosen anew.

The resolver is given every pin as a constraint and every hash as a limit. What it then finds can
only be what the lock has, or not be found; and a later snapshot, which keeps pins the same way,
keeps these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from repro.ecosystems.pip.request import PipRequest, PipResolution, Provided, input_names
from repro.ecosystems.pip.tags import markers
from repro.errors import LockError, UsageError
from repro.locks.foreign.select import fitting
from repro.models.foreign import ForeignLock, ForeignPin
from repro.models.lock import PipArtifact, Upgrade
from repro.models.project import RequirementSet

Resolve = Callable[[PipRequest], PipResolution]
_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """What was taken over, and what to say of what was not."""

    resolution: PipResolution
    notes: tuple[str, ...] = ()


def adopt(lock: ForeignLock, request: PipRequest, resolve: Resolve) -> Adopted:
    """Return the lock's own versions and files for this interpreter, as the inputs need them.

    `resolve` is the resolution with its collaborators. Raises LockError naming the first
    requirement that the lock does not meet, a package that is there already or that cannot be
    taken over, a file that no index lists under one of the lock's hashes, and packages that
    nothing asks for where the lock's format has no reason to hold any. NetworkError as the
    resolution.
    """
    environment = markers(request.target)
    pins = {pin.name: pin for pin in fitting(lock, environment)}
    sets = request.environment.pip
    where = input_names(sets)
    there = {one.name: one for one in request.provided}
    _require_met(lock, pins, sets, environment, there)
    _require_apart(lock, pins, sets, environment, there)
    taken = [pin for pin in pins.values() if pin.refusal is None]
    held = replace(
        request,
        environment=replace(request.environment, pip=(*sets, constraints(lock, taken))),
        upgrade=Upgrade(everything=True),  # the pins of the lock that stands do not count
    )
    try:
        found = resolve(held)
    except UsageError as error:
        raise _not_as_it_is(lock, pins, error) from error
    for artifact in found.artifacts:
        _require_pinned(lock, pins, artifact, where)
    left = tuple(sorted(pins.keys() - {item.name for item in found.artifacts}))
    if left and not lock.partial:
        raise LockError(
            f"{lock.path} holds packages that nothing in {where} asks for: {_some(left)}",
            hint=f"list them there, if the analysis needs them; or lock {where} alone into "
            f"{lock.path}",
        )
    note = f"{lock.path}: {len(left)} of its packages are not needed here: {_some(left)}"
    return Adopted(resolution=found, notes=(note,) if left else ())


def constraints(lock: ForeignLock, pins: list[ForeignPin]) -> RequirementSet:
    """The pins as a constraints file: versions for the resolver, hashes for the choice of files."""
    lines = (
        f"{pin.name}=={pin.version}" + "".join(f" --hash=sha256:{one}" for one in pin.hashes)
        for pin in pins
    )
    return RequirementSet(path=lock.path, lines=tuple(sorted(lines)), constraint=True)


def _require_met(
    lock: ForeignLock,
    pins: Mapping[str, ForeignPin],
    sets: tuple[RequirementSet, ...],
    environment: Mapping[str, str],
    there: Collection[str],
) -> None:
    """Raise LockError for the first requirement of the inputs that the lock does not meet.

    `there` are the packages that are no concern of pip's: the resolution looks at those.
    """
    for path, requirement, constraint in _requirements(sets, environment):
        name = canonicalize_name(requirement.name)
        pin = pins.get(name)
        if pin is None:
            if constraint or name in there:
                continue
            raise LockError(
                f"{path} asks for {_plain(requirement)}, and {lock.path} has none",
                hint="lock it anew with its own tool; or let repro resolve: repro snapshot",
            )
        if pin.refusal is not None and not constraint:
            raise refused_pin(pin)
        if pin.version and not requirement.specifier.contains(pin.version, prereleases=True):
            raise LockError(
                f"{path} asks for {_plain(requirement)}, and {lock.path} has {pin.version}",
                hint="lock it anew with its own tool; or let repro resolve: repro snapshot",
            )


def _require_apart(
    lock: ForeignLock,
    pins: Mapping[str, ForeignPin],
    sets: tuple[RequirementSet, ...],
    environment: Mapping[str, str],
    there: Mapping[str, Provided],
) -> None:
    """Raise LockError for a package of the lock that is there already, naming both versions.

    In a lock that may hold more than is needed that counts where it is asked for in another one.
    """
    asked = {
        canonicalize_name(requirement.name)
        for _, requirement, constraint in _requirements(sets, environment)
        if not constraint
    }
    for name in sorted(pins.keys() & there.keys()):
        pin, one = pins[name], there[name]
        if not lock.partial or (name in asked and pin.version != one.version):
            raise LockError(
                f"{lock.path} has {name} {pin.version} for pip, and {one.by} is already there",
                hint=f"leave {name} to one of them, and lock that anew with its own tool",
            )


def _requirements(
    sets: tuple[RequirementSet, ...], environment: Mapping[str, str]
) -> Iterator[tuple[str, Requirement, bool]]:
    """(file, requirement, whether it only constrains) of what applies in this environment."""
    for one in sets:
        for line in one.lines:
            requirement = Requirement(line.partition(" --hash=")[0])
            if requirement.marker is None or requirement.marker.evaluate(dict(environment)):
                yield one.path, requirement, one.constraint


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def refused_pin(pin: ForeignPin) -> LockError:
    """Return the error that says why a pin cannot be taken over, and what to do."""
    assert pin.refusal is not None
    return LockError(f"{pin.where}: {pin.refusal.why}", hint=pin.refusal.remedy)


def _not_as_it_is(
    lock: ForeignLock, pins: Mapping[str, ForeignPin], error: UsageError
) -> LockError:
    """What a resolution that failed says of the lock: a package that could not be constrained."""
    for name, pin in pins.items():
        if pin.refusal is not None and re.search(rf"(?<![\w-]){name}(?![\w-])", error.message):
            return refused_pin(pin)
    return LockError(
        f"{lock.path} cannot be taken over as it is: {error.message}",
        hint="lock it anew with its own tool for these inputs; or let repro resolve: repro "
        "snapshot; an index that it needs is named under [indexes] in repro.toml",
    )


def _require_pinned(
    lock: ForeignLock, pins: Mapping[str, ForeignPin], artifact: PipArtifact, where: str
) -> None:
    pin = pins.get(artifact.name)
    if pin is not None and pin.refusal is not None:
        raise refused_pin(pin)
    if pin is None:
        raise LockError(
            f"{where} needs {artifact.name} too, and {lock.path} has none for this interpreter",
            hint="lock it anew with its own tool; or let repro resolve: repro snapshot",
        )
    if artifact.version != pin.version or artifact.sha256 not in pin.hashes:
        raise LockError(
            f"{pin.where}: {artifact.filename} (sha256 {artifact.sha256}) is not a file of "
            f"{pin.version} that {lock.path} lists",
            hint="the index has another file; name the one that the lock was made with under "
            "[indexes] in repro.toml",
        )


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
