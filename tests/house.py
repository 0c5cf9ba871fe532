"""What the guards of `test_house.py` read: the package's modules and their imports."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import repro

PACKAGE = Path(repro.__file__).parent
ROOT = Path(__file__).parents[1]
GENERATED = {".git", ".nox", ".venv", ".repro", "__pycache__", ".hypothesis", "dist", "build"}


@dataclass(frozen=True)
class Import:
    """One imported name: `module` absolute; `typing` for those below `if TYPE_CHECKING`."""

    module: str
    line: int
    typing: bool


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The part of the floor plan that it belongs to."""
        return self.name.split(".")[1] if "." in self.name else ""


def modules() -> list[Module]:
    """Every module of the package, `repro.models.lock` and so on, sorted."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] == "demo_project":
            continue
        name = ".".join(("repro", *parts)).removesuffix(".__init__")
        found.append(Module(name, path, ast.parse(path.read_text(), str(path))))
    return found


def imports(module: Module) -> Iterator[Import]:
    """Everything that a module imports, also inside its functions."""
    yield from _imports(module.tree, typing=False)


def _imports(node: ast.AST, *, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, typing)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"a relative import in line {child.lineno}"
            assert child.module is not None
            yield Import(child.module, child.lineno, typing)
            for alias in child.names:  # `from repro.report import text` is an import of text
                yield Import(f"{child.module}.{alias.name}", child.lineno, typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for part in child.body:
                yield from _imports(ast.Module([part], []), typing=True)
            for part in child.orelse:
                yield from _imports(ast.Module([part], []), typing=typing)
        else:
            yield from _imports(child, typing=typing)


def calls(module: Module) -> Iterator[tuple[str, int]]:
    """Dotted names of everything that a module calls, as far as they are names, with lines."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield _dotted(node.func), node.lineno


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node."""
    reach = {name: _reachable(graph, name) for name in graph}
    found = {
        tuple(sorted({name} | {other for other in reach[name] if name in reach[other]}))
        for name in graph
        if name in reach[name]
    }
    return sorted(list(component) for component in found)


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def files() -> Iterator[Path]:
    """Every file of the tree, and of the installed package, but what tools generated."""
    for top in {ROOT, PACKAGE}:
        for folder, folders, names in os.walk(top):
            folders[:] = [
                f for f in folders if f not in GENERATED and not f.endswith(("_cache", ".egg-info"))
            ]
            yield from (Path(folder, name) for name in names)
