r"""The pip lock: pip's own requirements format, one exact version and one hash a package.

Read by pip, uv, pip-tools and Dependabot; the format is pip's "hash-checking mode":

    name==version \
        --hash=sha256:<64 hexadecimal digits>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from repro.errors import LockError
from repro.locks import names
from repro.models.lock import PipArtifact

HINT = "run: repro snapshot"

_LONGEST = 2 * names.LONGEST_NAME + 4

_PIN = re.compile(r"([^\s=<>!~;@\[\]#-][^\s=<>!~;@\[\]#]*)==(\S+) \\", re.ASCII)
_HASH = re.compile(r"    --hash=([a-z0-9_]{1,20}):(\S+?)( \\)?", re.ASCII)

_WRONG = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"^(<{7}|={7}|>{7}|\|{7})( |$)", "a merge-conflict marker"),
        (r"^\s*$", "an empty line"),
        (r"^\s*--hash", "a hash without its package (a second hash, or a line is missing)"),
        (r"^\s*-", "{line} is an option; a lock holds none"),
        (r"[^\x00-\x7f]", "{line} holds characters that are not ASCII"),
        (
            r"(?i)@|\b[a-z][a-z0-9+.-]+:|(^|[\s/])\.\.?(/|$)|^\s*/|\\.",
            "{line} is an address or a path; a lock holds names and versions only",
        ),
        (r";", "{line} has a marker; a lock is for one platform"),
        (r"^[^\s=]+==\S+$", "no hash follows"),
        (r"", "{line} is not `name==version \\`"),
    )
)
"""What a line that is no pin looks like, first match first, and how to say so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedHash:
    """One line of the lock; `name` and `version` are normalised, `sha256` is hex."""

    name: str
    version: str
    sha256: str


def render(artifacts: Iterable[PipArtifact]) -> str:
    """Return the canonical text, sorted by name: the same artifacts are the same bytes."""
    return "".join(
        f"{item.name}=={item.version} \\\n    --hash=sha256:{item.sha256}\n"
        for item in sorted(artifacts, key=lambda item: item.name)
    )


def parse(text: str, *, where: str) -> tuple[PinnedHash, ...]:
    """Read what `render` writes, and nothing else.

    Raises LockError `where:line: name: what is wrong` for anything that is not canonical:
    options, addresses, paths, markers, comments, a missing, weak or second hash, conflict
    markers, a file that was cut.
    """
    lines = text.split("\n")
    if lines.pop():
        raise _error(where, len(lines) + 1, "the file ends in the middle of a line")
    pins: list[PinnedHash] = []
    for number in range(0, len(lines), 2):
        pin = _parse_pin(lines, number, where)
        if pins and pin.name <= pins[-1].name:
            what = "is listed twice" if pin.name == pins[-1].name else "is not in sorted order"
            raise _error(where, number + 1, f"{pin.name}: {what}")
        pins.append(pin)
    return tuple(pins)


def _parse_pin(lines: list[str], number: int, where: str) -> PinnedHash:
    line = lines[number]
    if len(line) > _LONGEST:
        raise _error(where, number + 1, f"a line of more than {_LONGEST} characters")
    found = _PIN.fullmatch(line)
    if found is None:
        raise _error(where, number + 1, _what_is_wrong(line))
    name, version = found.groups()
    place = f"{where}:{number + 1}"
    try:
        normal = names.python_name(name, place), names.python_version(version, f"{place}: {name}")
    except LockError as error:
        raise LockError(error.message, hint=HINT) from None
    if normal != (name, version):
        raise _error(where, number + 1, f"{name}: {version} is not in normalised form")
    if number + 1 == len(lines) or lines[number + 1].lstrip()[:7] != "--hash=":
        raise _error(where, number + 2, f"{name}: no hash follows")
    return PinnedHash(
        name=name, version=version, sha256=_parse_hash(lines[number + 1], number + 2, name, where)
    )


def _parse_hash(line: str, number: int, name: str, where: str) -> str:
    if len(line) > _LONGEST:
        raise _error(where, number, f"{name}: a line of more than {_LONGEST} characters")
    found = _HASH.fullmatch(line)
    if found is None:
        raise _error(where, number, f"{name}: {names.shown(line)} is not a hash line")
    algorithm, digest, continued = found.groups()
    if algorithm != "sha256":
        raise _error(where, number, f"{name}: only sha256 is accepted, this hash is {algorithm}")
    if continued:
        raise _error(where, number, f"{name}: more than one hash; the lock names one file")
    try:
        return names.sha256(digest, name)
    except LockError as error:
        raise _error(where, number, error.message) from error


def _what_is_wrong(line: str) -> str:
    """Say why a line is no pin, beginning with the package's name where it has one."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,79})", line)
    begins = f"{found[1]}: " if found else ""
    what = next(what for pattern, what in _WRONG if pattern.search(line))
    return begins + what.format(line=names.shown(line))


def _error(where: str, line: int, what: str) -> LockError:
    return LockError(f"{where}:{line}: {what}", hint=HINT)
