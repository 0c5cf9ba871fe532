"""H62: the analysis opens the network; nothing is reachable, on either engine."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from repro.models.execution import Ending
from tests.contract.conftest import Bench, bench, contract_image, contract_store, engine

__all__ = ["bench", "contract_image", "contract_store", "engine"]
pytestmark = pytest.mark.network  # once a machine: the image is bootstrapped from the mirror

SECRET = b"the host's own service"


class _Service(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(SECRET)


@pytest.fixture
def service() -> Iterator[int]:
    """A real TCP service on the host's loopback; its port."""
    with socketserver.TCPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        port: int = server.server_address[1]
        with socket.create_connection(("127.0.0.1", port)) as line:  # it is really there
            assert line.recv(100) == SECRET
        yield port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.7"])
def test_an_address_outside(bench: Bench, address: str) -> None:
    text = f"import socket; socket.create_connection(({address!r}, 80), timeout=5)"
    ran = bench.python(text)
    assert (ran.execution.ending, ran.code) == (Ending.EXITED, 1)
    assert not ran.execution.succeeded
    assert "Network is unreachable" in ran.log


def test_a_name(bench: Bench) -> None:
    ran = bench.python("import socket; print(socket.getaddrinfo('example.org', 80))")
    assert ran.code == 1
    assert "gaierror" in ran.log
    assert ran.execution.seconds < 20


def test_the_hosts_own_services(bench: Bench, service: int) -> None:
    ran = bench.python(f"import socket; socket.create_connection(('127.0.0.1', {service}), 5)")
    assert ran.code == 1
    assert "Connection refused" in ran.log
    assert SECRET.decode() not in ran.log


def test_only_loopback_is_there(bench: Bench) -> None:
    ran = bench.python("import socket; print([name for _, name in socket.if_nameindex()])")
    assert ran.log == "['lo']\n"


def test_loopback_works_inside(bench: Bench) -> None:
    """Programs that talk to themselves (job pools, notebooks) still can."""
    text = """\
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b"hello")).start()
print(socket.create_connection(server.getsockname()).recv(10))
"""
    assert bench.python(text).log == "b'hello'\n"


@pytest.mark.parametrize(
    "make",
    [
        "socket.socket(40, socket.SOCK_STREAM)",  # AF_VSOCK: past network namespaces
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    ],
)
def test_other_ways_out(bench: Bench, make: str) -> None:
    text = f"""\
import socket
way = {make}
way.settimeout(3)
way.connect((2, 1024) if way.family == 40 else ("127.0.0.1", 1))
"""
    assert bench.python(text).code == 1


def test_the_hosts_abstract_sockets(bench: Bench) -> None:
    """They belong to a network namespace, and so do the desktop's and the session bus'."""
    name = f"\0repro-h62-{id(bench)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        text = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
        ran = bench.python(text)
    assert ran.code == 1
    assert "Connection refused" in ran.log
