"""Every folder of fixtures/: verified for real, twice, on both engines, against its expectation."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support import Answer, Cli

FIXTURES = Path(__file__).parents[2] / "fixtures"
NAMES = sorted(path.name for path in FIXTURES.iterdir() if (path / "expect.toml").is_file())
ENGINES = ("sandbox", "docker")


def expectation(name: str) -> dict[str, Any]:
    return tomllib.loads((FIXTURES / name / "expect.toml").read_text())


def private_copy(name: str, folder: Path, cache: Path) -> Cli:
    shutil.copytree(FIXTURES / name, folder / name, ignore=shutil.ignore_patterns(".repro"))
    return Cli(cache=cache, folder=folder / name)


def built(cli: Cli) -> Answer:
    """Build; where mirrors dropped an artifact for good, lock this copy anew and say so."""
    answer = cli("build", "--json")
    if answer.code == 6:
        print(f"re-snapshot of {cli.folder.name}: {answer.err}")
        again = cli("snapshot", "--upgrade")
        assert again.code == 0, again
        answer = cli("build", "--json")
    assert answer.code == 0, answer
    return answer


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_verdict(name: str, engine: str, tmp_path: Path, cache: Path) -> None:
    expected = expectation(name)
    cli = private_copy(name, tmp_path, cache)
    built(cli)
    for _ in range(2):
        answer = cli("--engine", engine, "verify", "--json")
        assert answer.code == expected["exit"], answer
        found = answer.json()
        assert found["verdict"] == expected["verdict"]
        assert found["engine"] == engine
        comparison = found["comparison"]
        changes = {item["name"]: item["change"] for item in comparison["metrics"]}
        assert sorted(n for n, c in changes.items() if c == "drifted") == expected["drifted"]
        assert sorted(n for n, c in changes.items() if c == "same") == expected["unchanged"]
        tables = {
            item["file"]: sorted({cell["row"] for cell in item["cells"]})
            for item in comparison["tables"]
            if item["cells"]
        }
        assert tables == expected["tables"]
        changed = [item["name"] for item in found["environment"]]
        assert changed == expected["changed-packages"]


@pytest.mark.network
@pytest.mark.parametrize("name", NAMES)
def test_the_committed_image_is_built_again(name: str, tmp_path: Path, cache: Path) -> None:
    """`image.toml` came from another build, elsewhere: this one has the same ID."""
    recorded = tomllib.loads((FIXTURES / name / "lockfiles/linux-amd64/image.toml").read_text())
    cli = private_copy(name, tmp_path, cache)
    answer = cli("build", "--json")
    if answer.code == 6:
        print(f"{name}: its pinned packages are gone from the mirrors: {answer.err}")
        built(cli)
        return
    assert answer.code == 0, answer
    assert answer.json()["image_id"] == recorded["image-id"]


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_a_pip_lock_is_not_enough(engine: str, tmp_path: Path, cache: Path) -> None:
    """Without apt's libgomp1, lightgbm does not import: the analysis fails and says why."""
    without = expectation("apt-matters")["without-apt"]
    cli = private_copy("apt-matters", tmp_path, cache)
    text = (cli.folder / "apt.txt").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(without["package"])]
    (cli.folder / "apt.txt").write_text("\n".join(kept) + "\n")
    assert cli("status").code == 3
    assert cli("snapshot").code == 0
    answer = cli("--engine", engine, "verify")
    assert answer.code == without["exit"], answer
    assert without["says"] in answer.err
