"""Which pins of a foreign lock are for one interpreter on one platform."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from repro.errors import LockError
from repro.locks.names import said, shown
from repro.models.foreign import ForeignLock, ForeignPin, Refusal

_QUOTED = r"(?:'[^']*'|\"[^\"]*\")"
_CHOICE = re.compile(
    rf"extra\s*(?:==|!=)\s*{_QUOTED}|{_QUOTED}\s*(?:not\s+)?in\s+(?:extras|dependency_groups)\b"
)
"""What asks for an extra or a group: in the form of PEP 751, or as uv writes conflicting ones."""

_HOLDS = "python_version >= '0'"


def fitting(lock: ForeignLock, environment: Mapping[str, str]) -> tuple[ForeignPin, ...]:
    """Return the pins that may apply in a marker environment (PEP 508), sorted by name.

    Extras and groups are left open: what any of them asks for is among them, and a package of
    which they choose one is refused. Raises LockError when the lock is not for this interpreter
    or platform.
    """
    _require_for(lock, environment)
    holds = _evaluator(lock, environment)
    found: dict[str, ForeignPin] = {}
    for pin in lock.pins:
        if not pin.markers or any(holds(text) for text in pin.markers):
            other = found.get(pin.name)
            found[pin.name] = pin if other is None else _undecided(pin, other)
    return tuple(found[name] for name in sorted(found))


def _undecided(pin: ForeignPin, other: ForeignPin) -> ForeignPin:
    """A package of which the lock has two: it can be taken over only where it is not needed."""
    versions = " and ".join(sorted(one.version or "one without a version" for one in (pin, other)))
    refusal = Refusal(
        why=f"is there as {versions}, and extras or groups decide which",
        remedy="export one choice and adopt that: uv export --format pylock.toml --extra NAME "
        "--output-file pylock.toml",
    )
    return ForeignPin(name=pin.name, version="", where=pin.where, refusal=refusal)


def asks_for_choice(marker: str) -> bool:
    """Whether an extra or a group decides if a marker holds."""
    return _CHOICE.search(marker) is not None


def _require_for(lock: ForeignLock, environment: Mapping[str, str]) -> None:
    from packaging.specifiers import SpecifierSet

    python = environment["python_full_version"]
    if lock.requires_python and not SpecifierSet(lock.requires_python).contains(
        python, prereleases=True
    ):
        raise LockError(
            f"{lock.path} is for Python {lock.requires_python}, and the environment has {python}",
            hint='choose another: python = "3.11" under [environment] in repro.toml',
        )
    holds = _evaluator(lock, environment)
    if lock.environments and not any(holds(text) for text in lock.environments):
        raise LockError(
            f"{lock.path} is for other environments than Python {python} on Linux x86_64: "
            + "; ".join(lock.environments)[:300],
            hint="lock it anew for this one too",
        )


def _evaluator(lock: ForeignLock, environment: Mapping[str, str]) -> Callable[[str], bool]:
    """Return what says whether a marker can hold, whatever extras and groups are chosen.

    Markers know `and` and `or` alone, so that taking every choice for met is an upper bound.
    """
    from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName

    @cache
    def holds(text: str) -> bool:
        try:
            return Marker(_CHOICE.sub(_HOLDS, text)).evaluate(dict(environment))
        except (UndefinedComparison, UndefinedEnvironmentName, ValueError) as error:
            raise LockError(
                f"{lock.path}: the marker {shown(text)} cannot be evaluated: {said(error)}",
                hint="lock it anew; or adopt another form of it",
            ) from None

    return holds
