"""Dependencies of a pyproject.toml: `[project]`, its extras, and dependency groups (PEP 621, 735).

The project itself is never installed, so a requirement on the project stands for its extras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import UsageError
from repro.locks.names import python_name, shown
from repro.project import source, toml
from repro.project.requirements import requirement_line

NAME = "pyproject.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pyproject:
    """A pyproject.toml, read as TOML; `path` is relative to the project."""

    path: str
    document: Mapping[str, Any]

    def table(self, key: str) -> Mapping[str, Any]:
        """Return a top-level table, empty when absent. Raises UsageError when it is no table."""
        return _table(self.document.get(key, {}), f"{self.path}: {key}")

    @property
    def dynamic(self) -> bool:
        """Whether the dependencies are computed by a build backend."""
        listed = self.table("project").get("dynamic", [])
        return isinstance(listed, list) and "dependencies" in listed

    @property
    def declares(self) -> bool:
        """Whether there are dependencies to read."""
        return bool(self.table("project").get("dependencies"))


def read_pyproject(root: Path, path: str = NAME, *, where: str | None = None) -> Pyproject:
    """Read a pyproject.toml. Raises UsageError and LocalError."""
    text = source.read_text(root, path, where=where, limit=toml.LIMIT)
    return Pyproject(path=path, document=toml.parse(text, where=path))


def dependencies(
    pyproject: Pyproject, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return `[project] dependencies` and those of the chosen extras and groups, canonical, sorted.

    Raises UsageError naming the key: dynamic dependencies, an unknown extra or group, a cycle of
    groups, anything that is no requirement.
    """
    if pyproject.dynamic:
        raise UsageError(
            f"{pyproject.path}: project.dynamic: the dependencies are computed by a build backend",
            hint="list them in requirements.in, and that under [environment] pip",
        )
    try:
        return _Walk(pyproject).lines(extras, groups)
    except RecursionError:
        raise UsageError(
            f"{pyproject.path}: groups or extras include each other too deeply"
        ) from None


class _Walk:
    """One reading of the tables: every extra and every group once."""

    def __init__(self, pyproject: Pyproject) -> None:
        project = pyproject.table("project")
        self._path = pyproject.path
        self._own = _own_name(project, pyproject.path)
        self._base = _list(project.get("dependencies", []), f"{self._path}: project.dependencies")
        self._extras = self._normalised(project.get("optional-dependencies", {}), _EXTRAS)
        self._groups = self._normalised(pyproject.table("dependency-groups"), _GROUPS)
        self._seen: set[tuple[str, str]] = set()

    def lines(self, extras: tuple[str, ...], groups: tuple[str, ...]) -> tuple[str, ...]:
        found = set(self._requirements(self._base, f"{self._path}: project.dependencies"))
        for extra in extras:
            found.update(self._extra(extra, f"{self._path}: extras"))
        for group in groups:
            found.update(self._group(group, f"{self._path}: groups", ()))
        return tuple(sorted(found))

    def _normalised(self, value: object, key: str) -> dict[str, tuple[str, list[Any]]]:
        where = f"{self._path}: {key}"
        found: dict[str, tuple[str, list[Any]]] = {}
        for name, items in _table(value, where).items():
            place = f"{where}.{name}" if name.isidentifier() else f"{where}.{shown(name)}"
            normal = python_name(name, where, UsageError)
            if normal in found:
                raise UsageError(f"{place}: given twice, as {found[normal][0]} too")
            found[normal] = (place, _list(items, place))
        return found

    def _requirements(self, items: list[Any], where: str) -> Iterator[str]:
        for position, item in enumerate(items):
            place = f"{where}[{position}]"
            if not isinstance(item, str):
                raise UsageError(f"{place} must be a string")
            yield from self._expanded(requirement_line(item, place), place)

    def _expanded(self, line: str, where: str) -> Iterator[str]:
        """Yield a requirement, or for one on the project itself those of its extras."""
        from packaging.requirements import Requirement

        parsed = Requirement(line)
        if parsed.name != self._own:
            yield line
            return
        if parsed.marker is not None:
            raise UsageError(
                f"{where}: {shown(line)}: the project's own extras cannot depend on a marker",
                hint="put the marker on the requirements of the extra",
            )
        for extra in sorted(parsed.extras):
            yield from self._extra(extra, where)

    def _extra(self, name: str, where: str) -> Iterator[str]:
        place, items = self._find(self._extras, name, "extra", where)
        if ("extra", name) not in self._seen:
            self._seen.add(("extra", name))
            yield from self._requirements(items, place)

    def _group(self, name: str, where: str, path: tuple[str, ...]) -> Iterator[str]:
        normal = python_name(name, where, UsageError)
        if normal in path:
            raise UsageError(f"{where}: the group {normal} includes itself")
        place, items = self._find(self._groups, normal, "dependency group", where)
        if ("group", normal) in self._seen:
            return
        for position, item in enumerate(items):
            spot = f"{place}[{position}]"
            if isinstance(item, dict):
                included = item.get("include-group")
                if set(item) != {"include-group"} or not isinstance(included, str):
                    raise UsageError(f"{spot}: a table here holds include-group alone")
                yield from self._group(included, spot, (*path, normal))
            else:
                yield from self._requirements([item], place)
        self._seen.add(("group", normal))

    def _find(
        self, known: dict[str, tuple[str, list[Any]]], name: str, what: str, where: str
    ) -> tuple[str, list[Any]]:
        normal = python_name(name, where, UsageError)
        if normal not in known:
            have = ", ".join(sorted(known)) or "none"
            raise UsageError(f"{where}: no {what} {shown(name)}", hint=f"there are: {have}")
        return known[normal]


_EXTRAS = "project.optional-dependencies"
_GROUPS = "dependency-groups"


def _own_name(project: Mapping[str, Any], path: str) -> str | None:
    name = project.get("name")
    if name is None:
        return None
    if not isinstance(name, str):
        raise UsageError(f"{path}: project.name must be a string")
    return python_name(name, f"{path}: project.name", UsageError)


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be a table")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list of strings")
    return value
