"""A real Docker daemon of the test's own, to be killed or filled up: up in half a second.

    with private_daemon(size=200 << 20) as daemon:
        tiny("--engine", "docker", "run", env=daemon.env)
        daemon.kill()       # SIGKILL: its containers live on, as after any crash
        daemon.start()      # over the same data, as systemd does

`elsewhere=True` gives one that does not see this machine's files, as one on another machine or in
a container: it lives in a mount namespace of its own where /tmp and /var/tmp are empty, and listens
on loopback too (`tcp`).

Its images lie on a tmpfs of `size` bytes, so `size` is also how large its disk is. It has its
own socket, its own containerd and no network. Afterwards it, its containers, its control groups
and its mounts are gone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

HIDDEN = ("/tmp", "/var/tmp")
"""Where the tests' projects and caches lie, which a daemon elsewhere must not see."""

UP = 30.0
"""Seconds that it may take to start or to end."""


class PrivateDaemon:
    """One daemon over one folder; `folder/root` is its disk."""

    def __init__(self, folder: Path, *, elsewhere: bool = False) -> None:
        self.folder = folder
        self.elsewhere = elsewhere
        self.port = _free_port() if elsewhere else 0
        self.socket = folder / "docker.sock"
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, as `base_url` and DOCKER_HOST take it."""
        return f"unix://{self.socket}"

    @property
    def tcp(self) -> str:
        """Its address in the network."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def env(self) -> Mapping[str, str]:
        """The variable that sends a command to it."""
        return {"DOCKER_HOST": self.url}

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + UP
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the daemon alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        # It took its containerd with it, as a zombie that a new daemon would mistake for alive.
        (self.folder / "exec/containerd/containerd.pid").unlink()

    def stop(self) -> None:
        """End it as the service manager does: its containers end, then it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(UP)

    def client(self) -> docker.APIClient:
        """The SDK on it."""
        return docker.APIClient(base_url=self.url, version="auto")

    def containers(self) -> list[dict[str, Any]]:
        """All its containers, running or not."""
        client = self.client()
        try:
            found: list[dict[str, Any]] = client.containers(all=True)
            return found
        finally:
            client.close()

    def _command(self) -> list[str]:
        configuration = self.folder / "daemon.json"
        configuration.write_text(json.dumps({}))
        hidden = " && ".join(f"mount -t tmpfs tmpfs {folder}" for folder in HIDDEN)
        apart = ["unshare", "--mount", "sh", "-c", f'{hidden} && exec "$@"', "sh"]
        return [
            *(apart if self.elsewhere else ()),
            "dockerd",
            *(("--host", self.tcp, "--tls=false") if self.elsewhere else ()),
            *("--config-file", str(configuration)),
            *("--data-root", str(self.folder / "root")),
            *("--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "docker.pid")),
            *("--host", self.url),
            *("--bridge", "none", "--iptables=false", "--ip-masq=false"),
            *("--cgroup-parent", f"/{self.folder.name}"),
        ]

    def _answers(self) -> bool:
        try:
            client = self.client()
        except docker.errors.DockerException:
            return False
        client.close()
        return True


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


@contextmanager
def private_daemon(*, size: int, elsewhere: bool = False) -> Iterator[PrivateDaemon]:
    """A daemon that has `size` bytes of disk; skips where none can be started."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("a daemon of its own needs dockerd and root")
    folder = Path(tempfile.mkdtemp(prefix="repro-dockerd-", dir="/run" if elsewhere else "/tmp"))
    (folder / "root").mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", folder / "root"],
        check=True,
    )
    daemon = PrivateDaemon(folder, elsewhere=elsewhere)
    try:
        daemon.start()
        yield daemon
    finally:
        _remove(daemon)


@pytest.fixture(scope="session")
def own_daemon() -> Iterator[PrivateDaemon]:
    """A daemon that a test may kill, if it starts it again."""
    with private_daemon(size=1 << 30) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def daemon_elsewhere() -> Iterator[PrivateDaemon]:
    """A daemon that does not see this machine's files."""
    with private_daemon(size=2 << 30, elsewhere=True) as daemon:
        yield daemon


def _remove(daemon: PrivateDaemon) -> None:
    """End the daemon and what a killed one left running; unmount; remove."""
    if daemon._process is None or daemon._process.poll() is not None:
        daemon.start()  # it ends the containers that it finds, and its containerd
    daemon.stop()
    for target in reversed(mounts_below(daemon.folder)):
        subprocess.run(["umount", target], check=True)
    shutil.rmtree(daemon.folder)
    for group in Path("/sys/fs/cgroup").glob(f"**/{daemon.folder.name}"):
        group.rmdir()


def mounts_below(folder: Path) -> list[str]:
    """Mount points below a folder, parents first. Format: proc(5), mountinfo."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    targets = (line.split()[4] for line in lines)
    return [target for target in targets if target.startswith(f"{folder}/")]
