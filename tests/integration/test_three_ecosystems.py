"""fixtures/three-ecosystems: locked, built, verified, vendored, and built again with no network.

Its conda channel is made here and served on loopback, so its locks are made here too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conda_channel import CondaChannel, serving_channel
from tests.integration.test_vendor import cut_off
from tests.support import Cli

FIXTURE = Path(__file__).parents[2] / "fixtures/three-ecosystems"
LOCKS = "lockfiles/linux-amd64"


@pytest.fixture(scope="module")
def channel() -> Iterator[CondaChannel]:
    with serving_channel("repro-fixtures") as found:
        yield found


@pytest.fixture(scope="module")
def cli(channel: CondaChannel, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Cli:
    """A copy of the fixture, locked."""
    folder = tmp_path_factory.mktemp("three") / FIXTURE.name
    shutil.copytree(FIXTURE, folder)
    condarc = folder.parent / "condarc"
    condarc.write_text(f"custom_channels:\n  repro-fixtures: {channel.server.address}\n")
    cli = Cli(cache=cache, folder=folder, extra={"CONDARC": str(condarc)})
    answer = cli("snapshot", "--json")
    assert answer.code == 0, answer
    return cli


def test_each_package_is_locked_once(cli: Cli) -> None:
    pip = (cli.folder / LOCKS / "requirements.txt").read_text()
    conda = (cli.folder / "lockfiles/conda-lock.yml").read_text()
    apt = (cli.folder / LOCKS / "apt.lock").read_text()
    assert "cffi==" in pip
    assert "numpy" not in pip
    assert "name: 'numpy'" in conda
    assert "name: 'python'" in conda
    assert "Package: libgsl27\n" in apt
    assert "Package: python3" not in apt, "conda brings the Python"
    assert cli("status").code == 0


@pytest.mark.docker
def test_both_engines_agree_and_it_is_built_again_without_a_network(
    cli: Cli, tmp_path: Path
) -> None:
    answer = cli("build", "--json")
    assert answer.code == 0, answer
    image = answer.json()["image_id"]
    assert cli("accept", "--reason", "first").code == 0
    for engine in ("sandbox", "docker"):
        answer = cli("--engine", engine, "verify", "--json")
        assert answer.code == 0, answer
        assert answer.json()["verdict"] == "reproduced"
    assert cli("vendor", "vendor").code == 0
    bare = Cli(cache=tmp_path / "cache", folder=cli.folder)
    done = cut_off(bare, "--engine", "sandbox", "build", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    assert image in done.stdout
    assert "building layers" in done.stderr
