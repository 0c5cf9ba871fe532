"""`repro snapshot --from venv:DIR` on environments that real installers made."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import APP, LIB, Venv, make_venv, serve_index, write_source
from tests.faults.server import Ranges, Reply, Server, serving
from tests.faults.sources import pip_settings
from tests.support import Cli, assert_refused, tree_digest
from tests.wheelhouse import Recipe, make_wheel

LOCKS = Path("lockfiles/linux-amd64")

pytestmark = pytest.mark.network


@pytest.fixture
def server() -> Iterator[Server]:
    """The index that the environments are installed from."""
    with serving() as server:
        serve_index(server)
        yield server


@pytest.fixture
def cli(tmp_path: Path, cache: Path, server: Server) -> Cli:
    """The command in an empty project, which knows the same index."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Cli(cache=cache, folder=folder, extra=pip_settings(f"{server.address}/simple/"))


@pytest.fixture
def venv(tmp_path: Path, cli: Cli, server: Server) -> Venv:
    """An environment with nothing in it."""
    return make_venv(tmp_path / "venv", cli, server)


def locked(cli: Cli) -> dict[str, str]:
    """{name: file name} of the project's lock."""
    sealed = tomllib.loads((cli.folder / LOCKS / "repro.lock").read_text())
    return {item["name"]: item["filename"] for item in sealed["pip"]}


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_what_is_installed_is_locked_and_nothing_else(cli: Cli, venv: Venv, installer: str) -> None:
    getattr(venv, installer)("app==1.0", "tool")
    venv.uv("--no-deps", "lib==2.0")
    before = tree_digest(cli.folder, leave_out=())
    dry = cli("snapshot", "--from", f"venv:{venv.folder}", "--dry-run", "--json")
    assert dry.code == 0, dry
    assert tree_digest(cli.folder, leave_out=()) == before
    said = dry.json()
    assert "lib==2.0" in said["from"]["locks"][str(LOCKS / "requirements.txt")]
    assert said["from"]["inputs"]["requirements.in"].endswith("\napp\ntool\n"), "was asked for"

    if installer == "pip":  # the rest does not depend on who installed it
        return
    answer = cli("snapshot", "--from", f"venv:{venv.folder}", "--json")
    assert answer.code == 0, answer
    assert locked(cli) == {
        "app": APP.filename,
        "lib": LIB.filename,
        "tool": "tool-0.9-py3-none-any.whl",
    }
    assert str(venv.folder) not in (cli.folder / "requirements.in").read_text()
    files = {name: (cli.folder / name).read_text() for name in answer.json()["from"]["inputs"]}
    assert files == said["from"]["inputs"], "a dry run said the same"
    assert json.loads(cli("status", "--json").out)["lock"] == {"stale": [], "edited": []}

    once = tree_digest(cli.folder)
    assert cli("snapshot", "--from", f"venv:{venv.folder}").code == 0
    assert cli("snapshot").code == 0, "and resolving keeps what was recorded"
    assert tree_digest(cli.folder) == once


def test_what_no_index_has_is_named_and_can_be_vendored(
    cli: Cli, venv: Venv, tmp_path: Path
) -> None:
    own = Recipe(name="own", version="3.0+lab", files={"own.py": b"O = 3\n"})
    wheel = tmp_path / own.filename
    wheel.write_bytes(make_wheel(own))
    source = write_source(tmp_path / "source", "linked", "4.0")
    venv.uv("app==1.0", str(wheel))
    venv.uv("-e", str(source))
    (venv.site / "app.py").write_text("def main(): print('changed here')\n")
    before = tree_digest(cli.folder, leave_out=())

    answer = cli("snapshot", "--from", f"venv:{venv.folder}")
    assert_refused(answer, 3, "--vendor-missing", "--without")
    lines = [line.strip() for line in answer.err.splitlines() if line.strip().startswith("pip ")]
    assert [line.split(":")[0] for line in lines] == ["pip app 1.0", "pip linked 4.0",
                                                      "pip own 3.0+lab"]  # fmt: skip
    assert "changed after it was installed" in lines[0]
    assert "app.py" in lines[0]
    assert "editable" in lines[1]
    assert str(source) in lines[1]
    assert str(wheel).replace("+", "%2B") in lines[2] or str(wheel) in lines[2]
    assert tree_digest(cli.folder, leave_out=()) == before, "nothing written"

    answer = cli("snapshot", "--from", f"venv:{venv.folder}", "--vendor-missing")
    assert_refused(answer, 3, "pip linked 4.0", "cannot be vendored")
    assert tree_digest(cli.folder, leave_out=()) == before, "nothing written"


def test_what_is_vendored_is_built_and_is_what_was_installed(
    cli: Cli, venv: Venv, tmp_path: Path
) -> None:
    own = Recipe(name="own", version="3.0+lab", files={"own.py": b"O = 3\n"})
    (tmp_path / own.filename).write_bytes(make_wheel(own))
    venv.uv("app==1.0", str(tmp_path / own.filename))
    (tmp_path / own.filename).unlink()  # so that it is made again of what is installed
    (venv.site / "app.py").write_text("def main(): print('changed here')\n")
    assert cli("snapshot", "--from", f"venv:{venv.folder}", "--vendor-missing").code == 0
    assert {"app-1.0-py3-none-any.whl", own.filename} <= {
        path.name for path in (cli.folder / "vendor").iterdir()
    }
    once = tree_digest(cli.folder)
    assert cli("snapshot").code == 0
    assert tree_digest(cli.folder) == once, "resolving finds the vendored wheels, and keeps them"

    answer = cli("build", "--engine", "sandbox")
    assert answer.code == 0, answer
    program = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    answer = cli("run", "--engine", "sandbox", "--", "python", "-c", program)
    assert answer.code == 0, answer
    assert json.loads(answer.out.splitlines()[0]) == venv.versions()
    answer = cli("run", "--engine", "sandbox", "--", "app")
    assert "changed here" in answer.out, "the content is what ran, not what the index has"


def test_another_build_of_the_same_version_is_no_match(
    cli: Cli, venv: Venv, server: Server, tmp_path: Path
) -> None:
    other = Recipe(name="tool", version="0.9", files={"tool.py": b"T = 'built here'\n"})
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / other.filename).write_bytes(make_wheel(other))
    venv.uv("--no-index", "--find-links", str(folder), "tool")
    answer = cli("snapshot", "--from", f"venv:{venv.folder}")
    assert_refused(answer, 3, "pip tool 0.9", "is not what the index has", "tool.py")
    answer = cli("snapshot", "--from", f"venv:{venv.folder}", "--without", "to*")
    assert answer.code == 0, answer
    assert locked(cli) == {}


def test_an_index_without_ranges_gives_whole_files(cli: Cli, venv: Venv, server: Server) -> None:
    venv.uv("tool")
    path = "/files/tool-0.9-py3-none-any.whl"
    found = server.replies[path]
    assert isinstance(found, Reply)
    server.replies[path] = Reply(body=found.body, ranges=Ranges.IGNORED)
    # no RECORD of these bytes may be in the store that tests share
    answer = cli("snapshot", "--from", f"venv:{venv.folder}")
    assert answer.code == 0, answer
    assert locked(cli) == {"tool": "tool-0.9-py3-none-any.whl"}


def test_inputs_that_are_there_are_kept_and_must_ask_for_the_same(cli: Cli, venv: Venv) -> None:
    venv.uv("app==1.0", "tool")
    inputs = cli.folder / "requirements.in"
    inputs.write_text("# mine\napp>=1\n")
    before = tree_digest(cli.folder, leave_out=())
    answer = cli("snapshot", "--from", f"venv:{venv.folder}")
    assert_refused(answer, 2, "requirements.in", "tool", "not asked for")
    inputs.write_text("app>=1.1\ntool\nabsent\n")
    answer = cli("snapshot", "--from", f"venv:{venv.folder}")
    assert_refused(answer, 2, "app>=1.1: 1.0 is installed", "absent: is not installed")
    assert tree_digest(cli.folder, leave_out=()).keys() == before.keys(), "nothing written"
    inputs.write_text("# mine\napp>=1\ntool\n")
    assert cli("snapshot", "--from", f"venv:{venv.folder}").code == 0
    assert inputs.read_text() == "# mine\napp>=1\ntool\n"
    assert locked(cli)["app"] == APP.filename, "1.0, as installed, not 1.1, which fits too"
    assert cli("status").code == 0

    (cli.folder / "repro.toml").write_text('[environment]\nsuite = "trixie"\n')
    answer = cli("snapshot", "--from", f"venv:{venv.folder}")
    assert_refused(answer, 2, "trixie", "bookworm")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("venv:absent", "absent"),
        ("venv:", "names nothing"),
        ("pip", "names nothing"),
        ("host:x", "names nothing"),
        ("venv:empty", "no Python environment"),
        ("conda:empty", "no conda environment"),
        ("venv:later", 'image = "python:3.8-slim"'),
    ],
)
def test_a_source_that_is_none_is_refused_before_any_work(
    cli: Cli, server: Server, source: str, says: str
) -> None:
    (cli.folder / "empty").mkdir()
    (cli.folder / "later/lib/python3.8/site-packages").mkdir(parents=True)
    (cli.folder / "later/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.4\n")
    before = tree_digest(cli.folder, leave_out=())
    assert_refused(cli("snapshot", "--from", source), 2, says)
    assert tree_digest(cli.folder, leave_out=()) == before
    assert server.asked == []


def test_options_that_go_with_a_source_alone(cli: Cli) -> None:
    assert_refused(cli("snapshot", "--vendor-missing"), 2, "--from")
    assert_refused(cli("snapshot", "--from", "host", "--adopt-edits"), 2, "--adopt-edits")
