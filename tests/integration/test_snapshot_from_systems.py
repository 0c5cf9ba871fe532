"""`repro snapshot --from` a container, an image, a conda prefix and this machine: the real ones."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.ecosystems.apt.installed import asked_for, read_debs
from repro.ecosystems.tree import Folder
from repro.locks import apt, conda
from tests.conda_channel import CondaChannel
from tests.environments import Venv, make_conda, serve_index
from tests.faults.server import Server, serving
from tests.faults.sources import pip_settings
from tests.support import Cli, assert_refused

LOCKS = Path("lockfiles/linux-amd64")

pytestmark = pytest.mark.network


@pytest.fixture
def server() -> Iterator[Server]:
    """An index of Python packages."""
    with serving() as server:
        serve_index(server)
        yield server


def beside(cli: Cli, server: Server) -> Cli:
    """The command in an empty project beside the one of `cli`, with that index."""
    folder = cli.folder.parent / "other"
    folder.mkdir()
    return Cli(cache=cli.cache, folder=folder, extra=pip_settings(f"{server.address}/simple/"))


def debs(cli: Cli) -> dict[str, str]:
    """{package: version} of a project's lock."""
    text = (cli.folder / LOCKS / "apt.lock").read_text()
    return {deb.name: deb.version for deb in apt.parse(text, where="apt.lock")}


def lines(path: Path) -> list[str]:
    """What an input file asks for."""
    return [line for line in path.read_text().splitlines() if line and line[0] != "#"]


class TestDocker:
    """A container made of an image that repro built, with apt's own marks put into it."""

    @pytest.fixture
    def source(self, tiny: Cli) -> Cli:
        """The small project with one apt package, built into docker."""
        config = (tiny.folder / "repro.toml").read_text()
        config = config.replace('python = "3.11"', 'python = "3.11"\napt = ["tree"]')
        (tiny.folder / "repro.toml").write_text(config)
        assert tiny("snapshot").code == 0
        answer = tiny("build", "--engine", "docker", "--json")
        if answer.code == 5:
            pytest.skip(answer.err)
        assert answer.code == 0, answer
        return tiny

    def image_id(self, cli: Cli) -> str:
        recorded = tomllib.loads((cli.folder / LOCKS / "image.toml").read_text())
        return str(recorded["image-id"])

    def test_a_container_is_locked_as_it_is(self, source: Cli, server: Server) -> None:
        import docker

        client = docker.from_env()
        name = f"repro-test-{uuid.uuid4().hex[:12]}"
        client.api.create_container(self.image_id(source), command=["true"], name=name)
        try:
            marks = "".join(
                f"Package: {package}\nArchitecture: amd64\nAuto-Installed: 1\n\n"
                for package in debs(source)
                if package != "tree"
            )
            client.api.put_archive(name, "/", tar_of("var/lib/apt/extended_states", marks))
            other = beside(source, server)
            answer = other("snapshot", "--from", f"container:{name}", "--json")
        finally:
            client.api.remove_container(name, force=True)
        assert answer.code == 0, answer
        said = answer.json()
        assert lines(other.folder / "apt.txt") == ["tree"], "only what was asked for"
        assert said["suite"] == "bookworm"
        assert debs(other) == debs(source), "the versions that are installed"
        built = other("build", "--engine", "sandbox")
        assert built.code == 0, built
        assert self.image_id(other) == self.image_id(source), "the same image, bit for bit"

    def test_an_image_is_read_and_what_is_older_than_the_archive_is_named(
        self, source: Cli, server: Server
    ) -> None:
        import docker

        client = docker.from_env()
        reference = f"127.0.0.1:9/from-{uuid.uuid4().hex[:12]}:1"
        name = f"repro-test-{uuid.uuid4().hex[:12]}"
        status = "Package: tree\nStatus: install ok installed\nArchitecture: amd64\n"
        status += "Version: 0.9-1\n\nPackage: own-tool\nStatus: install ok installed\n"
        status += "Architecture: amd64\nVersion: 1.0\n"
        client.api.create_container(self.image_id(source), command=["true"], name=name)
        try:
            client.api.put_archive(name, "/", tar_of("var/lib/dpkg/status", status))
            client.api.commit(name, repository=reference.removesuffix(":1"), tag="1")
            other = beside(source, server)
            answer = other("snapshot", "--from", f"image:{reference}")
            assert_refused(
                answer, 3, "apt tree 0.9-1: no archive has this version any more",
                "apt own-tool 1.0: is in none of the configured archives", "--upgrade", "--as-of",
            )  # fmt: skip
            assert [path.name for path in other.folder.iterdir()] == []
            asked = ("snapshot", "--from", f"image:{reference}", "--without", "own-*", "--upgrade")
            assert other(*asked, "tree").code == 0
            assert debs(other)["tree"] == debs(source)["tree"]
        finally:
            client.api.remove_container(name, force=True)
            client.api.remove_image(reference, force=True)


def test_a_container_that_is_not_there(cache: Path, tmp_path: Path) -> None:
    answer = Cli(cache=cache, folder=tmp_path)("snapshot", "--from", "container:repro-test-absent")
    if answer.code == 5:
        pytest.skip(answer.err)
    assert_refused(answer, 2, "repro-test-absent", "docker ps")


def tar_of(path: str, text: str) -> bytes:
    """A tar of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(path)
        info.size = len(text.encode())
        tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_a_conda_prefix_is_locked_with_what_pip_put_into_it(
    cache: Path, tmp_path: Path, conda_channel: CondaChannel, server: Server
) -> None:
    prefix = make_conda(tmp_path / "prefix", conda_channel.address, "python", "toolz <1", "libtiny")
    folder = tmp_path / "project"
    folder.mkdir()
    cli = Cli(cache=cache, folder=folder, extra=pip_settings(f"{server.address}/simple/"))
    index = f"{server.address}/simple/"
    venv = Venv(folder=prefix, env={**cli.env, "UV_DEFAULT_INDEX": index, "UV_NO_CACHE": "1"})
    venv.uv("tool", "--break-system-packages")
    answer = cli("snapshot", "--from", f"conda:{prefix}", "--json")
    assert answer.code == 0, answer
    assert answer.json()["packages"]["pip"] == 1
    text = (folder / "environment.yml").read_text()
    asked = [line.strip(' -"') for line in text.splitlines() if line.startswith("  - ")]
    assert asked[0] == conda_channel.address
    assert {spec.split()[0].split("<")[0].split("=")[0] for spec in asked[1:-1]} == {
        "python", "toolz", "libtiny",
    }  # fmt: skip
    assert '      - "tool"' in text
    lock = conda.parse((folder / "lockfiles/conda-lock.yml").read_text(), where="conda-lock.yml")
    found = {one.filename: one.sha256 for one in lock.of("linux-64")}
    records = {
        json.loads(path.read_text())["fn"]: json.loads(path.read_text())["sha256"]
        for path in (prefix / "conda-meta").glob("*.json")
    }
    assert found == records
    assert cli("status").code == 0

    (prefix / "lib/python3.11/site-packages/toolz/__init__.py").write_text("changed\n")
    again = cli("snapshot", "--from", f"conda:{prefix}")
    assert again.code == 0, again
    assert "conda toolz: changed after it was installed" in " ".join(again.out.split())


def test_what_this_machine_was_asked_for_is_what_apt_says() -> None:
    found = read_debs(Folder())
    if not found or not Path("/var/lib/apt/extended_states").is_file():
        pytest.skip("no Debian, or apt has marked nothing here")
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in query.stdout.splitlines()]
    known = {(name, version) for state, name, version in rows if state.startswith(("ii", "hi"))}
    assert {(one.name, one.version) for one in found} == known
    shown = subprocess.run(["apt-mark", "showmanual"], capture_output=True, text=True, check=True)
    manual = {name.partition(":")[0] for name in shown.stdout.split()}
    assert {one.name for one in found if not one.automatic} == manual
    asked = asked_for(found, suite="bookworm", python="3.11")
    assert set(asked.asked) <= manual
    every = [*asked.asked, *asked.recommended, *asked.needed, *asked.rest]
    assert sorted(every) == sorted({one.name for one in found})
