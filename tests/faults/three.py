"""A project of three artifacts, locked, built and accepted by the real command, and its index.

Its store is its own: the base is shared with the other tests' by hard links, and unpacked once;
what the three wheels add can be taken out again, so that a build makes it anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.locks import seal
from repro.locks.records import parse_image
from tests.faults.server import serving
from tests.faults.sources import pip_settings
from tests.support import TINY_CONFIG, Cli
from tests.wheelhouse import Recipe, make_wheel

LOCKS = Path("lockfiles/linux-amd64")
BASELINE = Path("baseline/linux-amd64")
NAMES = ("alpha", "beta", "gamma")
ANALYSIS = """\
import json, os, alpha, beta, gamma
total = alpha.VALUE + beta.VALUE + gamma.VALUE
json.dump({"total": total}, open("out/metrics.json", "w"))
open("out/more.txt", "w").write("more")
"""


@dataclass(frozen=True, kw_only=True)
class Three:
    """The command in the project, which the test may change, and the template to go back to."""

    cli: Cli
    template: Path

    @property
    def folder(self) -> Path:
        """The project."""
        return self.cli.folder

    @property
    def store(self) -> Path:
        """The store."""
        return self.cli.cache

    def reset(self) -> None:
        """Have the project as it was: locked, built, run and accepted."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder, symlinks=True)

    def forget_wheels(self) -> None:
        """Take all out of the store that is not of the base, and the record of the image."""
        for path in self.store.glob("layers/*.json"):
            if self._base not in path.read_text():
                path.unlink()
        for path in (*self.store.glob("sha256/??/*"), *self.store.glob("checked/*")):
            if path.name != self._base:
                path.unlink()
        self.forget_image()

    def forget_image(self) -> None:
        """Take out only what is made when all layers are there: the record, the folders."""
        for path in self.store.glob("unpacked/*"):
            if path.name.partition(".")[0] != self._base:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.folder / LOCKS / seal.IMAGE_RECORD).unlink(missing_ok=True)

    @property
    def _base(self) -> str:
        return base_digest(self.template)


def base_digest(project: Path) -> str:
    """The digest (hex) of a built project's base layer."""
    record = (project / LOCKS / seal.IMAGE_RECORD).read_bytes()
    layers = dict(parse_image(record, where="image.toml").layers)
    return layers["base"].removeprefix("sha256:")


@pytest.fixture(scope="session")
def three_template(
    cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cli, Path]]:
    """The command (with its store and index), and the project as it was accepted."""
    root = tmp_path_factory.mktemp("three")
    template, store = root / "template", root / "store"
    (template / "data").mkdir(parents=True)
    (template / "data" / "numbers.csv").write_text("value\n1\n")
    (template / "repro.toml").write_text(TINY_CONFIG)
    (template / "requirements.in").write_text("".join(f"{name}\n" for name in NAMES))
    (template / "analysis.py").write_text(ANALYSIS)
    with serving() as server:
        for number, name in enumerate(NAMES):
            recipe = Recipe(name=name, files={f"{name}.py": f"VALUE = {number}\n".encode()})
            server.add_index({recipe.filename: make_wheel(recipe)}, project=name)
        extra = {
            **pip_settings(f"{server.address}/simple/"),
            "DOCKER_HOST": f"unix://{root}/no-docker.sock",
        }
        shared = Cli(cache=cache, folder=template, extra=extra)
        for words in (["snapshot"], ["build"]):
            answer = shared(*words)
            assert answer.code == 0, answer
        share_base(cache, store, template)
        cli = Cli(cache=store, folder=template, extra=extra)
        for words in (["run"], ["accept", "--reason", "old"]):
            answer = cli(*words)
            assert answer.code == 0, answer
        yield Cli(cache=store, folder=root / "project", extra=extra), template


def share_base(cache: Path, store: Path, project: Path) -> None:
    """Have the base layer of a built project in another store too."""
    base = base_digest(project)
    names = [path for path in cache.glob("layers/*.json") if base in path.read_text()]
    for path in (cache / "sha256" / base[:2] / base, *names):
        target = store / path.relative_to(cache)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another file system
            shutil.copy2(path, target)


@pytest.fixture
def three(three_template: tuple[Cli, Path]) -> Three:
    """The project as it was accepted."""
    cli, template = three_template
    found = Three(cli=cli, template=template)
    found.reset()
    return found
