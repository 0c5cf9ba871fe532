"""What dpkg has installed, and what of it somebody asked for: read from its files alone.

Formats: deb822(5) for dpkg's `status` and apt's `extended_states`; relations: Debian Policy §7.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from repro.ecosystems.apt.resolve import BASE, interpreter_packages
from repro.ecosystems.tree import FileTree, read
from repro.errors import LockError, UsageError
from repro.locks import names
from repro.locks.names import path_shown, shown
from repro.models.installed import InstalledDeb

STATUS = "/var/lib/dpkg/status"
STATES = "/var/lib/apt/extended_states"
_PARTS = "/var/lib/dpkg/status.d"
"""Where images without a package manager keep one stanza a package (distroless)."""

HINT = "is dpkg's record whole? On that machine: dpkg --audit"

_MOST = 1 << 17  # packages: Debian has less than 2^17 in all
_MINIMAL = ("apt", "debian-archive-keyring", "ubuntu-keyring", "usr-is-merged", "usrmerge")
"""What makers of base systems add to the packages that are required."""

_RELATION = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)")
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Why each package is there; names, sorted, each in one of them.

    `asked` were asked for by name; `recommended` came along as recommendations, which repro
    installs none of by itself; `needed` come with these or with every base. `base` is the rest:
    the minimal system of the source, and what nothing needs any more.
    """

    asked: tuple[str, ...]
    recommended: tuple[str, ...]
    needed: tuple[str, ...]
    rest: tuple[str, ...]


def read_debs(tree: FileTree) -> tuple[InstalledDeb, ...]:
    """Return the installed packages of a file system, sorted; empty where there is no dpkg.

    Raises LockError for a record that cannot be read.
    """
    status = read(tree, STATUS)
    parts = [read(tree, f"{_PARTS}/{name}") or b"" for name in tree.names(_PARTS)]
    if status is None and not parts:
        return ()
    states = read(tree, STATES)
    automatic = parse_states(states, where=STATES) if states is not None else frozenset()
    found = parse_status(status or b"", where=STATUS)
    for part in parts:  # these say no Status: what lies there is installed
        found += _parse(part, _PARTS, whole=True)
    return tuple(
        one if (one.name, one.architecture) not in automatic else _automatic(one)
        for one in sorted(set(found), key=lambda one: (one.name, one.architecture))
    )


def parse_status(data: bytes, *, where: str) -> tuple[InstalledDeb, ...]:
    """Return the packages of a dpkg status file that are installed, in its order.

    Raises LockError naming line and cause for what is no such file.
    """
    return _parse(data, where, whole=False)


def parse_states(data: bytes, *, where: str) -> frozenset[tuple[str, str]]:
    """Return (name, architecture) of what apt pulled in by itself. Raises LockError."""
    return frozenset(
        (fields.get("package", ""), fields.get("architecture", ""))
        for _, fields in _paragraphs(data, where)
        if fields.get("auto-installed") == "1"
    ) | frozenset(
        (fields.get("package", ""), "all")  # apt notes these under the machine's architecture
        for _, fields in _paragraphs(data, where)
        if fields.get("auto-installed") == "1" and fields.get("architecture") == "amd64"
    )


def asked_for(debs: Iterable[InstalledDeb], *, suite: str, python: str) -> Asked:
    """Tell what was asked for from what came with it.

    Without any mark of apt's, what nothing else needs was asked for. What every base of repro
    has with this interpreter is not.
    """
    known = {one.name: one for one in debs}
    provided = _provided(known.values())
    always = {
        *(one.name for one in known.values() if one.essential or one.priority == "required"),
        *_MINIMAL,
        *BASE,
        *(interpreter_packages(suite, python) if python else ()),
    }
    base = _closure(always & known.keys(), known, provided, lambda one: one.depends)
    manual = {name for name, one in known.items() if not one.automatic} - base
    if not any(one.automatic for one in known.values()):
        manual = _roots(manual, known, provided)
    needed = _closure(manual | base, known, provided, lambda one: one.depends)
    wished = _closure(manual, known, provided, lambda one: f"{one.depends}, {one.recommends}")
    recommended = _roots(wished - needed, known, provided)
    needed = _closure(manual | base | recommended, known, provided, lambda one: one.depends)
    rest = {one for one in known if one not in needed}
    return Asked(
        asked=tuple(sorted(manual)),
        recommended=tuple(sorted(recommended)),
        needed=tuple(sorted(needed - manual - recommended)),
        rest=tuple(sorted(rest)),
    )


def alternatives(relations: str) -> Iterator[tuple[str, ...]]:
    """Yield each relation of a field as the names that would do, without versions."""
    for relation in relations.split(","):
        matches = (_RELATION.match(part) for part in relation.split("|"))
        if found := tuple(match[1] for match in matches if match is not None):
            yield found


def _automatic(one: InstalledDeb) -> InstalledDeb:
    from dataclasses import replace

    return replace(one, automatic=True)


def _provided(debs: Iterable[InstalledDeb]) -> dict[str, set[str]]:
    """Return {virtual name: packages that provide it}."""
    found: dict[str, set[str]] = {}
    for one in debs:
        for names_ in alternatives(one.provides):
            found.setdefault(names_[0], set()).add(one.name)
    return found


def _closure(
    start: Iterable[str],
    known: Mapping[str, InstalledDeb],
    provided: Mapping[str, set[str]],
    relations: Callable[[InstalledDeb], str],
) -> set[str]:
    """Return what these need of what is installed: every alternative that is there counts."""
    reached = set(start)
    todo = list(reached)
    while todo:
        for choices in alternatives(relations(known[todo.pop()])):
            for name in choices:
                for one in ({name} & known.keys()) | provided.get(name, set()):
                    if one not in reached:
                        reached.add(one)
                        todo.append(one)
    return reached


def _roots(
    among: set[str], known: Mapping[str, InstalledDeb], provided: Mapping[str, set[str]]
) -> set[str]:
    """Return the fewest of these that bring in all of them; of a circle its first by name."""
    left, roots = set(among), set[str]()
    needed_by_others = {
        name
        for one in among
        for name in _closure({one}, known, provided, lambda deb: deb.depends) - {one}
    }
    roots = among - needed_by_others
    left -= _closure(roots, known, provided, lambda deb: deb.depends)
    while left:
        first = min(left)
        roots.add(first)
        left -= _closure({first}, known, provided, lambda deb: deb.depends)
    return roots


def _parse(data: bytes, where: str, *, whole: bool) -> tuple[InstalledDeb, ...]:
    found: list[InstalledDeb] = []
    for line, fields in _paragraphs(data, where):
        state = fields.get("status", "install ok installed" if whole else "").split()
        if "package" not in fields or not state:
            raise LockError(f"{where}:{line}: a stanza without Package or Status", hint=HINT)
        if state[-1] != "installed":  # only its configuration is left, or it is half there
            continue
        place = f"{where}:{line}"
        found.append(
            InstalledDeb(
                name=names.debian_package(fields["package"], place),
                version=names.debian_version(fields.get("version", ""), place),
                architecture=fields.get("architecture", ""),
                essential=fields.get("essential") == "yes",
                priority=fields.get("priority", ""),
                depends=", ".join(
                    fields[key] for key in ("pre-depends", "depends") if key in fields
                ),
                recommends=fields.get("recommends", ""),
                provides=fields.get("provides", ""),
            )
        )
        if len(found) > _MOST:
            raise LockError(f"{where}: more than {_MOST} packages", hint=HINT)
    return tuple(found)


def _paragraphs(data: bytes, where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (first line's number, {field in lower case: value}); folded lines are joined."""
    fields: dict[str, str] = {}
    start, last = 0, ""
    for number, line in enumerate(data.decode(errors="replace").split("\n"), start=1):
        if not line.strip():
            if fields:
                yield start, fields
            fields, last = {}, ""
        elif line[0] in " \t":
            if not last:
                raise LockError(f"{where}:{number}: {shown(line)} continues no field", hint=HINT)
            fields[last] += "\n" + line.strip()
        else:
            match = _FIELD.fullmatch(line.rstrip("\r"))
            if match is None:
                raise LockError(f"{where}:{number}: {shown(line)} is not 'Field: value'", hint=HINT)
            if not fields:
                start = number
            last = match[1].lower()
            if last in fields:
                raise LockError(
                    f"{where}:{number}: the field {path_shown(match[1])} is there twice", hint=HINT
                )
            fields[last] = match[2].strip()
    if fields:
        yield start, fields


def owners(tree: FileTree, debs: Iterable[InstalledDeb], paths: Iterable[str]) -> dict[str, str]:
    """Return {path: package} of those of the paths that a `python3-…` package put there."""
    wanted = set(paths)
    found: dict[str, str] = {}
    for one in debs:
        if not wanted or not one.name.startswith("python3-"):
            continue
        for name in (f"{one.name}.list", f"{one.name}:{one.architecture}.list"):
            data = read(tree, f"/var/lib/dpkg/info/{name}")
            for line in (data or b"").decode(errors="replace").split("\n"):
                if line in wanted:
                    found[line] = one.name
                    wanted.discard(line)
    return found


def require_dpkg(debs: tuple[InstalledDeb, ...], what: str) -> None:
    """Raise UsageError where there is no dpkg, or one of another processor alone."""
    if not debs:
        raise UsageError(
            f"{what}: has no dpkg: it is no Debian and no Ubuntu",
            hint="record its Python packages alone: --from venv:DIR, where its files are here",
        )
