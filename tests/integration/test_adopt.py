"""Taking over what uv and pip-tools lock, written by them against an index of our own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from repro.download import Http
from repro.ecosystems.pip.adopt import adopt
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.request import PipRequest, PipResolution
from repro.ecosystems.pip.resolve import resolve
from repro.errors import LockError
from repro.locks.foreign.read import reader
from repro.models.lock import Interpreter
from repro.models.project import Environment, RequirementSet, Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.faults.server import Server, serving
from tests.faults.sources import pip_settings
from tests.integration.test_pip import no_engine, no_image, wheels
from tests.support import Cli, assert_refused, tree_digest
from tests.wheelhouse import Recipe

CONFIG = '[environment]\nsuite = "bookworm"\npython = "3.11"\n'
PYPROJECT = """\
[project]
name = "study"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["app[more]", "winonly; sys_platform == 'win32'"]

[project.optional-dependencies]
plot = ["pen"]

[dependency-groups]
dev = ["chalk"]
"""
LOCKED = {"app": "1.0", "extra": "1.0", "lib": "2.0"}
"""What the project above is locked to for Python 3.11 on Linux."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A project, its index on loopback, and the tools that lock it."""

    folder: Path
    server: Server
    env: Mapping[str, str]

    def tool(self, *words: str) -> str:
        """Run uv or pip-compile in the project; return what it wrote to stdout."""
        program = [find_uv_bin()] if words[0] == "uv" else [sys.executable, "-m", "piptools"]
        done = subprocess.run(
            [*program, *words[1:]], cwd=self.folder, env=self.env, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def add(self, *recipes: Recipe) -> None:
        """Have the index list exactly these files of a project."""
        self.server.add_index(wheels(*recipes), project=recipes[0].name)

    def adopted(self, name: str, *lines: str) -> PipResolution:
        """Take the lock of that name over for these requirements."""
        text = (self.folder / name).read_text()
        request = PipRequest(
            environment=Environment(
                suite="bookworm",
                python="3.11",
                pip=(RequirementSet(path="requirements.in", lines=lines),),
            ),
            interpreter=Interpreter.of_debian("3.11"),
            glibc="2.36",
            python_full="3.11.2",
            sources=Sources(indexes=(("default", f"{self.server.address}/simple"),)),
        )
        store, http = Store(self.folder / "store"), Http()

        def resolved(asked: PipRequest) -> PipResolution:
            return resolve(
                asked,
                store=store,
                fetcher=Fetcher(store=store, http=http, progress=Silent()),
                http=http,
                builder=Builder(engine=no_engine, image=no_image),
            )

        return adopt(reader(name, text)(text, where=name), request, resolved).resolution


APP = Recipe(
    name="app",
    version="1.0",
    requires=["lib>=1", 'extra; extra == "more"', 'winonly; sys_platform == "win32"'],
)
LIBS = (
    Recipe(name="lib", version="1.0"),
    Recipe(name="lib", version="2.0", tag="cp311-cp311-manylinux_2_17_x86_64"),
    Recipe(name="lib", version="2.0"),
)
NEWER = Recipe(name="lib", version="2.1")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    folder = tmp_path / "p"
    folder.mkdir()
    with serving() as server:
        settings = {
            **pip_settings(f"{server.address}/simple/"),
            "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
            "UV_DEFAULT_INDEX": f"{server.address}/simple/",
            "PIP_TOOLS_CACHE_DIR": str(tmp_path / "pip-tools"),
            "UV_PYTHON": sys.executable,
        }
        for name in ("PIP_CONFIG_FILE", "PIP_FIND_LINKS", "UV_CACHE_DIR"):
            monkeypatch.setenv(name, settings[name])
        bench = Bench(folder=folder, server=server, env={**os.environ, **settings})
        bench.add(APP)
        bench.add(*LIBS)
        for name in ("extra", "winonly", "pen", "chalk"):
            bench.add(Recipe(name=name))
        yield bench


def pins(found: PipResolution) -> dict[str, str]:
    return {item.name: item.version for item in found.artifacts}


def uv_lock(bench: Bench) -> str:
    (bench.folder / "pyproject.toml").write_text(PYPROJECT)
    bench.tool("uv", "lock")
    return "uv.lock"


def pylock(bench: Bench) -> str:
    uv_lock(bench)
    words = ("--all-extras", "--all-groups", "--format", "pylock.toml", "-o", "pylock.toml")
    bench.tool("uv", "export", *words)
    return "pylock.toml"


def exported(bench: Bench) -> str:
    uv_lock(bench)
    bench.tool("uv", "export", "--no-dev", "-o", "exported.txt")
    return "exported.txt"


def compiled_by_uv(bench: Bench) -> str:
    (bench.folder / "r.in").write_text("app[more]\nwinonly; sys_platform == 'win32'\n")
    words = ("--universal", "--generate-hashes", "--emit-index-url", "r.in", "-o", "uv.txt")
    bench.tool("uv", "pip", "compile", *words)
    return "uv.txt"


def compiled_by_pip_tools(bench: Bench) -> str:
    (bench.folder / "r.in").write_text("app\nextra\n")
    words = ("--generate-hashes", "--allow-unsafe", "--strip-extras", "r.in")
    bench.tool("pip-compile", "compile", "-q", *words, "-o", "compiled.txt")
    return "compiled.txt"


ALL = (uv_lock, exported, compiled_by_uv, compiled_by_pip_tools)


@pytest.mark.parametrize("write", ALL)
def test_what_a_tool_locked_stays_when_the_index_has_newer(bench: Bench, write: object) -> None:
    assert callable(write)
    name = write(bench)
    bench.add(*LIBS, NEWER)
    found = bench.adopted(name, "app[more]")
    assert pins(found) == LOCKED
    by_name = {item.name: item for item in found.artifacts}
    assert by_name["lib"].filename == LIBS[1].filename, "the best of the lock's own files"
    assert by_name["lib"].index == "default"


def test_pylock_holds_what_all_groups_ask_for(bench: Bench) -> None:
    name = pylock(bench)
    bench.add(*LIBS, NEWER)
    with pytest.raises(LockError, match=r"nothing in requirements.in asks for: chalk, pen"):
        bench.adopted(name, "app[more]")
    assert pins(bench.adopted(name, "app[more]", "chalk", "pen")) == {
        **LOCKED,
        "chalk": "1.0",
        "pen": "1.0",
    }


def test_the_first_requirement_that_is_not_met_is_named(bench: Bench) -> None:
    uv_lock(bench)
    with pytest.raises(LockError, match=r"requirements.in asks for lib>=3, and uv.lock has 2.0"):
        bench.adopted("uv.lock", "app[more]", "lib>=3")
    with pytest.raises(LockError, match=r"requirements.in asks for six, and uv.lock has none"):
        bench.adopted("uv.lock", "six")
    compiled_by_uv(bench)
    text = (bench.folder / "uv.txt").read_text()
    cut = re.sub(r"^extra==.*\n(    .*\n)*", "", text, flags=re.MULTILINE)
    assert len(cut) < len(text)
    (bench.folder / "cut.txt").write_text(cut)
    with pytest.raises(LockError, match=r"needs extra too, and cut.txt has none"):
        bench.adopted("cut.txt", "app[more]")


def test_another_file_of_the_same_name_is_none_of_the_lock_s(bench: Bench) -> None:
    uv_lock(bench)
    other = replace(LIBS[1], files={"lib.py": b"VALUE = 2\n"})
    bench.add(other)
    with pytest.raises(LockError, match=r"lib 2.0 has no file with one of the hashes"):
        bench.adopted("uv.lock", "app[more]")
    bench.add(other, LIBS[2])  # the lock's other wheel is still there
    [lib] = [item for item in bench.adopted("uv.lock", "app[more]").artifacts if item.name == "lib"]
    assert lib.filename == LIBS[2].filename


def test_a_version_that_the_index_dropped_is_never_replaced(bench: Bench) -> None:
    uv_lock(bench)
    bench.add(LIBS[0], NEWER)
    with pytest.raises(LockError, match=r"uv.lock cannot be taken over as it is") as caught:
        bench.adopted("uv.lock", "app[more]")
    assert "lib==2.0" in caught.value.message


def test_a_local_package_is_refused_where_it_is_needed(bench: Bench) -> None:
    pen = bench.folder / "pen"
    pen.mkdir()
    (pen / "pyproject.toml").write_text('[project]\nname = "pen"\nversion = "9"\n')
    text = PYPROJECT + '[tool.uv.sources]\npen = { path = "pen" }\n'
    (bench.folder / "pyproject.toml").write_text(text)
    bench.tool("uv", "lock")
    assert pins(bench.adopted("uv.lock", "app[more]")) == LOCKED
    with pytest.raises(LockError, match=r"pen: is the local folder 'pen'"):
        bench.adopted("uv.lock", "pen")


def test_an_override_that_contradicts_a_package_is_not_taken_over(bench: Bench) -> None:
    bench.add(replace(APP, requires=["lib>=2"]))
    text = PYPROJECT.replace("app[more]", "app")
    override = '[tool.uv]\noverride-dependencies = ["lib==1.0"]\n'
    (bench.folder / "pyproject.toml").write_text(text + override)
    bench.tool("uv", "lock")
    with pytest.raises(LockError, match=r"uv.lock cannot be taken over as it is") as caught:
        bench.adopted("uv.lock", "app")
    assert "lib>=2" in caught.value.message


# ------------------------------------------------------------- through the command


@pytest.fixture
def cli(bench: Bench, cache: Path) -> Cli:
    (bench.folder / "repro.toml").write_text(CONFIG)
    extra = pip_settings(f"{bench.server.address}/simple/")
    return Cli(cache=cache, folder=bench.folder, extra=extra)


LIST = "import importlib.metadata as m; print({d.name: d.version for d in m.distributions()})"


@pytest.mark.network
def test_from_uv_lock_to_the_image(bench: Bench, cli: Cli) -> None:
    """Adopted, fresh, kept by the next snapshot, moved by name alone, and in the image."""
    uv_lock(bench)
    bench.add(*LIBS, NEWER)
    bench.add(Recipe(name="extra"), Recipe(name="extra", version="2.0"))
    answer = cli("snapshot", "--adopt", "uv.lock", "--json").json()
    assert (answer["adopted"], answer["inputs"]) == ("uv.lock", [])
    assert answer["notes"] == [
        "uv.lock: 3 of its packages are not needed here: chalk, pen, winonly"
    ]
    assert cli("status", "--json").json()["lock"] == {"stale": [], "edited": []}
    before = tree_digest(bench.folder)
    assert cli("snapshot").code == 0
    assert tree_digest(bench.folder) == before
    ran = cli("run", "--engine", "sandbox", "--", "python", "-c", LIST)
    assert ast.literal_eval(ran.out) == LOCKED
    changes = cli("snapshot", "--upgrade", "lib", "--json").json()["changes"]
    assert [(c["name"], c["old"], c["new"]) for c in changes] == [("lib", "2.0", "2.1")]


@pytest.mark.network
def test_a_project_without_inputs_is_given_them(bench: Bench, cli: Cli) -> None:
    compiled_by_uv(bench)
    bench.add(*LIBS, NEWER)
    before = tree_digest(bench.folder)
    dry = cli("snapshot", "--adopt", "uv.txt", "--dry-run")
    assert dry.code == 0
    assert "requirements.in, not written yet" in dry.out
    assert tree_digest(bench.folder) == before
    found = cli("snapshot", "--adopt", "uv.txt", "--json").json()
    [item] = found["inputs"]
    written = (bench.folder / "requirements.in").read_text()
    assert item == {"path": "requirements.in", "text": written}
    lines = [line for line in written.splitlines() if not line.startswith("#")]
    assert lines == ["app", "extra", "lib", 'winonly; sys_platform == "win32"']
    assert cli("status", "--json").json()["lock"] == {"stale": [], "edited": []}
    assert (
        bench.server.address
        not in written + (bench.folder / "lockfiles/linux-amd64/repro.lock").read_text()
    )


REFUSED = {
    "poetry.lock": ("", 2, "poetry export"),
    "absent.txt": (None, 2, "does not exist"),
    "uv.lock": ("version = 2\n", 3, "only 1 is read"),
    "bare.txt": ("six==1.16.0\n", 3, "has no hash of"),
    "binary.txt": ("--no-binary :all:\nsix==1\n", 3, "--no-binary is not taken over"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_over_is_said_by_name(cli: Cli, name: str) -> None:
    text, code, says = REFUSED[name]
    (cli.folder / "requirements.in").write_text("six\n")
    if text is not None:
        (cli.folder / name).write_text(text)
    before = tree_digest(cli.folder)
    assert_refused(cli("snapshot", "--adopt", name), code, name, says)
    assert tree_digest(cli.folder) == before


def test_adopting_and_upgrading_are_two_wishes(cli: Cli) -> None:
    answer = cli("snapshot", "--adopt", "uv.lock", "--upgrade", "lib")
    assert_refused(answer, 2, "--adopt uv.lock takes every pin from there")
