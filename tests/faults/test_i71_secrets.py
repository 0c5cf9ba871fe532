"""I71: credentials of indexes, apt sources and git addresses get nowhere but to their servers.

Planted where users have them; then snapshot, build, run, accept and verify of a real project, and
every file that was written, all that was said, and the image as docker gives it out, are searched.
"""

from __future__ import annotations

import base64
import shutil
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from repro.locks import apt
from tests.faults.archive import Archive, State, signing_key
from tests.faults.server import Reply, Server, serving
from tests.faults.sources import LOCKS, RECIPE, fresh_wheel
from tests.support import Cli, write_tiny
from tests.watch import faulted, watching

pytestmark = pytest.mark.network

INDEX, EXTRA, APT, GIT = (f"canary-{name}-7f3a" for name in ("index", "extra", "apt", "git"))
SECRETS = (INDEX, EXTRA, APT, GIT)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A project whose two indexes and apt source want logins, which the user's own files have."""

    cli: Cli
    index: Server
    mirror: Server


@pytest.fixture
def planted(locked_project: Path, cache: Path, tmp_path: Path) -> Iterator[Planted]:
    folder = tmp_path / "project"
    write_tiny(folder)
    (folder / "requirements.in").write_text("demo\n")
    debs = apt.parse((locked_project / LOCKS / "apt.lock").read_text(), where="apt.lock")
    with serving() as index, serving() as mirror, signing_key(tmp_path / "k") as key:
        index.add_index({RECIPE.filename: fresh_wheel()}, project="demo")
        archive = Archive(server=mirror)
        archive.stands(State(packages=debs, key=key))
        settings = tmp_path / "pip.conf"
        first, second = (
            index.address.replace("://", f"://user:{secret}@") for secret in (INDEX, EXTRA)
        )
        settings.write_text(
            f"[global]\nindex-url = {first}/simple/\nextra-index-url = {second}/extra/simple/\n"
        )
        config = archive.sources(tmp_path / "apt", key.ring, login=f"user:{APT}@")
        extra = {"PIP_CONFIG_FILE": str(settings), "APT_CONFIG": str(config)}
        extra |= dict.fromkeys(("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX"), "")
        extra |= dict.fromkeys(("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"), "")
        cli = Cli(cache=cache, folder=folder, extra=extra, secrets=SECRETS)
        yield Planted(cli=cli, index=index, mirror=mirror)


def test_i71_they_are_in_nothing_that_is_written_or_said(planted: Planted) -> None:
    client = daemon()
    began = time.time() - 1
    changes = ["lockfiles", "baseline", "out"]
    with watching(planted.cli, changes=changes) as watch:
        for words in (
            ("snapshot",),
            ("build", "--json"),
            ("run",),
            ("accept", "--reason", "first"),
            ("verify",),
            ("verify", "--json"),
            ("status",),
        ):
            answer = watch.cli(*words)
            watch.said(answer.out + answer.err)
            assert answer.code == 0, (words, answer)
    assert logins(planted.index) == {f"user:{INDEX}", f"user:{EXTRA}"}, "they were in use"
    assert logins(planted.mirror) == {f"user:{APT}"}
    written = [*files(planted.cli.folder, 0), *files(planted.cli.cache, began)]
    assert any(path.name.endswith("_InRelease") for path in written), "apt's lists are looked at"
    for path in written:
        data = b""
        with suppress(FileNotFoundError):
            data = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in data], path
    record = (planted.cli.folder / LOCKS / "image.toml").read_text()
    image = tomllib.loads(record)["image-id"]
    try:
        loaded = client.images.get(image)
        saved = b"".join(loaded.save())
        about = repr((loaded.attrs, loaded.history())).encode()
    finally:
        client.images.remove(image, force=True)
        client.close()
    assert len(saved) > 50 << 20, "layers and all"
    for secret in SECRETS:
        assert secret.encode() not in saved
        assert secret.encode() not in about
    for path in {path.parent for path in written if path.name.endswith("_InRelease")}:
        shutil.rmtree(path.parent)  # the lists of an archive that is gone


def daemon() -> docker.DockerClient:
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.skip(f"no docker daemon: {error}")
    return client


def logins(server: Server) -> set[str]:
    """What was sent as `user:password`."""
    sent = (one.removeprefix("Basic ") for one in server.authorizations if one)
    return {base64.b64decode(one).decode() for one in sent}


def files(folder: Path, since: float) -> Iterator[Path]:
    """Regular files below a folder that were written since then, unpacked layers left out."""
    for path in folder.rglob("*"):
        if "unpacked" in path.relative_to(folder).parts or path.is_symlink():
            continue
        with suppress(FileNotFoundError):  # another test's, in the store that all share
            if path.is_file() and path.stat().st_mtime >= since:
                yield path


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"demo @ git+https://user:{GIT}@127.0.0.1:1/demo.git", 2),
        (f"-e git+https://{GIT}@127.0.0.1:1/demo.git#egg=demo", 2),
        (f"--extra-index-url https://user:{GIT}@127.0.0.1:1/simple", 2),
        (f"demo @ https://user:{GIT}@127.0.0.1:1/demo-1.0-py3-none-any.whl?sig={GIT}", 2),
    ],
)
def test_i71_an_address_in_the_requirements_is_refused_without_its_login(
    planted: Planted, line: str, code: int
) -> None:
    (planted.cli.folder / "requirements.in").write_text(f"{line}\n")
    faulted(planted.cli, "snapshot", code=code, says=["requirements.in"])


@pytest.mark.parametrize("status", [403, 500])
def test_i71_nor_in_what_uv_or_apt_say_when_they_fail(planted: Planted, status: int) -> None:
    """To uv an index that lets nobody in is an empty one: that is no fault of the requirements."""
    for path in list(planted.index.replies):
        planted.index.replies[path] = Reply(status=status)
    env = {"UV_HTTP_RETRIES": "0"}
    faulted(planted.cli, "snapshot", code=6, says=["/simple/demo/", str(status)], env=env)
    for path in list(planted.mirror.replies):
        planted.mirror.replies[path] = Reply(status=status)
    faulted(planted.cli, "snapshot", code=6, says=["cannot be fetched", "127.0.0.1", str(status)])
