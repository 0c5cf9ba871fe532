"""A requirements.txt in which every package is pinned and hashed, by pip-compile, uv or others.

pip's "hash-checking mode", with several hashes each and markers. What the file says of indexes
is left to the configuration of pip and uv: it decides where files are looked for, never which.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from repro.errors import LockError, UsageError
from repro.locks import names
from repro.locks.foreign.common import LIMIT, ListedHash, sha256s
from repro.locks.pip_text import logical_lines, option
from repro.models.foreign import ForeignLock, ForeignPin, Refusal

KIND = "requirements.txt"
HINT = "write it anew: uv pip compile --generate-hashes, or pip-compile --generate-hashes"

_LINE = 1 << 18
_PINS = 20_000
_ITSELF = re.compile(r"\.(?:/|/?\[[A-Za-z0-9 ,._-]*\])?")

_PLACES = ("--index-url", "--extra-index-url", "--no-index", "--find-links", "--trusted-host")
"""Where files are looked for."""

_MET = ("--require-hashes", "--only-binary", "--prefer-binary", "--pre", "--use-feature")
"""What is done anyway with exact versions and hashes."""

_REFUSED = {
    "--no-binary": "the wheel is taken where the hashes allow one; compile it anew without "
    "--no-binary",
    "--requirement": "one file is adopted; write the included one's lines into it",
    "--constraint": "the lines of a lock are exact already; remove the line",
}


def parse(text: str, *, where: str) -> ForeignLock:
    """Return what a hashed requirements.txt pins.

    Raises LockError as `file:line: …` for a package without an exact version, and for options
    that would change which files are taken.
    """
    if len(text) > LIMIT:
        raise LockError(f"{where}: larger than {LIMIT >> 20} MiB", hint=HINT)
    pins: list[ForeignPin] = []
    unread: set[str] = set()
    for place, line in _lines(text, where):
        found = _read_option(line, place)
        if found is None:
            pins.append(_pin(line, place))
        elif found in _PLACES:
            unread.add(found)
        if len(pins) > _PINS:
            raise LockError(f"{where}: more than {_PINS} packages", hint=HINT)
    note = (
        f"{where}: {', '.join(sorted(unread))}: not taken over; the indexes are those that pip "
        "and uv are configured with, and [indexes] of repro.toml"
    )
    return ForeignLock(path=where, kind=KIND, pins=tuple(pins), notes=(note,) if unread else ())


def _lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """(place, logical line); the format's errors as a lock's."""
    try:
        for number, line in logical_lines(text, where, limit=_LINE):
            yield f"{where}:{number}", line
    except UsageError as error:
        raise LockError(error.message, hint=HINT) from None


def _read_option(line: str, place: str) -> str | None:
    """Return the name of an option that changes nothing here, None for a requirement.

    Raises LockError for every other one, without showing its value: it may be a credential.
    """
    try:
        found = option(line, place)
    except UsageError as error:
        raise LockError(error.message, hint=HINT) from None
    if found is None:
        return "." if _ITSELF.fullmatch(line) else None
    name, value = found
    if name == "--editable" and _is_itself(value):
        return "."
    if name in _PLACES or name in _MET:
        return name
    if name == "--editable":
        raise LockError(
            f"{place}: an editable requirement is not locked by its hash",
            hint="require a released version of it; the project itself ('-e .') may stand there",
        )
    raise LockError(
        f"{place}: the option {name} is not taken over", hint=_REFUSED.get(name, "remove the line")
    )


def _is_itself(value: str) -> bool:
    try:
        words = shlex.split(value)
    except ValueError:
        return False
    return len(words) == 1 and _ITSELF.fullmatch(words[0]) is not None


def _pin(line: str, place: str) -> ForeignPin:
    text, hashes = _hashes(line, place)
    name, version, condition = _exact(text, place)
    where = f"{place}: {name}"
    refusal: Refusal | None
    digests: tuple[str, ...]
    if not version:
        digests, refusal = (
            (),
            Refusal(
                why="is required by address, not from an index",
                remedy=f"require a release of {name} that an index has, and compile it anew",
            ),
        )
    else:
        strong = [text for text in hashes if text.startswith("sha256:")] or hashes
        digests, refusal = sha256s(
            [ListedHash(filename=name, hashes=(text,)) for text in strong]
            or [ListedHash(filename=name, hashes=())],
            where,
        )
    return ForeignPin(
        name=name,
        version=version,
        where=where,
        hashes=digests,
        markers=(condition,) if condition else (),
        refusal=refusal,
    )


def _hashes(line: str, place: str) -> tuple[str, list[str]]:
    """Split a requirement from its `--hash` options; every other option is refused."""
    head, *rest = re.split(r"(?:^|\s)(?=--)", line)
    found = []
    for word in rest:
        name, value = re.fullmatch(r"(--[A-Za-z0-9-]*)[=\s]?\s*(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
        if name != "--hash":
            raise LockError(
                f"{place}: the option {names.shown(name)} of a requirement is not taken over",
                hint="it would change how the package is built; require one that has a wheel",
            )
        found.append(value.strip())
    return head.strip(), found


def _exact(text: str, place: str) -> tuple[str, str, str]:
    """(name, version, marker) of `name==version ; marker`; no version: it is by address."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        names.single_line(text, place)
        parsed = Requirement(text)
        clauses = list(parsed.specifier)
        name = names.python_name(parsed.name, place)
    except (InvalidRequirement, RecursionError, ValueError) as error:
        said = names.said(str(error).partition("\n")[0] or type(error).__name__)
        raise LockError(
            f"{place}: {names.shown(text)} is not a requirement: {said}", hint=HINT
        ) from None
    condition = str(parsed.marker) if parsed.marker else ""
    if parsed.url is not None:
        return name, "", condition
    if len(clauses) != 1 or clauses[0].operator not in ("==", "===") or "*" in clauses[0].version:
        raise LockError(f"{place}: {name} is not pinned to one version with ==", hint=HINT)
    return name, names.python_version(clauses[0].version, f"{place}: {name}"), condition
