"""What several formats say of a lock: its distribution, its states in time, its mark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from repro.models.lock import Lock
from repro.models.project import Family, family_of, platform_of

MARK = "Written by repro export"
"""What the head of every text holds that `repro export` wrote: it may replace such a file."""

# A release is in the snapshot archive some hours after its date.
_PUBLISHED = timedelta(hours=12)


def head(name: str, lock: Lock) -> str:
    """Return the line that says what wrote a text, and from which environment."""
    return f"{MARK} {name}, from the environment {lock.key}"


def family(lock: Lock) -> Family:
    """Return whose packages apt's are."""
    base = lock.seal.base
    return family_of(lock.seal.suite if base is None else base.suite)


def distribution(lock: Lock) -> str:
    """Return the same in small letters: `debian`, `ubuntu`."""
    return family(lock).origin.lower()


def states(lock: Lock) -> tuple[tuple[str, str, str], ...]:
    """Return (archive, suite, moment as `YYYYMMDDThhmmssZ`) of all releases that apt resolved in.

    Half a day after a release's date a snapshot archive has it, and still all that it names.
    """
    found = []
    for one in lock.seal.provenance:
        archive, _, suite = one.source.partition(" ")
        date = dict(one.facts).get("date")
        if not suite or date is None:
            continue
        try:
            moment = datetime.fromisoformat(date).astimezone(UTC) + _PUBLISHED
        except ValueError:
            continue
        found.append((archive, suite, moment.strftime("%Y%m%dT%H%M%SZ")))
    return tuple(found)


def machine(lock: Lock) -> str:
    """Return the kernel's name of the lock's processor."""
    return platform_of(lock.seal.platform).machine


def conda_platform(lock: Lock) -> str:
    """Return conda's name of the lock's platform."""
    return {"x86_64": "linux-64"}.get(machine(lock), f"linux-{machine(lock)}")
