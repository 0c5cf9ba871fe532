"""Every source of a locked artifact, emulated on loopback, with the real locked bytes."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest

from repro.ecosystems.apt.fetch import release_dates
from repro.ecosystems.pip import bytecode, layout
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.layers import LayerTarget, recipes
from repro.ecosystems.pip.wheel import wheel_of
from repro.engines.sandbox.unpack import unpacked
from repro.locks import apt, seal
from repro.models.image import Layer
from repro.models.lock import Deb
from repro.store.artifacts import Store
from repro.workflows.lockfiles import read_lock
from tests.faults.server import Certificate, Reply, Server, serving
from tests.support import TINY_CONFIG, Cli
from tests.wheelhouse import Recipe, make_wheel

LOCKS = Path("lockfiles/linux-amd64")
RECIPE = Recipe()
WHEEL = f"/files/{RECIPE.filename}"
PAGE = "/simple/demo/"
SECRET = "hunter2"
INDEX_LOGIN = f"index-user:index-{SECRET}"
APT_LOGIN = ("apt-user", f"apt-{SECRET}")


@dataclass(frozen=True, kw_only=True)
class World:
    """A locked project of one wheel, the command with an empty store, and all that it may ask.

    Index and mirror want a login, which only the user's own configuration holds.
    """

    cli: Cli
    server: Server
    debs: tuple[Deb, ...]
    artifacts: Store

    @property
    def store(self) -> Store:
        """The store of the command."""
        return Store(self.cli.cache)

    def deb(self, name: str) -> Deb:
        """The locked package of that name."""
        [found] = [deb for deb in self.debs if deb.name == name]
        return found

    def content(self, deb: Deb) -> bytes:
        """The locked bytes."""
        return self.artifacts.read(deb.sha256, label=deb.name)

    def serve(self, debs: Sequence[Deb]) -> None:
        """Have the mirror hold these packages."""
        for deb in debs:
            self.server.replies[on_mirror(deb)] = Reply(body=self.content(deb))

    def in_archive(self, deb: Deb) -> str:
        """The path of a package in the snapshot archive, half a day after its release's date."""
        sealed = seal.parse((self.cli.folder / LOCKS / seal.SEAL).read_bytes(), where="repro.lock")
        moment = release_dates(sealed.provenance)[deb.archive][0] + timedelta(hours=12)
        state = moment.strftime("%Y%m%dT%H%M%SZ")
        return f"/archive/{deb.archive}/{state}/{quote(deb.filename, safe='/~')}"

    def configure(self, text: str) -> None:
        """Add to repro.toml, above its tables."""
        path = self.cli.folder / "repro.toml"
        path.write_text(text + path.read_text())

    def written(self) -> bytes:
        """Every byte that the command left in its project and its store (artifacts apart)."""
        files = [p for p in self.cli.folder.rglob("*") if p.is_file() and not p.is_symlink()]
        files += [
            p
            for p in self.cli.cache.rglob("*")
            if p.is_file() and "sha256" not in p.relative_to(self.cli.cache).parts
        ]
        return b"".join(path.read_bytes() for path in files)

    def half_written(self) -> list[str]:
        """Files in the command's store that are no whole artifact and no lock."""
        names = (p.relative_to(self.cli.cache) for p in self.cli.cache.rglob("*") if p.is_file())
        whole = re.compile(
            r"sha256/([0-9a-f]{2})/\1[0-9a-f]{62}|locks/.+|layers/[0-9a-f]{64}.json"
            r"|checked/[0-9a-f]{64}"
        )
        return [name.as_posix() for name in names if not whole.fullmatch(name.as_posix())]


def on_mirror(deb: Deb) -> str:
    """The path of a package below the emulated mirror."""
    return f"/{deb.archive}/{quote(deb.filename, safe='/~')}"


@pytest.fixture(scope="session")
def locked_project(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one wheel, locked by the real command against an index on loopback."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "repro.toml").write_text(TINY_CONFIG)
    (folder / "requirements.in").write_text("demo\n")
    with serving() as server:
        server.add_index({RECIPE.filename: make_wheel(RECIPE)}, project="demo")
        cli = Cli(cache=cache, folder=folder)
        answer = cli("snapshot", env=pip_settings(f"{server.address}/simple/"))
    assert answer.code == 0, answer
    return folder


def pip_settings(address: str) -> dict[str, str]:
    """pip's and uv's environment with this one index."""
    cleared = dict.fromkeys(("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_FIND_LINKS"), "")
    cleared |= dict.fromkeys(("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"), "")
    return {**cleared, "PIP_INDEX_URL": address, "PIP_CONFIG_FILE": "/dev/null"}


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A project locked to one wheel, by the real hash of the bytes that a test gave.

    The command works over the store that the tests share, which has all but this wheel: only
    the index on loopback has it, until the test breaks it. No docker, so that a build which ends
    well leaves no image behind.
    """

    cli: Cli
    server: Server
    sha256: str
    keys: Sequence[str]
    """Of the layers that would be made of this wheel."""

    def has_wheel(self) -> bool:
        """Whether the wheel is in the store."""
        return Store(self.cli.cache).has(self.sha256)

    def layers(self) -> list[Layer]:
        """The layers in the store that were made of this wheel."""
        store = Store(self.cli.cache)
        return [layer for key in self.keys if (layer := store.layer(key)) is not None]

    def forget(self) -> None:
        """Have nothing of the wheel in the store."""
        store = Store(self.cli.cache)
        store.path(self.sha256).unlink(missing_ok=True)
        for layer in self.layers():
            (store.root / "layers" / f"{layer.key}.json").unlink()
            store.layer_path(layer).unlink(missing_ok=True)
            (store.root / "checked" / store.layer_path(layer).name).unlink(missing_ok=True)
            folder = unpacked(store, layer)
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.seal").unlink(missing_ok=True)


Pin = Callable[..., Pinned]


@pytest.fixture
def pin(locked_project: Path, cache: Path, tmp_path: Path) -> Iterator[Pin]:
    """Return the function that makes a Pinned of a wheel's bytes; `tls` has it on https."""
    with ExitStack() as stack:

        def pinned(data: bytes, *, tls: Certificate | None = None) -> Pinned:
            folder = tmp_path / "pinned"
            shutil.copytree(locked_project, folder, symlinks=True)
            (folder / LOCKS / "image.toml").unlink(missing_ok=True)
            sha256 = repin(folder, make_wheel(RECIPE), data)
            server = stack.enter_context(serving(tls))
            server.add_index({RECIPE.filename: data}, project="demo")
            address = server.address.replace("://", f"://{INDEX_LOGIN}@")
            extra = {
                **pip_settings(f"{address}/simple/"),
                "DOCKER_HOST": f"unix://{tmp_path}/no-docker.sock",
                **({} if tls is None else {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}),
            }
            cli = Cli(cache=cache, folder=folder, extra=extra, secrets=(SECRET,))
            made = Pinned(cli=cli, server=server, sha256=sha256, keys=layer_keys(folder, cache))
            made.forget()
            stack.callback(made.forget)
            return made

        yield pinned


def layer_keys(folder: Path, cache: Path) -> tuple[str, ...]:
    """The keys of the layers above the base that a locked project has, bytecode among them."""
    lock, store = read_lock(folder / LOCKS, root=folder), Store(cache)
    target = LayerTarget.of(lock)
    nobody = cast("Builder", None)  # nothing is made here
    found = [one.key for one in recipes(lock.pip, target=target, store=store, builder=nobody)]
    for item in lock.pip:
        wheel, at = wheel_of(item, store), layout.of(target.interpreter)
        found.append(bytecode.key(wheel, at, target.identity))
    return tuple(found)


def fresh_wheel() -> bytes:
    """A wheel of which no layer was ever built."""
    return make_wheel(Recipe(files={"demo.py": f"VALUE = '{uuid.uuid4()}'\n".encode()}))


def repin(folder: Path, old: bytes, new: bytes) -> str:
    """Have the lock name another file's content, sealed anew; return its sha256."""
    was, now = seal.digest(old), seal.digest(new)
    path, sealed = folder / LOCKS / seal.PIP_LOCK, folder / LOCKS / seal.SEAL
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))
    found = sealed.read_text().replace(f"size = {len(old)}\n", f"size = {len(new)}\n")
    found = found.replace(was, now)
    sealed.write_text(found.replace(seal.digest(text.encode()), seal.digest(path.read_bytes())))
    return now


@pytest.fixture
def world(locked_project: Path, cache: Path, tmp_path: Path) -> Iterator[World]:
    """That project with an empty store; mirror and index have everything."""
    folder = tmp_path / "project"
    shutil.copytree(locked_project, folder, symlinks=True)
    (folder / LOCKS / "image.toml").unlink(missing_ok=True)
    debs = apt.parse((folder / LOCKS / "apt.lock").read_text(), where="apt.lock")
    with serving() as server:
        machine = server.address.removeprefix("http://")
        auth = tmp_path / "auth.conf"
        auth.write_text(f"machine http://{machine} login {APT_LOGIN[0]} password {APT_LOGIN[1]}\n")
        settings = tmp_path / "apt.conf"
        settings.write_text(f'Dir::Etc::netrc "{auth}";\n')
        address = server.address.replace("://", f"://{INDEX_LOGIN}@")
        cli = Cli(
            cache=tmp_path / "store",
            folder=folder,
            extra={**pip_settings(f"{address}/simple/"), "APT_CONFIG": str(settings)},
            secrets=(SECRET,),
        )
        server.add_index({RECIPE.filename: make_wheel(RECIPE)}, project="demo")
        found = World(cli=cli, server=server, debs=debs, artifacts=Store(cache))
        fetched(found, cache)
        found.serve(debs)
        found.configure(f'[apt]\nmirror = "{server.address}"\nsnapshot = "{server.address}"\n')
        yield found


def fetched(world: World, cache: Path) -> None:
    """Have the locked packages in the store that the tests share, from the host's own mirrors."""
    if all(world.artifacts.has(deb.sha256) for deb in world.debs):
        return
    cli = replace(world.cli, cache=cache, extra=pip_settings(f"{world.server.address}/simple/"))
    answer = cli("build")
    assert answer.code == 0, answer
    (world.cli.folder / LOCKS / "image.toml").unlink()
