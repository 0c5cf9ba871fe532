"""Reading apt requests: apt.txt, and the list in repro.toml."""

from __future__ import annotations

from collections.abc import Iterable

from repro.errors import UsageError
from repro.locks.names import debian_package, debian_version, shown
from repro.models.project import AptRequest


def parse_apt_request(text: str, where: str) -> AptRequest:
    """Return `package` or `package=version`. Raises UsageError naming `where`."""
    name, equals, version = text.partition("=")
    if any(sign in text for sign in " \t"):
        raise UsageError(f"{where}: {shown(text)}: one package a line", hint="split the line")
    if ":" in name or "/" in name:
        raise UsageError(
            f"{where}: {shown(text)}: an architecture or a suite cannot be chosen for one package",
            hint="write package or package=version",
        )
    return AptRequest(
        name=debian_package(name, where, UsageError),
        version=debian_version(version, where, UsageError) if equals else None,
    )


def parse_apt_text(text: str, *, where: str) -> tuple[AptRequest, ...]:
    """Return the packages of an apt.txt: one a line, `#` comments. Raises UsageError."""
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if content := line.partition("#")[0].strip():
            place = f"{where}:{number}"
            rows.append((place, parse_apt_request(content, place)))
    return merged(rows)


def merged(rows: Iterable[tuple[str, AptRequest]]) -> tuple[AptRequest, ...]:
    """Sort (where, request) rows by name, each package once.

    Raises UsageError when one package is asked for in two ways.
    """
    found: dict[str, AptRequest] = {}
    for where, request in rows:
        known = found.setdefault(request.name, request)
        if known != request:
            raise UsageError(
                f"{where}: {request} after {known}: one package, two versions",
                hint="keep one of the two",
            )
    return tuple(found[name] for name in sorted(found))
