"""`repro vendor`, and builds from its folder: offline, and where there is no network at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.locks import seal
from repro.models.image import EPOCH
from repro.models.lock import PipArtifact, SourceBuild
from tests.faults.server import Server
from tests.sources_built import locked
from tests.support import Cli

pytestmark = pytest.mark.network

LOCKS = Path("lockfiles/linux-amd64")


@dataclass(frozen=True, kw_only=True)
class Vendoring:
    """The locked project, the command over the store that the tests share, and its index."""

    cli: Cli
    server: Server

    @property
    def folder(self) -> Path:
        return self.cli.folder / "vendor"

    def object(self, sha256: str) -> Path:
        """Where the vendored folder has it by content."""
        return self.folder / "sha256" / sha256[:2] / sha256

    def locked(self, name: str) -> tuple[PipArtifact, SourceBuild]:
        """The locked source distribution of that name, and its build."""
        sealed = seal.parse((self.cli.folder / LOCKS / seal.SEAL).read_bytes(), where="repro.lock")
        [found] = [item for item in sealed.pip if item.name == name]
        assert found.build is not None
        return found, found.build


@pytest.fixture(scope="module")
def template(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendoring]:
    folder = tmp_path_factory.mktemp("sources") / "project"
    with locked(folder, cache) as (cli, server):
        answer = cli("build")
        assert answer.code == 0, answer
        yield Vendoring(cli=cli, server=server)


@pytest.fixture
def vendoring(template: Vendoring, tmp_path: Path) -> Vendoring:
    folder = tmp_path / "project"
    shutil.copytree(template.cli.folder, folder)
    return replace(template, cli=replace(template.cli, folder=folder))


def cut_off(cli: Cli, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a network namespace that has no route and no interface up."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    prefix = [
        "unshare",
        "--net",
        "sh",
        "-ec",
        'test -z "$(cat /proc/net/route | tail -n +2)"; exec "$@"',
    ]
    argv = [*prefix, "sh", sys.executable, "-m", "repro", *words]
    return subprocess.run(
        argv, cwd=cli.folder, env=cli.env, capture_output=True, text=True, check=False
    )


def test_a_machine_without_any_network_builds_the_same_image(
    vendoring: Vendoring, tmp_path: Path
) -> None:
    """From an empty store: also what a source distribution needs to be built there again."""
    answer = vendoring.cli("vendor", "--json")
    assert answer.code == 0, answer
    said = answer.json()
    checked = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(checked, cwd=vendoring.folder, check=True)
    files = [path for path in vendoring.folder.rglob("*") if path.is_file()]
    assert (said["files"], said["added"]) == (len(files) - 1, len(files) - 1)
    _, steady = vendoring.locked("steady")
    vendoring.object(steady.sha256).unlink()  # what can be built again may be missing
    vendoring.server.replies.clear()

    away = replace(vendoring.cli, cache=tmp_path / "store", extra={})
    recorded = tomllib.loads((away.folder / LOCKS / "image.toml").read_text())
    done = cut_off(away, "--engine", "sandbox", "build", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    assert recorded["image-id"] in done.stdout
    assert "building layers" in done.stderr
    run = cut_off(away, "--engine", "sandbox", "run", "--offline")
    assert run.returncode == 0, run.stderr
    metrics = json.loads((away.folder / "out" / "metrics.json").read_text())
    assert metrics == {"demo": 1, "network": False, "epoch": EPOCH}
