"""`repro snapshot` on real indexes: what is kept, what moves, what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import Cli, assert_refused, tree_digest

LOCKS = Path("lockfiles/linux-amd64")
CONFIG = '[environment]\nsuite = "bookworm"\npython = "3.11"\n'

pytestmark = pytest.mark.network


@pytest.fixture
def cli(tmp_path: Path, cache: Path) -> Cli:
    """A project of two small packages, not locked yet."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "repro.toml").write_text(CONFIG)
    (folder / "requirements.in").write_text("attrs==23.1.0\nsix==1.15.0\n")
    return Cli(cache=cache, folder=folder)


def ask_for(cli: Cli, *lines: str) -> None:
    (cli.folder / "requirements.in").write_text("".join(f"{line}\n" for line in lines))


def versions(cli: Cli) -> dict[str, str]:
    text = (cli.folder / LOCKS / "requirements.txt").read_text()
    return dict(re.findall(r"^(\S+)==(\S+) ", text, re.MULTILINE))


def test_pins_are_kept_until_an_upgrade(cli: Cli) -> None:
    assert cli("snapshot").code == 0
    before = tree_digest(cli.folder)
    assert cli("snapshot").code == 0
    assert tree_digest(cli.folder) == before, "the same resolution is the same bytes"
    ask_for(cli, "attrs", "six", "idna")
    assert cli("snapshot").code == 0
    assert versions(cli) | {"idna": ""} == {"attrs": "23.1.0", "six": "1.15.0", "idna": ""}
    assert cli("snapshot", "--upgrade", "Six").code == 0
    assert versions(cli)["attrs"] == "23.1.0"
    assert versions(cli)["six"] != "1.15.0"
    assert cli("snapshot", "--upgrade").code == 0
    assert versions(cli)["attrs"] != "23.1.0"


def test_a_folder_with_nothing_to_lock_is_the_wrong_one(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "analysis.py").write_text("print(1)\n")
    answer = Cli(cache=cli.cache, folder=folder)("snapshot")
    assert_refused(answer, 2, str(folder), "nothing to lock", "requirements.in", "repro init")
    assert [path.name for path in folder.iterdir()] == ["analysis.py"]


def test_a_dry_run_shows_and_writes_nothing(cli: Cli) -> None:
    before = tree_digest(cli.folder, leave_out=())
    answer = cli("snapshot", "--dry-run", "--json")
    assert answer.code == 0
    assert tree_digest(cli.folder, leave_out=()) == before
    assert cli("status").code == 3


def test_the_lock_names_content_and_no_host(cli: Cli) -> None:
    assert cli("snapshot").code == 0
    for path in (cli.folder / LOCKS).iterdir():
        assert "://" not in path.read_text(), path.name
    sealed = tomllib.loads((cli.folder / LOCKS / "repro.lock").read_text())
    assert [item["name"] for item in sealed["pip"]] == ["attrs", "six"]
    text = (cli.folder / LOCKS / "requirements.txt").read_text()
    assert text.count("--hash=sha256:") == 2, "one hash each: the file for this interpreter"


def test_a_good_edit_is_adopted_and_a_bad_one_refused(cli: Cli) -> None:
    ask_for(cli, "attrs", "six==1.15.0")
    assert cli("snapshot").code == 0
    good = (cli.folder / LOCKS / "requirements.txt").read_text()
    newest = versions(cli)["attrs"]
    ask_for(cli, "attrs==23.1.0", "six==1.15.0")
    assert cli("snapshot").code == 0
    ask_for(cli, "attrs", "six==1.15.0")
    assert cli("snapshot").code == 0
    assert versions(cli)["attrs"] == "23.1.0"
    (cli.folder / LOCKS / "requirements.txt").write_text(good)  # as a bot would
    assert_refused(cli("build"), 3, "edited", "requirements.txt")
    assert cli("snapshot", "--adopt-edits").code == 0
    assert versions(cli)["attrs"] == newest
    assert cli("status").code == 0
    before = tree_digest(cli.folder)
    bad = good.replace("six==1.15.0", "six==1.16.0")
    (cli.folder / LOCKS / "requirements.txt").write_text(bad)
    edited = tree_digest(cli.folder)
    assert_refused(cli("snapshot", "--adopt-edits"), 3, "six", "1.16.0", "1.15.0")
    assert tree_digest(cli.folder) == edited != before


def test_pip_tools_inside_the_image_agrees_with_uv(cli: Cli) -> None:
    assert cli("snapshot").code == 0
    by_uv = (cli.folder / LOCKS / "requirements.txt").read_bytes()
    (cli.folder / "repro.toml").write_text(CONFIG + 'resolver = "pip-tools"\n')
    assert_refused(cli("build"), 3, "stale", "environment.resolver")
    (cli.folder / LOCKS / "repro.lock").unlink()
    assert cli("snapshot").code == 0
    assert (cli.folder / LOCKS / "requirements.txt").read_bytes() == by_uv
    seal = tomllib.loads((cli.folder / LOCKS / "repro.lock").read_text())
    [pip] = [item for item in seal["provenance"] if item["source"] == "pip"]
    assert pip["resolver"] == "pip-tools"


@pytest.mark.parametrize(
    ("suite", "python"), [("bullseye", "3.9"), ("bookworm", "3.11"), ("trixie", "3.13")]
)
def test_every_suite_and_interpreter(cli: Cli, suite: str, python: str) -> None:
    (cli.folder / "repro.toml").write_text(
        f'[environment]\nsuite = "{suite}"\npython = "{python}"\n'
    )
    ask_for(cli, "markupsafe==2.1.5" if python != "3.13" else "markupsafe==3.0.2")
    assert cli("snapshot").code == 0
    sealed = tomllib.loads((cli.folder / LOCKS / "repro.lock").read_text())
    tag = f"cp{python.replace('.', '')}"
    assert tag in sealed["pip"][0]["filename"]
    apt = (cli.folder / LOCKS / "apt.lock").read_text()
    assert f"Package: python{python}\n" in apt
    assert {p["source"] for p in sealed["provenance"]} >= {"pip"}


def test_what_cannot_be_locked_names_the_input_and_the_next_step(cli: Cli) -> None:
    assert cli("snapshot").code == 0
    before = tree_digest(cli.folder / LOCKS)
    ask_for(cli, "panads-no-such-package==2.0")
    assert_refused(cli("snapshot"), 2, "requirements.in", "panads-no-such-package")
    ask_for(cli, "six==99")
    assert_refused(cli("snapshot"), 2, "requirements.in", "six")
    ask_for(cli, "six")
    (cli.folder / "apt.txt").write_text("libgompp1\n")
    assert_refused(cli("snapshot"), 2, "apt.txt", "libgompp1", "libgomp1")
    (cli.folder / "apt.txt").unlink()
    (cli.folder / "repro.toml").write_text('[environment]\npython = "3.12"\n')
    assert_refused(cli("snapshot"), 2, "3.12", "bookworm has 3.11")
    (cli.folder / "repro.toml").write_text(CONFIG)
    assert_refused(cli("snapshot", "--upgrade", "sixx"), 2, "sixx", "did you mean six")
    assert tree_digest(cli.folder / LOCKS) == before
