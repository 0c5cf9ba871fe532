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
from repro.store.artifacts import Store
from tests.faults.server import Server
from tests.faults.sources import layer_keys
from tests.sources_built import locked
from tests.support import Cli, assert_refused
from tests.watch import faulted

pytestmark = pytest.mark.network

LOCKS = Path("lockfiles/linux-amd64")


@dataclass(frozen=True, kw_only=True)
class Vendoring:
    """The locked project, the command over the store that the tests share, and its index."""

    cli: Cli
    server: Server
    wheel: bytes = b""
    """Of the source distribution that builds otherwise every time: what its lock keeps."""

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
        made = Vendoring(cli=cli, server=server)
        _, build = made.locked("restless")
        wheel = Store(cache).read(build.sha256, label="restless")
        yield replace(made, wheel=wheel)


@pytest.fixture
def vendoring(template: Vendoring, tmp_path: Path) -> Iterator[Vendoring]:
    """A private copy; the store and the index have all that they had at first."""
    folder = tmp_path / "project"
    shutil.copytree(template.cli.folder, folder)
    _, build = template.locked("restless")
    Store(template.cli.cache).put([template.wheel], build.sha256, label="restless")
    replies = dict(template.server.replies)
    yield replace(template, cli=replace(template.cli, folder=folder))
    template.server.replies.update(replies)


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
    """With what a source distribution needs to be built there again.

    Only the base is in the store already, for speed: test_three_ecosystems begins with none.
    """
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
    share_base(vendoring.cli.cache, away.cache, digest=recorded["layers"][0]["digest"])
    done = cut_off(away, "--engine", "sandbox", "build", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    assert recorded["image-id"] in done.stdout
    assert "building layers" in done.stderr
    run = cut_off(away, "--engine", "sandbox", "run", "--offline")
    assert run.returncode == 0, run.stderr
    metrics = json.loads((away.folder / "out" / "metrics.json").read_text())
    assert metrics == {"demo": 1, "network": False, "epoch": EPOCH}


def share_base(source: Path, target: Path, *, digest: str) -> None:
    """Have one layer of a store in another one, and nothing else."""
    store = Store(source)
    records = [one for one in (source / "layers").iterdir() if digest in one.read_text()]
    base = store.layer(records[0].stem)
    assert base is not None
    assert (base.name, base.digest) == ("base", digest)
    with store.layer_path(base).open("rb") as file:
        Store(target).keep_layer(base.name, base.key, lambda new: shutil.copyfileobj(file, new))


def test_the_wheel_of_a_build_that_differs_is_kept(vendoring: Vendoring) -> None:
    """The lock says so. Without store and folder nothing else has it; either is enough."""
    restless, build = vendoring.locked("restless")
    assert build.reproducible is False
    assert vendoring.locked("steady")[1].reproducible is True
    assert vendoring.cli("vendor").code == 0
    assert vendoring.object(build.sha256).is_file()
    store = Store(vendoring.cli.cache)
    shutil.rmtree(vendoring.folder / "sha256" / build.sha256[:2])
    forget(vendoring.cli, build.sha256)

    answer = vendoring.cli("build")
    assert_refused(answer, 6, "pip restless 1.0", build.wheel, "repro vendor", "--upgrade restless")
    assert_refused(vendoring.cli("vendor"), 6, "pip restless 1.0")
    locked = (vendoring.cli.folder / LOCKS / seal.SEAL).read_bytes()
    assert vendoring.cli("snapshot").code == 0
    assert (vendoring.cli.folder / LOCKS / seal.SEAL).read_bytes() == locked, "nothing may move"
    answer = vendoring.cli("snapshot", "--upgrade", "restless")
    assert answer.code == 0, answer
    assert "warning: pip restless 1.0: two builds of restless-1.0.tar.gz gave two" in answer.err
    assert vendoring.locked("restless")[1].sha256 != build.sha256
    assert vendoring.cli("build").code == 0
    (vendoring.cli.folder / LOCKS / seal.SEAL).write_bytes(locked)
    (vendoring.cli.folder / LOCKS / "image.toml").unlink()
    source = vendoring.object(restless.sha256)
    assert source.is_file()
    vendoring.object(build.sha256).parent.mkdir(exist_ok=True)
    vendoring.object(build.sha256).write_bytes(vendoring.wheel)
    source.unlink()  # what is built already needs no source
    store.path(restless.sha256).unlink()
    vendoring.server.replies.pop("/files/restless-1.0.tar.gz")
    assert vendoring.cli("build").code == 0
    assert store.has(build.sha256)


def forget(cli: Cli, sha256: str) -> None:
    """Have neither an object nor the layers above the base in the store."""
    store = Store(cli.cache)
    store.path(sha256).unlink()
    for key in layer_keys(cli.folder, cli.cache):
        (store.root / "layers" / f"{key}.json").unlink(missing_ok=True)


def test_a_wheel_that_nobody_kept_is_built_for_the_folder(vendoring: Vendoring) -> None:
    _, build = vendoring.locked("steady")
    Store(vendoring.cli.cache).path(build.sha256).unlink()
    assert vendoring.cli("vendor").code == 0
    assert vendoring.object(build.sha256).is_file()


def test_what_the_baseline_needs_stays(vendoring: Vendoring) -> None:
    """An old environment is compared with as long as its baseline stands."""
    assert vendoring.cli("--engine", "sandbox", "accept", "--reason", "old").code == 0
    steady, build = vendoring.locked("steady")
    (vendoring.cli.folder / "requirements.in").write_text("demo\nrestless\n")
    assert vendoring.cli("snapshot").code == 0
    answer = vendoring.cli("vendor", "--prune", "--json").json()
    assert answer["obsolete"] == []
    for sha256 in (steady.sha256, build.sha256):
        assert vendoring.object(sha256).is_file()
    shutil.rmtree(vendoring.cli.folder / "baseline")
    answer = vendoring.cli("vendor", "--prune", "--json").json()
    assert answer["pruned"] is True
    gone = {name.rpartition("/")[2] for name in answer["obsolete"]}
    assert gone == {steady.sha256, build.sha256}
    assert not vendoring.object(steady.sha256).exists()


def test_only_what_is_missing_or_damaged_is_written(tiny: Cli) -> None:
    assert tiny("vendor").code == 0
    folder = tiny.folder / "vendor"
    before = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    one, two, *_ = sorted(path for path in before if path.name != "SHA256SUMS")
    two_data = two.read_bytes()
    two.unlink()
    two.write_bytes(two_data[:-1])
    one.unlink()

    answer = tiny("vendor", "--json").json()

    assert (answer["added"], answer["obsolete"], answer["pruned"]) == (2, [], False)
    after = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    assert {path for path in before if before[path] != after[path]} <= {one, two}
    assert two.read_bytes() == two_data
    seen = tiny("--engine", "sandbox", "run", "--", "ls").out.split()
    assert "analysis.py" in seen
    assert "vendor" not in seen
    assert tiny("--engine", "sandbox", "verify", "--offline").code == 0


def test_another_folder_is_said_to_the_build(tiny: Cli, tmp_path: Path) -> None:
    faulted(tiny, "vendor", "..", code=2, says=["name one for nothing else"])
    [note] = tiny("vendor", "kept", "--json").json()["notes"]
    assert 'vendor = "kept"' in note
    config = tiny.folder / "repro.toml"
    config.write_text('vendor = "kept"\n' + config.read_text())
    assert tiny("vendor", "--json").json()["notes"] == []
    [note] = tiny("vendor", str(tmp_path / "away"), "--json").json()["notes"]
    assert "outside of the project" in note


def test_git_is_kept_from_large_folders(tiny: Cli) -> None:
    """Until it ignores them, or keeps them in LFS."""

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "safe.directory=*", *words], cwd=tiny.folder, check=True)

    def notes() -> list[str]:
        found: list[str] = tiny("vendor", "--json").json()["notes"]
        return found

    assert notes() == []
    git("init", "--quiet")
    [note] = notes()
    assert "git would keep every version" in note
    (tiny.folder / ".gitattributes").write_text("vendor/sha256/** filter=lfs\n")
    assert notes() == []
    (tiny.folder / ".gitattributes").unlink()
    (tiny.folder / ".gitignore").write_text("/vendor/\n")
    assert notes() == []
