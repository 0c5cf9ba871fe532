"""The real daemon in tests: an engine on it, its containers, and a line that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from repro.engines.docker.engine import Docker
from repro.models.execution import Execution, Job, Mount
from repro.models.image import Image
from repro.models.project import Limits
from repro.store.artifacts import Store
from tests.host_image import host_image


class Bench:
    """The engine, an image in it, and a stage; `said` is the log of the last job."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self.engine = Docker(store)
        self.image: Image = host_image(store)
        self.stage = folder / "stage"
        self.stage.mkdir()
        self.log = folder / "log"

    @property
    def said(self) -> str:
        """What the last job printed."""
        return self.log.read_text(errors="replace")

    def job(self, *steps: tuple[str, ...], limits: Limits | None = None, **more: Any) -> Job:
        """Make a job of these steps over the stage."""
        return Job(
            image=more.pop("image", self.image),
            steps=steps,
            stage=self.stage,
            env=more.pop("env", ()),
            limits=limits or Limits(timeout=60),
            log=self.log,
            **more,
        )

    def shell(
        self,
        script: str,
        *,
        limits: Limits | None = None,
        mounts: tuple[Mount, ...] = (),
        **more: Any,
    ) -> Execution:
        """Run one step, a shell script."""
        job = self.job(("sh", "-c", script), limits=limits, mounts=mounts, **more)
        return self.engine.run(job)

    def containers(self) -> list[dict[str, Any]]:
        """The containers over this stage, running or not (other tests have theirs)."""
        client = docker.APIClient(version="auto")
        found = []
        for item in client.containers(all=True, filters={"label": "repro=1"}):
            if any(mount["Source"] == str(self.stage) for mount in item["Mounts"]):
                found.append(item)
        client.close()
        return found

    def remove_all(self) -> None:
        """Clean up after a test that cut the line."""
        client = docker.APIClient(version="auto")
        for item in self.containers():
            client.remove_container(item["Id"], force=True)
        client.close()


@pytest.fixture(scope="session")
def host_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the layer of this machine's tools."""
    return Store(tmp_path_factory.mktemp("docker") / "store")


@pytest.fixture
def bench(tmp_path: Path, host_store: Store) -> Iterator[Bench]:
    """An engine on the live daemon, the image loaded, an empty stage."""
    bench = Bench(tmp_path, host_store)
    if (reason := bench.engine.probe()) is not None:
        pytest.skip(f"docker: {reason}")
    bench.engine.load(bench.image)
    yield bench
    bench.remove_all()


class Cable:
    """A unix socket in front of the real daemon's, which can be cut.

    `refuse_once`: the first request whose head holds these bytes fails, as an engine's would
    that does not know what it is asked.
    """

    def __init__(self, path: Path, refuse_once: bytes | None) -> None:
        self.path = path
        self.refused = 0
        self._refuse_once = refuse_once
        self._open: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:  # it was cut
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        head = near.recv(1 << 12, socket.MSG_PEEK)
        if self._refuse_once is not None and self._refuse_once in head:
            self._refuse_once = None
            self.refused += 1
            with near:
                near.sendall(REFUSAL)
            return
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        far.connect("/var/run/docker.sock")
        self._open += [near, far]
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()

    def cut(self) -> None:
        """End every connection and take no new one."""
        self.path.unlink(missing_ok=True)
        for item in (self._server, *self._open):
            try:
                item.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue


REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b'Content-Length: 29\r\n\r\n{"message":"no such blob: x"}\n'
)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # cut, or the other end is gone
        return


@contextmanager
def cable(folder: Path, *, refuse_once: bytes | None = None) -> Iterator[Cable]:
    """A line to the daemon, gone afterwards."""
    line = Cable(folder / "cable.sock", refuse_once)
    try:
        yield line
    finally:
        line.cut()


def socket_group() -> int:
    """The group that may use the daemon's socket."""
    return Path("/var/run/docker.sock").stat().st_gid
