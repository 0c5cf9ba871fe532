"""Several platforms: locked side by side from one host; built and run for its own alone."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.locks import apt
from repro.models.project import PLATFORM, PLATFORMS, platform_of
from tests.conda_channel import CondaChannel
from tests.faults.server import Server, serving
from tests.faults.sources import pip_settings
from tests.support import Cli, assert_refused, tree_digest
from tests.wheelhouse import Recipe, make_sdist, make_wheel

pytestmark = pytest.mark.network

OWN = platform_of(PLATFORM)
[OTHER] = [platform for platform in PLATFORMS if platform.name != PLATFORM]
SDIST = make_sdist("demo", "1.0", {"setup.py": b"from setuptools import setup\nsetup()\n"})
CONFIG = '[environment]\nsuite = "bookworm"\napt = ["libgomp1"]\nplatforms = [{}]\n'


@dataclass(frozen=True, kw_only=True)
class Both:
    """A project for two platforms and the index that it is locked from."""

    cli: Cli
    server: Server

    def ask(self, *platforms: str) -> None:
        """Have these platforms, as docker names them."""
        named = ", ".join(f'"{name}"' for name in platforms)
        (self.cli.folder / "repro.toml").write_text(CONFIG.format(named))

    def lock(self, platform: str) -> Path:
        """The folder of a platform's locks."""
        return self.cli.folder / "lockfiles" / platform


@pytest.fixture
def both(cache: Path, tmp_path: Path) -> Iterator[Both]:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "requirements.in").write_text("demo\n")
    with serving() as server:
        recipes = [
            Recipe(tag=f"cp311-cp311-manylinux_2_17_{platform.machine}") for platform in PLATFORMS
        ]
        files = {recipe.filename: make_wheel(recipe) for recipe in recipes}
        server.add_index(files, project="demo")
        cli = Cli(cache=cache, folder=folder, extra=pip_settings(f"{server.address}/simple/"))
        found = Both(cli=cli, server=server)
        found.ask(OWN.docker, OTHER.docker)
        yield found


def test_two_platforms_side_by_side(both: Both) -> None:
    """apt resolves for each on the real mirror; pip takes each one's wheel."""
    answer = both.cli("snapshot", "--json")
    assert answer.code == 0, answer
    [other] = answer.json()["others"]
    assert (other["platform"], other["packages"]["pip"]) == (OTHER.name, 1)
    for platform in PLATFORMS:
        text = (both.lock(platform.name) / "apt.lock").read_text()
        debs = apt.parse(text, where="apt.lock", architecture=platform.architecture)
        assert {deb.architecture for deb in debs} == {platform.architecture, "all"}
        assert {"libc6", "python3.11", "libgomp1"} <= {deb.name for deb in debs}
        seal = tomllib.loads((both.lock(platform.name) / "repro.lock").read_text())
        assert seal["platform"] == platform.name
        [wheel] = seal["pip"]
        assert wheel["filename"].endswith(f"manylinux_2_17_{platform.machine}.whl")
    before = tree_digest(both.cli.folder)
    assert both.cli("snapshot").code == 0
    assert tree_digest(both.cli.folder) == before, "the same resolution is the same bytes"

    said = both.cli("status", "--json").json()
    assert said["platforms"] == {name: {"stale": [], "edited": []} for name in said["platforms"]}
    assert set(said["platforms"]) == {OWN.name, OTHER.name}
    path = both.lock(OTHER.name) / "apt.lock"
    right = path.read_bytes()
    path.write_bytes(right.replace(b"Package: libc6\n", b"Package: libc7\n"))
    answer = both.cli("status", "--json")
    assert answer.code == 3
    assert answer.json()["platforms"][OWN.name] == {"stale": [], "edited": []}
    assert "apt.lock" in answer.json()["platforms"][OTHER.name]["edited"][0]
    assert OTHER.name in both.cli("status").out
    path.write_bytes(right.replace(b": arm64\n", b": amd64\n"))
    assert both.cli("status").code == 3
    path.write_bytes(right)
    (both.lock(OTHER.name) / "repro.lock").unlink()
    answer = both.cli("status", "--json")
    assert (answer.code, answer.json()["platforms"][OTHER.name]) == (3, None)


def test_conda_has_one_lock_for_all_platforms(both: Both, conda_channel: CondaChannel) -> None:
    """environment.yml names them; pip's wheels are those of conda's Python on each."""
    (both.cli.folder / "environment.yml").write_text(
        f"channels: [{conda_channel.address}]\ndependencies: [python, libtiny, {{pip: [demo]}}]\n"
        "platforms: [linux-64, linux-aarch64]\n"
    )
    (both.cli.folder / "repro.toml").unlink()
    answer = both.cli("snapshot")
    assert answer.code == 0, answer
    answer = both.cli("status", "--json")
    assert answer.code == 0, answer
    assert set(answer.json()["platforms"]) == {OWN.name, OTHER.name}
    text = (both.cli.folder / "lockfiles" / "conda-lock.yml").read_text()
    assert len(re.findall("name: '?libtiny", text)) == 2
    for platform in PLATFORMS:
        seal = tomllib.loads((both.lock(platform.name) / "repro.lock").read_text())
        assert seal["locks"]["conda-lock.yml"] == hashlib.sha256(text.encode()).hexdigest()
        assert platform.machine in seal["pip"][0]["filename"]


def test_what_is_for_others_alone_is_locked_but_not_built_here(both: Both) -> None:
    both.ask(OTHER.docker)
    assert both.cli("snapshot").code == 0
    assert [path.name for path in (both.cli.folder / "lockfiles").iterdir()] == [OTHER.name]
    answer = both.cli("status", "--json")
    assert answer.code == 0
    assert OWN.docker in answer.json()["next"]
    for command in ("build", "run", "verify"):
        assert_refused(both.cli(command), 2, "environment.platforms", OTHER.name, OWN.docker)


def test_a_source_distribution_for_another_platform_is_refused_and_named(both: Both) -> None:
    recipe = Recipe(tag=f"cp311-cp311-manylinux_2_17_{OWN.machine}")
    files = {recipe.filename: make_wheel(recipe), "demo-1.0.tar.gz": SDIST}
    both.server.add_index(files, project="demo")
    refused = both.cli("snapshot")
    assert_refused(refused, 2, OTHER.name, "demo", "lock it on a host of", "wheels")
    assert not (both.cli.folder / "lockfiles").exists(), "no platform's lock alone"
    (both.cli.folder / "repro.toml").write_text(
        CONFIG.format(f'"{OTHER.docker}"') + 'resolver = "pip-tools"\n'
    )
    assert_refused(both.cli("snapshot"), 2, OTHER.name, "pip-tools", "lock it on a host of")


def test_what_is_installed_here_is_for_no_other_platform(both: Both) -> None:
    refused = both.cli("snapshot", "--from", f"venv:{both.cli.folder}")
    assert_refused(refused, 2, "environment.platforms", OTHER.name, "repro snapshot")


def test_platforms_that_are_none(both: Both) -> None:
    for written, says in (
        ('["linux/arm64", "linux/s390x"]', r"platforms\[1\]: 'linux/s390x' is not a platform"),
        ("[]", "platforms must not be empty"),
        ('"linux/arm64"', "platforms must be a list"),
    ):
        text = CONFIG.replace("[{}]", written)
        (both.cli.folder / "repro.toml").write_text(text)
        answer = both.cli("snapshot")
        assert_refused(answer, 2)
        assert re.search(says, answer.err), answer
