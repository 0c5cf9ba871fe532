"""Installed distributions against their own records, and what they need of each other."""

from __future__ import annotations

import configparser
import hashlib
import posixpath
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from repro.ecosystems.pip.records import is_bytecode, is_installers, record_digest
from repro.ecosystems.tree import FileTree, read
from repro.models.installed import Changed, Distribution, Recorded

_STRONG = ("sha256", "sha384", "sha512")


def place_of(one: Distribution, row: Recorded) -> str:
    """Return the path in the tree of a recorded file."""
    if "./" not in row.path and not row.path.startswith("/"):  # nearly all, and there are many
        return f"{one.site}/{row.path}"
    return posixpath.normpath(posixpath.join(one.site, row.path))


def changes(tree: FileTree, one: Distribution) -> tuple[Changed, ...]:
    """Return the files that are not what the distribution recorded, in its RECORD's order.

    Bytecode does not count, nor what an installer notes beside; a file without a strong hash is
    only looked for.
    """
    found: list[Changed] = []
    for row in one.record or ():
        if is_bytecode(row.path) or is_installers(row.path):
            continue
        path = place_of(one, row)
        algorithm = row.digest.partition("=")[0]
        if algorithm in ("sha256", ""):
            have = tree.facts(path)
            now = record_digest(have.sha256) if have is not None else None
        else:
            data = read(tree, path)
            now = _digest(data, algorithm) if data is not None else None
        if now is None:
            found.append(Changed(name=one.name, path=path, missing=True))
        elif algorithm in _STRONG and now != row.digest:
            found.append(Changed(name=one.name, path=path))
    return tuple(found)


def _digest(data: bytes, algorithm: str) -> str:
    if algorithm not in _STRONG:
        return ""
    value = urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode().rstrip("=")
    return f"{algorithm}={value}"


def scripts_of(tree: FileTree, one: Distribution) -> tuple[str, ...]:
    """Return the names of the scripts that an installer generates for it."""
    data = read(tree, f"{one.folder}/entry_points.txt")
    if data is None:
        return ()
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(data.decode(errors="replace"))
    except configparser.Error:
        return ()
    sections = ("console_scripts", "gui_scripts")
    return tuple(
        name for section in sections if parser.has_section(section) for name in parser[section]
    )


def asked_for(installed: Iterable[Distribution], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return requirements that bring all of them in, sorted: names, with extras where needed.

    Those that somebody asked for by name, as their installer noted; where it noted nothing, or
    all alike (as uv does), those that no other one needs. What neither needs is asked for too.
    `environment` are marker values.
    """
    known = {one.name: one for one in installed}
    needs = {name: _needs(one, environment) for name, one in known.items()}
    asked = {name for name, one in known.items() if one.requested}
    if not asked or asked == set(known):
        needed = {name for own in needs.values() for name in own.get("", ())}
        asked = set(known) - needed
    chosen: dict[str, set[str]] = {name: set() for name in asked}
    while rest := sorted(set(known) - _reached(chosen, needs)):
        extra = _extra_for(rest, _reached(chosen, needs), needs, known)
        if extra is None:
            # a circle that nobody asked for, or an extra that is only in part there
            chosen[rest[0]] = set()
        else:
            chosen.setdefault(extra[0], set()).add(extra[1])
    return tuple(
        f"{name}[{','.join(sorted(extras))}]" if extras else name
        for name, extras in sorted(chosen.items())
    )


def needed_by(one: Distribution, installed: Iterable[Distribution]) -> bool:
    """Whether another distribution says that it needs this one, without any extra."""
    for other in installed:
        for text in other.requires if other.name != one.name else ():
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if canonicalize_name(requirement.name) == one.name and "extra" not in str(
                requirement.marker or ""
            ):
                return True
    return False


def _needs(one: Distribution, environment: Mapping[str, str]) -> dict[str, set[str]]:
    """Return {extra: names that it needs}, those of no extra under ""."""
    found: dict[str, set[str]] = {"": set()}
    for text in one.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if _applies(requirement, environment, ""):
            found[""].add(name)
            continue
        for extra in one.extras:
            if _applies(requirement, environment, extra):
                found.setdefault(canonicalize_name(extra), set()).add(name)
    return found


def _applies(requirement: Requirement, environment: Mapping[str, str], extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(
        {**environment, "extra": extra}
    )


def _reached(chosen: Mapping[str, set[str]], needs: Mapping[str, dict[str, set[str]]]) -> set[str]:
    """What those requirements bring in; extras that dependencies name are followed as well."""
    reached: set[str] = set()
    todo = [(name, extra) for name, extras in chosen.items() for extra in ("", *extras)]
    seen = set(todo)
    while todo:
        name, extra = todo.pop()
        if name not in needs:
            continue
        reached.add(name)
        for other in needs[name].get(extra, ()):
            if (other, "") not in seen:
                seen.add((other, ""))
                todo.append((other, ""))
    return reached


def _extra_for(
    rest: Iterable[str],
    reached: set[str],
    needs: Mapping[str, dict[str, set[str]]],
    known: Mapping[str, Distribution],
) -> tuple[str, str] | None:
    """Return an extra, whole in what is installed, that brings in some of the rest."""
    wanted = set(rest)
    for name in sorted(reached):
        for extra, others in sorted(needs[name].items()):
            if extra and others & wanted and others <= set(known):
                return name, extra
    return None
