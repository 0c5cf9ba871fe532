"""From input files to requirement sets: `-r`, `-c`, pyproject.toml and the project itself."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UsageError
from repro.locks.names import shown
from repro.models.project import RequirementSet
from repro.project import source
from repro.project.pyproject import NAME, Pyproject, dependencies, read_pyproject
from repro.project.requirements import RequirementText, parse_requirements

FILES = 200
"""Requirement files that may include one another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipInputs:
    """Which files to read: (path, the place that names it); extras and groups of pyproject.toml.

    `parsed` are requirements that stand in a file of another format, by its path.
    """

    paths: tuple[tuple[str, str], ...]
    parsed: tuple[tuple[str, RequirementText], ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """The requirement sets, in reading order, and what the user should know about them."""

    sets: tuple[RequirementSet, ...]
    notes: tuple[str, ...] = ()


def collect_requirements(root: Path, inputs: PipInputs) -> Collected:
    """Read every requirement file that the inputs reach, each once.

    Raises UsageError naming file and line, also for a file outside the project; LocalError.
    """
    return _Collector(root, inputs).run()


class _Collector:
    """One reading; the work list makes cycles and deep chains harmless."""

    def __init__(self, root: Path, inputs: PipInputs) -> None:
        self._root = root
        self._inputs = inputs
        self._read: dict[tuple[str, bool], RequirementSet] = {}
        self._itself: list[tuple[str, tuple[str, ...]]] = []  # (place, extras)

    def run(self) -> Collected:
        projects = [pair for pair in self._inputs.paths if posixpath.basename(pair[0]) == NAME]
        waiting = [(path, where, False) for path, where in self._inputs.paths
                   if posixpath.basename(path) != NAME]  # fmt: skip
        for path, parsed in self._inputs.parsed:
            waiting += self._take(path, parsed, constraint=False)
        while waiting:
            path, where, constraint = waiting.pop(0)
            if (path, constraint) in self._read:
                continue
            if len(self._read) >= FILES:
                raise UsageError(f"{where}: more than {FILES} requirement files")
            text = source.read_text(self._root, path, where=where)
            parsed = parse_requirements(text, where=path)
            waiting += self._take(path, parsed, constraint=constraint)
        notes = self._own_project(projects)
        for path, where in projects:
            if path != NAME:
                self._add(read_pyproject(self._root, path, where=where), self._inputs.extras)
        return Collected(sets=tuple(self._read.values()), notes=notes)

    def _take(
        self, path: str, parsed: RequirementText, *, constraint: bool
    ) -> list[tuple[str, str, bool]]:
        """Keep what a file asks for; return what it includes."""
        self._read[path, constraint] = RequirementSet(
            path=path, lines=parsed.lines, constraint=constraint
        )
        self._note_itself(path, parsed, constraint)
        return self._included(path, parsed, constraint)

    def _included(
        self, path: str, parsed: RequirementText, constraint: bool
    ) -> list[tuple[str, str, bool]]:
        rows = [(number, name, constraint) for number, name in parsed.includes]
        rows += [(number, name, True) for number, name in parsed.constraints]
        return [
            (_sibling(path, name, f"{path}:{number}"), f"{path}:{number}", constrains)
            for number, name, constrains in sorted(rows)
        ]

    def _note_itself(self, path: str, parsed: RequirementText, constraint: bool) -> None:
        if parsed.itself and constraint:
            raise UsageError(f"{path}: '.' cannot be a constraint", hint="remove the line")
        self._itself += [(path, extras) for extras in parsed.itself]

    def _own_project(self, projects: list[tuple[str, str]]) -> tuple[str, ...]:
        """Read the project's own pyproject.toml where it is listed, or stands behind `-e .`."""
        listed = next((where for path, where in projects if path == NAME), None)
        wanted = {extra for _, extras in self._itself for extra in extras}
        extras = tuple(sorted(wanted | set(self._inputs.extras)))
        if listed is not None:
            self._add(read_pyproject(self._root, where=listed), extras)
        if not self._itself:
            return ()
        place = self._itself[0][0]
        note = f"{place}: '.' is not installed: PYTHONPATH holds its src/ or its root"
        if listed is not None:
            return (note,)
        if (self._root / NAME).is_file():
            pyproject = read_pyproject(self._root, where=place)
            if pyproject.table("project") and not pyproject.dynamic:
                self._add(pyproject, extras)
                return (f"{note}; its dependencies come from {NAME}",)
        if wanted:
            raise UsageError(
                f"{place}: the extras {', '.join(sorted(wanted))} of '.' cannot be read",
                hint=f"declare them under [project.optional-dependencies] in {NAME}",
            )
        return (f"{note}; its own dependencies are computed by its build: list them here",)

    def _add(self, pyproject: Pyproject, extras: tuple[str, ...]) -> None:
        lines = dependencies(pyproject, extras=extras, groups=self._inputs.groups)
        self._read[pyproject.path, False] = RequirementSet(path=pyproject.path, lines=lines)


def _sibling(path: str, name: str, where: str) -> str:
    """Resolve an include against its file's folder, without leaving the project."""
    if "://" in name:
        raise UsageError(
            f"{where}: a requirement file from the network is not read",
            hint="copy it into the project",
        )
    if name.startswith("/"):
        raise UsageError(f"{where}: {shown(name)} is an absolute path", hint="write it relative")
    joined = posixpath.normpath(posixpath.join(source.parent_of(path), name))
    return source.project_path(joined, where)
