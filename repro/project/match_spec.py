"""Match specifications, as people write them in environment.yml → one canonical form.

Canonical: `[CHANNEL::]NAME [VERSION [BUILD]]`, separated by one space. It says what the text
said, to every tool: `numpy=1.26` is `numpy 1.26.*`, `numpy 1.26` is `numpy ==1.26`.
See https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from repro.errors import UsageError
from repro.locks import conda_names
from repro.locks.names import LONGEST_NAME, shown, single_line

_LONGEST = 500
_SPEC = re.compile(
    r"(?:(?P<channel>[^\s\[\]]*)::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)"
    r"(?P<rest>[^\[\]]*)(?:\[(?P<inside>[^\[\]]*)\])?\s*",
    re.ASCII,
)
_TERM = re.compile(
    r"\*|(?P<operator>==|=|!=|~=|<=|>=|<|>)?"
    r"(?P<version>[A-Za-z0-9][A-Za-z0-9_.!+-]*?)(?P<any>\.\*|\*)?",
    re.ASCII,
)
_WITH_BUILD = re.compile(r"={0,2}(?P<version>[^=<>!~,|]+)=(?P<build>[^=,|]+)")
_BUILD = re.compile(r"[A-Za-z0-9_.+*-]+", re.ASCII)
_HINT = (
    "write NAME, NAME=1.26, NAME>=1.26,<2, NAME=1.26.4=BUILD or CHANNEL::NAME; several versions "
    "are joined by ',' (and) or '|' (or)"
)
_KEYS = ("version", "build", "channel")


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchSpec:
    """One specification: `version` and `build` as conda reads them, "" for any."""

    name: str
    version: str = ""
    build: str = ""
    channel: str = ""

    def __str__(self) -> str:
        version = self.version or ("*" if self.build else "")
        words = " ".join(word for word in (self.name, version, self.build) if word)
        return f"{self.channel}::{words}" if self.channel else words


def spec_name(canonical: str) -> str:
    """Return the package's name of a specification in canonical form."""
    return canonical.rpartition("::")[2].partition(" ")[0]


def parse_match_spec(text: str, where: str) -> MatchSpec:
    """Read one specification. Raises UsageError naming `where` for what conda's forms are not."""
    single_line(text, where, UsageError)
    found = _SPEC.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None:
        raise _refuse(text, where)
    version, build = _parts(found["rest"], text, where)
    inside = _brackets(found["inside"], text, where)
    if (version and "version" in inside) or (build and "build" in inside):
        raise _refuse(text, where)
    channel = found["channel"] or inside.get("channel", "")
    if found["channel"] is not None and ("channel" in inside or not found["channel"]):
        raise _refuse(text, where)
    return MatchSpec(
        name=conda_names.package_name(found["name"], where, UsageError),
        version=version or _constraint(inside.get("version", ""), text, where),
        build=_checked_build(build or inside.get("build", ""), text, where),
        channel=conda_names.channel(channel, where, UsageError) if channel else "",
    )


def _refuse(text: str, where: str) -> UsageError:
    return UsageError(f"{where}: {shown(text)} is not a match specification", hint=_HINT)


def _parts(rest: str, text: str, where: str) -> tuple[str, str]:
    """Version and build of what follows the name."""
    if rest and rest[0] not in " =<>!~":
        raise _refuse(text, where)
    together = re.sub(r"\s*([,|])\s*", r"\1", re.sub(r"([=<>!~])\s+", r"\1", rest)).split()
    if len(together) > 2:
        raise _refuse(text, where)
    version, build = (*together, "", "")[:2]
    found = _WITH_BUILD.fullmatch(version)
    if found is not None and not build:
        return _constraint(found["version"], text, where), found["build"]
    return _constraint(version, text, where), build


def _constraint(version: str, text: str, where: str) -> str:
    """The canonical form of a version's constraint; "" for any."""
    version = re.sub(r"\s", "", version)
    if version in ("", "*"):
        return ""
    if len(version) > LONGEST_NAME:
        raise _refuse(text, where)
    pieces = re.split(r"([,|])", version)
    return "".join(
        _term(piece, text, where) if number % 2 == 0 else piece
        for number, piece in enumerate(pieces)
    )


def _term(piece: str, text: str, where: str) -> str:
    found = _TERM.fullmatch(piece)
    if found is None:
        raise _refuse(text, where)
    operator, version, open_end = found["operator"], found["version"], found["any"] or ""
    if version is None:
        return "*"
    if operator == "=":  # "any release of it"
        return f"{version}{open_end or '.*'}"
    if operator is None:
        return version + open_end if open_end else f"=={version}"
    return f"{operator}{version}{open_end}"


def _checked_build(build: str, text: str, where: str) -> str:
    if build and (len(build) > LONGEST_NAME or not _BUILD.fullmatch(build)):
        raise _refuse(text, where)
    return "" if build == "*" else build


def _brackets(inside: str | None, text: str, where: str) -> dict[str, str]:
    """`[version='>=1', build=…]` as pairs."""
    found: dict[str, str] = {}
    pattern = r"\s*([a-z0-9_]+)\s*=\s*(?:'([^'\"]*)'|\"([^'\"]*)\"|([^\s,'\"]*))\s*(?:,|$)"
    rest = inside or ""
    while rest:
        pair = re.match(pattern, rest)
        if pair is None or pair[1] in found:
            raise _refuse(text, where)
        if pair[1] not in _KEYS:
            raise UsageError(
                f"{where}: {shown(text)}: the key {pair[1]} is not read",
                hint="version, build and channel are; every package is locked by its sha256",
            )
        found[pair[1]] = next((value for value in pair.groups()[1:] if value), "")
        rest = rest[pair.end() :]
    return found
