"""Taking over conda packages: out of conda-lock's lock and out of pixi's, on the tests' channel."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conda_channel import CondaChannel
from tests.conda_exe import write_conda
from tests.conda_packages import PYTHON
from tests.faults.server import serving
from tests.faults.sources import pip_settings
from tests.integration.test_conda_lock import CONDA_LOCK
from tests.integration.test_pip import wheels
from tests.support import Cli, assert_refused
from tests.wheelhouse import Recipe, make_wheel

pytestmark = pytest.mark.network

CONFIG = '[environment]\nsuite = "bookworm"\n'
CHANGES = [("libtiny", "1.2.3 h0_0", "1.3.0 h0_0")]


def environment(channel: CondaChannel, *specs: str) -> str:
    listed = "".join(f"  - {spec}\n" for spec in specs)
    return f"channels:\n  - {channel.address}\ndependencies:\n{listed}"


@pytest.fixture
def cli(tmp_path: Path, cache: Path) -> Cli:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "repro.toml").write_text(CONFIG)
    return Cli(cache=cache, folder=folder)


def locked(cli: Cli) -> dict[str, str]:
    text = (cli.folder / "lockfiles/conda-lock.yml").read_text()
    return dict(re.findall(r"^- name: '(.*)'\n  version: '(.*)'$", text, re.MULTILINE))


def test_what_conda_lock_chose_stays(conda_channel: CondaChannel, cli: Cli, tmp_path: Path) -> None:
    """Made with older versions; the channel and the inputs would allow newer ones since."""
    source = tmp_path / "made/environment.yml"
    source.parent.mkdir()
    python = f"python {PYTHON}.*"
    source.write_text(environment(conda_channel, python, "libtiny <1.3", "toolz <1"))
    words = ("lock", "-f", source.name, "-p", "linux-64", "--lockfile", "conda-lock.yml")
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [CONDA_LOCK, *words, "--conda", write_conda(tmp_path)],
        cwd=source.parent,
        env=environ,
        check=True,
        capture_output=True,
    )
    file = source.with_name("conda-lock.yml")
    inputs = cli.folder / "environment.yml"
    inputs.write_text(environment(conda_channel, python, "libtiny", "toolz"))
    assert cli("snapshot", "--adopt", str(file)).code == 0
    assert {"libtiny": "1.2.3", "toolz": "0.12.1"}.items() <= locked(cli).items()
    assert cli("status", "--json").json()["lock"] == {"stale": [], "edited": []}
    moved = cli("snapshot", "--upgrade", "libtiny", "--json").json()["changes"]
    assert [(one["name"], one["old"], one["new"]) for one in moved] == CHANGES


WRITE = """
import json, os, sys
from rattler import BuildString, PackageRecord, RepoDataRecord
from rattler.lock import LockChannel, LockFile, LockPlatform
job = json.load(sys.stdin)
platform = LockPlatform("linux-64")
lock = LockFile([platform])
lock.set_channels("default", [LockChannel(job["channel"])])
for item in job["conda"]:
    said = PackageRecord(
        name=item["name"], version=item["version"], build=BuildString(item["build"]),
        build_number=0, subdir=item["subdir"], depends=list(item["depends"]),
        sha256=bytes.fromhex(item["sha256"]), md5=bytes.fromhex(item["md5"]), size=item["size"],
    )
    address = f"{item['channel']}/{item['subdir']}/{item['filename']}"
    record = RepoDataRecord(said, item["filename"], address, item["channel"])
    lock.add_conda_package("default", platform, record)
lock.add_pypi_package("default", platform, "lib", "2.0", job["pypi"])
lock.to_path("pixi.lock")
os._exit(0)
"""
"""py-rattler's own writer; in a process of its own, because it may crash when that ends."""

LIST = "import importlib.metadata as m; print({d.name: d.version for d in m.distributions()})"


def test_pixi_lock_gives_its_inputs_and_the_image(conda_channel: CondaChannel, cli: Cli) -> None:
    lib = Recipe(name="lib", version="2.0")
    names = (f"python-{PYTHON}", "libtiny-1.2.3", "toolz-0.12.1")
    with serving() as index:
        index.add_index(wheels(lib, Recipe(name="lib", version="2.1")), project="lib")
        sha256 = hashlib.sha256(make_wheel(lib)).hexdigest()
        records = [
            one
            for part in ("linux-64", "noarch")
            for one in sorted((conda_channel.folder / part).glob("*.*"))
            if one.name.startswith(names)
        ]
        job = {
            "channel": f"{conda_channel.address}/",
            "conda": [
                {
                    key: getattr(one, key)
                    for key in (
                        *("name", "version", "build", "subdir", "channel", "filename"),
                        *("sha256", "md5", "size", "depends"),
                    )
                }
                for one in conda_channel.locked(*(path.name for path in records))
            ],
            "pypi": f"{index.address}/files/{lib.filename}",
        }
        subprocess.run(
            [sys.executable, "-c", WRITE],
            input=json.dumps(job).encode(),
            cwd=cli.folder,
            env={**os.environ},
            check=True,
        )
        file = cli.folder / "pixi.lock"
        # a hash of pip's packages is what pixi writes, and what this binding cannot be given
        file.write_text(
            file.read_text().replace("  name: lib\n", f"  sha256: {sha256}\n  name: lib\n")
        )
        settings = pip_settings(f"{index.address}/simple/")
        answer = cli("snapshot", "--adopt", "pixi.lock", "--json", env=settings)
        assert answer.code == 0, answer
        found = answer.json()
        [written] = found["inputs"]
        assert written["path"] == "environment.yml"
        assert (cli.folder / "environment.yml").read_text() == written["text"]
        assert cli("status", "--json").json()["lock"] == {"stale": [], "edited": []}
        assert {"libtiny": "1.2.3", "toolz": "0.12.1"}.items() <= locked(cli).items()
        ran = cli("run", "--engine", "sandbox", "--", "python", "-c", LIST, env=settings)
    assert ran.code == 0, ran
    assert {"toolz": "0.12.1", "lib": "2.0"}.items() <= ast.literal_eval(ran.out).items()


def test_conda_packages_want_a_conda_input(cli: Cli) -> None:
    (cli.folder / "requirements.in").write_text("six\n")
    sample = Path(__file__).parent.parent / "unit/data/foreign/pixi/6.lock"
    (cli.folder / "pixi.lock").write_bytes(sample.read_bytes())
    answer = cli("snapshot", "--adopt", "pixi.lock")
    assert_refused(answer, 2, "pixi.lock holds conda packages", "environment.yml", "six")
