"""Which packages of a lock nothing else in it needs: what was asked for, as far as a lock tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_NAME = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9_.-]*)", re.ASCII)


def name_of(text: str) -> str:
    """Return the name that a requirement or a match specification begins with, else ""."""
    found = _NAME.match(text.rpartition("::")[2])
    return found[1] if found else ""


def roots(needs: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the packages from which all others are reached, sorted, as few as there can be.

    `needs` has for each package the names that it depends on; what is not a package is ignored.
    Of packages that need one another, and that nothing else needs, the first by name stands for
    them all.
    """
    needed = {name for own, names in needs.items() for name in names if name != own}
    found = sorted(set(needs) - needed)
    reached = _reached(needs, found)
    for name in sorted(needs):
        if name not in reached:
            found.append(name)
            reached |= _reached(needs, [name])
    return tuple(sorted(found))


def _reached(needs: Mapping[str, Collection[str]], start: Collection[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached and name in needs:
            reached.add(name)
            waiting += needs[name]
    return reached
