"""What is asked of a docker socket without the SDK: only a full answer counts."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from repro.engines.docker import peek
from repro.engines.docker.address import Address, current_address
from repro.engines.docker.engine import Docker
from tests.integration.docker_daemon import Bench, bench, host_store

__all__ = ["bench", "host_store"]

VERSION = {"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}


@contextmanager
def saying(folder: Path, answer: bytes | None) -> Iterator[Address]:
    """A socket that gives this answer to whatever is asked; None: it never says a word."""
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            line, _ = server.accept()
            line.recv(1 << 16)
            if answer is None:
                line.recv(1)  # until the other side gives up
            else:
                line.sendall(answer)
            line.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address(url=f"unix://{path}")
        thread.join(10)


def http(body: object, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n".encode() + (
        body if isinstance(body, bytes) else json.dumps(body).encode()
    )


def test_the_answer_of_a_daemon_counts(tmp_path: Path) -> None:
    with saying(tmp_path, http(VERSION)) as address:
        assert peek.answers(address)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="not http"),
        pytest.param(http(VERSION, "500 Internal Server Error"), id="error"),
        pytest.param(http(VERSION)[:-3], id="cut"),
        pytest.param(http([VERSION]), id="no object"),
        pytest.param(http(b"<html>"), id="no json"),
        pytest.param(http(b"\xff\xfe{"), id="no text"),
        pytest.param(http({}), id="nothing said"),
        pytest.param(http(VERSION | {"Arch": "arm64"}), id="another platform"),
        pytest.param(http(VERSION | {"ApiVersion": "1.24"}), id="too old"),
        pytest.param(http(VERSION | {"ApiVersion": "new.1"}), id="no version"),
    ],
)
def test_whatever_else_comes_is_left_to_the_sdk(answer: bytes, tmp_path: Path) -> None:
    with saying(tmp_path, answer) as address:
        assert not peek.answers(address)


def test_silence_is_left_to_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peek, "PATIENCE", 0.1)
    with saying(tmp_path, None) as address:
        assert not peek.answers(address)


def test_no_socket_and_a_network_address_are_left_to_the_sdk(tmp_path: Path) -> None:
    assert not peek.answers(Address(url=f"unix://{tmp_path / 'none'}"))
    assert not peek.answers(Address(url="tcp://127.0.0.1:1"))


@pytest.mark.docker
def test_an_image_that_is_there_needs_no_sdk(bench: Bench) -> None:
    fresh = Docker(bench.store)
    assert fresh.probe() is None
    fresh.load(bench.image)
    assert fresh._connected is None


@pytest.mark.docker
def test_an_image_is_known_by_its_id_and_layers(bench: Bench) -> None:
    address = current_address({})
    assert peek.holds(address, bench.image)
    other = replace(bench.image, config=bench.image.config + b" ")
    assert not peek.holds(address, other)  # its name is not there
    layer = replace(bench.image.layers[0], digest="sha256:" + "0" * 64)
    assert not peek.holds(address, replace(bench.image, layers=(layer,)))


def test_a_name_that_stands_for_another_image_is_not_enough(tmp_path: Path, bench: Bench) -> None:
    layers = [layer.digest for layer in bench.image.layers]
    said = {"Id": "sha256:" + "0" * 64, "RootFS": {"Layers": layers}}
    with saying(tmp_path, http(said)) as address:
        assert not peek.holds(address, bench.image)
    (tmp_path / "socket").unlink()
    with saying(tmp_path, http(said | {"Id": bench.image.id})) as address:
        assert peek.holds(address, bench.image)
