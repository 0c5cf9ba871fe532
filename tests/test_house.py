"""Guards of the house itself: floor plan, confined libraries, documentation, help texts."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest

import repro
from repro.cli.group import COMMANDS
from tests.house import ROOT, calls, cycles, files, imports, modules

FLOORS = {
    "": 0,
    "errors": 0,
    "progress": 0,
    "addresses": 0,
    "headers": 0,
    "models": 0,
    "locks": 1,
    "measure": 1,
    "compare": 1,
    "attribute": 1,
    "process": 2,
    "files": 2,
    "temporaries": 2,
    "connections": 2,
    "download": 2,
    "patience": 2,
    "mutex": 2,
    "project": 2,
    "store": 3,
    "ecosystems": 4,
    "image": 4,
    "engines": 4,
    "export": 4,
    "workflows": 5,
    "report": 6,
    "cli": 7,
    "__main__": 8,
}
"""DESIGN.md §3: imports run strictly downward."""

BESIDE = {
    ("models", "errors"),
    ("download", "connections"),
    ("download", "patience"),
    ("project", "files"),
    ("mutex", "files"),
    ("files", "temporaries"),
    ("project", "process"),
    ("ecosystems", "image"),
    ("ecosystems", "engines"),
    ("engines", "image"),
}
"""(who, whom): the few that may look at a neighbour on their own floor, never back."""

CONFINED = {
    "click": ("repro.cli", "repro.report"),
    "rich": ("repro.cli", "repro.report"),
    "docker": ("repro.engines.docker", "repro.image.registry"),
    "pandas": ("repro.measure", "repro.compare"),
    "requests": (
        "repro.connections",
        "repro.download",
        "repro.engines.docker",
    ),  # the docker SDK raises its errors
    "urllib3": ("repro.connections", "repro.download", "repro.engines.docker"),
    "multiprocessing": (),
    "pty": (),
}
"""Who may import what: one place that speaks HTTP."""

PROGRAMS = {
    "repro.engines.sandbox.launcher",
    "repro.ecosystems.pip.bytecode_in_image",
    "repro.ecosystems.conda.installer",
    "repro.ecosystems.conda.solver",
}
"""Programs of their own: one becomes bubblewrap, one runs in the image, one must end at once."""

STARTERS = re.compile(
    r"^(os\.(system|popen|fork|forkpty|exec\w+|spawn\w+|posix_spawnp?)"
    r"|subprocess\.(run|Popen|call|check_\w+|get\w+))$"
)
EXITS = re.compile(r"^(sys\.exit|os\._exit|exit|quit)$")
HEAVY = {"rich", "pandas", "numpy", "docker", "requests", "debian", "yaml", "pypi_simple", "pip"}
MAX_LINES = 400
README = (ROOT / "README.md").read_text()
DOCS = README + "".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))

MODULES = modules()
NAMES = {module.name for module in MODULES}


# ------------------------------------------------------------------ floor plan


def test_every_module_is_on_the_floor_plan() -> None:
    assert {module.room for module in MODULES} <= FLOORS.keys()


def test_every_room_is_on_the_floor_plan_that_is_documented() -> None:
    text = (ROOT / "docs" / "contributing" / "floor-plan.md").read_text()
    rooms = {module.room for module in MODULES} - {"", "__main__"}
    assert sorted(room for room in rooms if not re.search(rf"`{room}/?`", text)) == []


def test_imports_run_strictly_downward() -> None:
    wrong = []
    for module in MODULES:
        for found in imports(module):
            if not found.module.startswith("repro."):
                continue
            room = found.module.split(".")[1]
            if room not in FLOORS or room == module.room:  # a name of `repro` itself; at home
                continue
            if FLOORS[room] >= FLOORS[module.room] and (module.room, room) not in BESIDE:
                wrong.append(f"{module.name}:{found.line} imports {found.module}")
    assert wrong == []


def test_no_import_cycle_not_even_inside_a_package() -> None:
    graph = {
        module.name: {
            found.module
            for found in imports(module)
            if not found.typing and found.module in NAMES - {module.name}
        }
        for module in MODULES
    }
    assert cycles(graph) == []
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]


def test_libraries_are_confined() -> None:
    wrong = [
        f"{module.name}:{found.line} imports {found.module}"
        for module in MODULES
        for found in imports(module)
        if (allowed := CONFINED.get(found.module.split(".")[0])) is not None
        and not module.name.startswith(allowed)
    ]
    assert wrong == []


def test_one_place_starts_processes_and_one_exits() -> None:
    wrong = [
        f"{module.name}:{line} calls {name}"
        for module in MODULES
        if module.name not in PROGRAMS
        for name, line in calls(module)
        if (STARTERS.match(name) and module.name != "repro.process")
        or (EXITS.match(name) and module.room != "cli")
    ]
    assert wrong == []


def test_one_place_replaces_files() -> None:
    """What is kept goes through `repro.files`; the sandbox also writes to the kernel's files."""
    wrong = [
        f"{module.name}:{line} calls {name}"
        for module in MODULES
        for name, line in calls(module)
        if name.endswith((".write_text", ".write_bytes"))
        and module.name not in ("repro.files", "repro.engines.sandbox.limits")
    ]
    assert wrong == []


# ------------------------------------------------------------------- the rooms


def test_modules_stay_small() -> None:
    sizes = {module.name: len(module.path.read_text().splitlines()) for module in MODULES}
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def test_everything_public_has_a_docstring() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    bare = []
    for module in MODULES:
        if ast.get_docstring(module.tree) is None:
            bare.append(module.name)
        classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef)]
        owners: list[ast.Module | ast.ClassDef] = [module.tree, *classes]
        bare += [
            f"{module.name}:{node.lineno} {node.name}"
            for owner in owners
            for node in owner.body
            if isinstance(node, kinds)
            and not node.name.startswith("_")
            and not (isinstance(owner, ast.ClassDef) and owner.name.startswith("_"))
            and ast.get_docstring(node) is None
        ]
    assert bare == []


def test_init_files_hold_no_logic() -> None:
    busy = [
        module.name
        for module in MODULES
        if module.path.name == "__init__.py"
        and any(
            not isinstance(
                node, ast.Expr | ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom
            )
            for node in module.tree.body
        )
    ]
    assert busy == []


# --------------------------------------------------------------- registry hosts


def registry_hosts() -> set[str]:
    """Names of the package registries' hosts, asked of the clients: none may stand in a file."""
    said = " ".join(value for name, value in os.environ.items() if name.startswith("UV_"))
    for argv in (
        [sys.executable, "-m", "pip", "config", "list"],
        ["npm", "config", "get", "registry"],
        ["apt-get", "indextargets", "--format", "$(SITE)"],
    ):
        if shutil.which(argv[0]):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            said += " " + done.stdout
    found = set(re.findall(r"\b[a-z+]+://(?:[^/@\s'\"]*@)?([^/:\s'\"]+)", said))
    from pip._internal.models.index import PyPI

    found |= {PyPI.netloc, PyPI.file_storage_domain}
    return {host for host in found if "." in host and not host.startswith("127.")}


def test_no_registry_host_stands_in_a_file() -> None:
    hosts = [host.encode() for host in registry_hosts()]
    assert len(hosts) >= 2
    found = [
        f"{path}: {host.decode()}"
        for path in files()
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 24
        for data in [path.read_bytes()]
        for host in hosts
        if host in data
    ]
    assert found == []


# ---------------------------------------------------------------- command line


def loaded_by(*words: str, folder: Path = ROOT) -> set[str]:
    """Top-level modules that a call of the program loads, in an interpreter of its own."""
    code = (
        "import sys\nfrom repro.cli.main import run\n"
        f"assert run({list(words)!r}) == 0\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_is_quick() -> None:
    """`repro --help` under 150 ms (benchmarks/ measures it): so it loads nothing heavy."""
    assert loaded_by("--help") & HEAVY == set()
    assert "click" in loaded_by("--help")


def test_status_is_quick() -> None:
    """Half a second in a pre-commit hook: none of what fetches, resolves, builds or runs."""
    loaded = loaded_by("status", folder=ROOT / "fixtures" / "pandas-drift")
    assert loaded & (HEAVY - {"rich"} | {"installer", "ssl", "urllib3"}) == set()
    assert "packaging" in loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_quick_too(name: str) -> None:
    assert loaded_by(name, "--help") & HEAVY == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name: str) -> None:
    command = import_module(f"repro.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    assert command.help
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    assert [option.name for option in options if not option.help] == []
    assert f"repro {name}" in DOCS


# ---------------------------------------------------------------- documentation


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == repro.__version__
    assert f"## {repro.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("sh .ci/with repro demo", "sh .ci/with nox"):
        assert command in README
        assert command in script


def test_the_rows_of_this_release_have_their_tests() -> None:
    """FAULTS.md: a row's test carries its name, `test_a01_…`."""
    rows = (
        *(f"a{n:02}" for n in range(1, 10)),
        *("d27", "d32", "e38", "f46", "f49", "g53", "g54", "g55", "g56", "g57", "g61"),
        *("h62", "h63", "h66", "i73", "j75", "j76", "j77", "j81"),
    )
    folder = ROOT / "tests" / "faults"
    text = " ".join(f"{p.stem} {p.read_text()}" for p in sorted(folder.glob("test_*.py")))
    assert [row for row in rows if f"test_{row}_" not in text] == []
