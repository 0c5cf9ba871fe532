"""`repro snapshot --from venv:DIR` on environments that real installers made."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import APP, LIB, Venv, make_venv, serve_index, write_source
from tests.faults.server import Server, serving
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

    answer = cli("snapshot", "--from", f"venv:{venv.folder}", "--json")
    assert answer.code == 0, answer
    assert locked(cli) == {
        "app": APP.filename,
        "lib": LIB.filename,
        "tool": "tool-0.9-py3-none-any.whl",
    }
    asked = [x for x in (cli.folder / "requirements.in").read_text().splitlines() if x[0] != "#"]
    assert asked == ["app", "tool"], "what was asked for, not what came along"
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
