"""A project locked to one conda package, by the real hash of the bytes that a test made."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.ecosystems.apt.resolve import AptResolution
from repro.ecosystems.conda import layer as conda_layer
from repro.engines.sandbox.unpack import unpacked
from repro.models.lock import CondaPackage
from repro.models.project import PLATFORM
from repro.project.load import load_project
from repro.store.artifacts import Store
from repro.workflows.lockfiles import read_lock
from repro.workflows.locking import Resolution, all_files, sealed
from tests.conda_archives import Package
from tests.faults.server import Reply, Server, serving
from tests.support import TINY_CONFIG, Cli


@dataclass(frozen=True, kw_only=True)
class PinnedConda:
    """A project whose lock has one conda package, which only a channel on loopback serves.

    The command works over the store that the tests share, which has all but this package. No
    docker, so that a build which ends well leaves no image behind.
    """

    cli: Cli
    server: Server
    package: CondaPackage

    @property
    def path(self) -> str:
        """The path of the archive on the server."""
        return f"/channel/{self.package.subdir}/{self.package.filename}"

    def layer_made(self) -> bool:
        """Whether a layer of the package is in the store."""
        return Store(self.cli.cache).layer(conda_layer.key([self.package])) is not None

    def forget(self) -> None:
        """Have nothing of the package in the store."""
        store = Store(self.cli.cache)
        key = conda_layer.key([self.package])
        if (layer := store.layer(key)) is not None:
            store.layer_path(layer).unlink(missing_ok=True)
            folder = unpacked(store, layer)
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.seal").unlink(missing_ok=True)
        (store.root / "layers" / f"{key}.json").unlink(missing_ok=True)
        for folder in (store.path(self.package.sha256).parent, store.root / "checked"):
            (folder / self.package.sha256).unlink(missing_ok=True)


PinConda = Callable[..., PinnedConda]


@pytest.fixture
def pin_conda(tiny: Cli, tmp_path: Path) -> Iterator[PinConda]:
    """Return the function that makes a PinnedConda of a package, or of other bytes in its place."""
    with ExitStack() as stack:

        def pinned(package: Package, data: bytes | None = None) -> PinnedConda:
            data = package.archive() if data is None else data
            server = stack.enter_context(serving())
            locked = replace(
                package.locked(f"{server.address}/channel"),
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
            )
            lock_conda(tiny.folder, server.address, locked)
            extra = {"DOCKER_HOST": f"unix://{tmp_path}/no-docker.sock"}
            made = PinnedConda(cli=replace(tiny, extra=extra), server=server, package=locked)
            server.replies[made.path] = Reply(body=data)
            made.forget()
            stack.callback(made.forget)
            return made

        yield pinned


def lock_conda(folder: Path, address: str, package: CondaPackage) -> None:
    """Have the project ask for a conda package, and lock it."""
    (folder / "repro.toml").write_text(
        TINY_CONFIG.replace('python = "3.11"', 'python = "3.11"\nconda = "environment.yml"')
    )
    (folder / "environment.yml").write_text(
        f"channels: [{address}/channel]\ndependencies: [{package.name}]\n"
    )
    project = load_project(folder).project
    was = read_lock(folder / "lockfiles" / PLATFORM, root=folder)
    found = Resolution(
        platform=PLATFORM,
        python=was.seal.python,
        debs=AptResolution(debs=was.debs, provenance=was.seal.provenance),
        conda=(package,),
    )
    for name, data in all_files(project.environment, sealed(project.environment, [found])).items():
        (folder / "lockfiles" / name).write_bytes(data)
    (folder / "lockfiles" / PLATFORM / "image.toml").unlink(missing_ok=True)
