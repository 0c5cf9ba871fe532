"""F46: daemon down, no permission, wrong context: exit 5, the socket named, and what to do."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repro.engines.docker.engine import Docker
from repro.errors import EngineError
from repro.store.artifacts import Store
from tests.host_image import host_image
from tests.support import Cli
from tests.watch import faulted

ANY_USER = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach (pytest's own are closed to them)."""
    made = Path(tempfile.mkdtemp(prefix="repro-f46-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield server


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Be nobody in particular where these tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(ANY_USER)
    try:
        yield
    finally:
        os.seteuid(0)


def refused(folder: Path, *, base_url: str | None = None) -> EngineError:
    """Ask for the engine's health and for a load: both must say the same, the first as a value."""
    store = Store(folder / "store")
    engine = Docker(store, base_url=base_url)
    reason = engine.probe()
    with pytest.raises(EngineError) as caught:
        engine.load(host_image(store))
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert reason == f"{caught.value.message} ({caught.value.hint})"
    assert "--engine sandbox" in caught.value.hint
    return caught.value


def test_f46_no_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = folder / "gone.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{dead}")
    error = refused(folder)
    assert f"no Docker daemon answers at unix://{dead} (from DOCKER_HOST)" in error.message
    assert "no such file or directory" in error.message
    assert "correct DOCKER_HOST" in str(error.hint)


def test_f46_socket_of_a_dead_daemon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = folder / "dead.sock"
    with listening(dead):
        pass  # the file stays, nobody listens any more
    monkeypatch.setenv("DOCKER_HOST", f"unix://{dead}")
    error = refused(folder)
    assert str(dead) in error.message
    assert "connection refused" in error.message


def test_f46_no_permission(folder: Path) -> None:
    closed = folder / "closed.sock"
    store = Store(folder / "store")
    image = host_image(store)
    with listening(closed):
        closed.chmod(0o600 if os.geteuid() == 0 else 0)
        with ordinary_user(), pytest.raises(EngineError) as caught:
            Docker(store, base_url=f"unix://{closed}").load(image)
    assert caught.value.exit_code == 5
    assert "user nobody may not use" in caught.value.message or os.geteuid() != 0
    assert str(closed) in caught.value.message
    assert "permission denied" in caught.value.message
    assert "sudo usermod -aG docker" in str(caught.value.hint)


def test_f46_daemon_that_is_silent(folder: Path) -> None:
    silent = folder / "silent.sock"
    with listening(silent):
        error = refused(folder, base_url=f"unix://{silent}")
    assert str(silent) in error.message
    assert "did not answer in time" in error.message


def _reply_nonsense(server: socket.socket) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:  # the test is over
            return
        with line:
            if line.recv(1 << 16):  # else it was only a knock
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def test_f46_something_else_answers(folder: Path) -> None:
    other = folder / "other.sock"
    with listening(other) as server:
        threading.Thread(target=_reply_nonsense, args=(server,), daemon=True).start()
        error = refused(folder, base_url=f"unix://{other}")
        server.shutdown(socket.SHUT_RDWR)
    assert str(other) in error.message


def test_f46_network_address_is_dead(folder: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    error = refused(folder, base_url=f"tcp://127.0.0.1:{port}")
    assert f"tcp://127.0.0.1:{port}" in error.message
    assert "connection refused" in error.message


@pytest.mark.parametrize("url", ["gopher://x", "tcp://127.0.0.1", "fd://3", "ssh://"])
def test_f46_address_that_is_none(folder: Path, url: str) -> None:
    assert url in refused(folder, base_url=url).message


def write_context(folder: Path, name: str, host: str) -> None:
    """Write a context as `docker context create` does."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


@pytest.fixture
def dead_context(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's current context names a host on which nothing runs."""
    write_context(folder / "docker", "desktop", f"unix://{folder}/desktop.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / "docker"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    return folder / "desktop.sock"


def test_f46_context_of_a_dead_host(folder: Path, dead_context: Path) -> None:
    error = refused(folder)
    assert f"unix://{dead_context}" in error.message
    assert "docker context 'desktop', chosen in" in error.message
    assert "docker context use default" in str(error.hint)


def test_f46_context_that_does_not_exist(
    folder: Path, dead_context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "typo")
    error = refused(folder)
    assert "docker context 'typo', chosen in DOCKER_CONTEXT, does not exist" in error.message


@pytest.mark.docker
def test_f46_context_is_honoured(folder: Path, dead_context: Path) -> None:
    """A live daemon at the default socket is not used behind the user's back."""
    assert Docker(Store(folder / "store")).probe() is not None
    dead_context.symlink_to("/var/run/docker.sock")
    assert Docker(Store(folder / "store")).probe() is None


@pytest.mark.network
@pytest.mark.parametrize("fault", ["no socket", "dead", "nonsense", "context"])
def test_f46_the_command_says_it(tiny: Cli, folder: Path, fault: str) -> None:
    """The engine that was asked for is not replaced by another; the verdict is unknown."""
    address = folder / "other.sock"
    env = {"DOCKER_HOST": f"unix://{address}"}
    says = [str(address), "--engine sandbox"]
    with socket.socket(socket.AF_UNIX) as server:
        if fault == "context":
            write_context(folder / "docker", "desktop", f"unix://{address}")
            env = {"DOCKER_CONFIG": str(folder / "docker"), "DOCKER_HOST": ""}
            says.append("docker context 'desktop'")
        elif fault != "no socket":
            server.bind(str(address))
        if fault == "nonsense":
            server.listen()
            threading.Thread(target=_reply_nonsense, args=(server,), daemon=True).start()
        for command in ("verify", "run"):
            faulted(tiny, "--engine", "docker", command, code=5, says=says, env=env)
        if fault == "nonsense":
            server.shutdown(socket.SHUT_RDWR)


@pytest.mark.network
def test_f46_without_being_asked_for_docker_the_sandbox_serves(tiny: Cli, folder: Path) -> None:
    env = {"DOCKER_HOST": f"unix://{folder}/gone.sock"}
    answer = faulted(tiny, "verify", "--json", code=0, env=env)
    assert answer.json()["engine"] == "sandbox"
