"""Which daemon, chosen as docker's own command line chooses it; and the words when it is silent."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import pytest

from repro.engines.docker.address import DEFAULT, Address, current_address, unreachable
from repro.errors import EngineError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docker"
    made.mkdir()
    return made


def write_context(folder: Path, name: str, endpoint: object, *, tls: bool = False) -> None:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    record = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(record))
    if tls:
        (folder / "contexts" / "tls" / digest / "docker").mkdir(parents=True)


def address(folder: Path, **environment: str) -> Address:
    return current_address({"DOCKER_CONFIG": str(folder), **environment})


def test_nothing_said_is_the_default_socket(folder: Path) -> None:
    assert address(folder) == Address(url=DEFAULT)
    assert address(folder).socket == Path("/var/run/docker.sock")


@pytest.mark.parametrize(
    "config", ["{}", '{"currentContext": "default"}', '{"currentContext": ""}']
)
def test_default_context_is_the_default_socket(folder: Path, config: str) -> None:
    (folder / "config.json").write_text(config)
    assert address(folder, DOCKER_HOST="  ", DOCKER_CONTEXT="") == Address(url=DEFAULT)


def test_docker_host_goes_before_every_context(folder: Path) -> None:
    (folder / "config.json").write_text('{"currentContext": "gone"}')
    found = address(folder, DOCKER_HOST="unix:///run/x.sock", DOCKER_CONTEXT="gone too")
    assert found == Address(url="unix:///run/x.sock", origin="DOCKER_HOST", verify=False)
    assert found.socket == Path("/run/x.sock")


def test_docker_context_goes_before_the_configured_one(folder: Path) -> None:
    (folder / "config.json").write_text('{"currentContext": "gone"}')
    write_context(folder, "desk", {"Host": "unix:///run/desk.sock"})
    found = address(folder, DOCKER_CONTEXT="desk")
    assert found.url == "unix:///run/desk.sock"
    assert "docker context 'desk', chosen in DOCKER_CONTEXT" in str(found)


def test_configured_context_is_honoured(folder: Path) -> None:
    (folder / "config.json").write_text('{"currentContext": "far"}')
    write_context(folder, "far", {"Host": "tcp://192.0.2.1:2376", "SkipTLSVerify": False}, tls=True)
    found = address(folder)
    assert found.url == "tcp://192.0.2.1:2376"
    assert found.socket is None
    assert found.verify
    assert found.certificates is not None
    assert "config.json" in found.origin


def test_context_needs_no_config_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_context(folder, "desk", {"Host": "unix:///run/desk.sock", "SkipTLSVerify": True})
    monkeypatch.chdir(folder.parent)
    assert address(folder, DOCKER_CONTEXT="desk").url == "unix:///run/desk.sock"


def test_certificates_of_the_environment(folder: Path) -> None:
    host = "tcp://192.0.2.1:2376"
    plain = address(folder, DOCKER_HOST=host)
    checked = address(folder, DOCKER_HOST=host, DOCKER_TLS_VERIFY="1")
    chosen = address(folder, DOCKER_HOST=host, DOCKER_CERT_PATH="/certs")
    assert (plain.certificates, plain.verify) == (None, False)
    assert (checked.certificates, checked.verify) == (folder, True)
    assert (chosen.certificates, chosen.verify) == (Path("/certs"), False)


def test_missing_context_is_named(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"docker context 'gone', .* does not exist") as caught:
        address(folder, DOCKER_CONTEXT="gone")
    assert "docker context use default" in str(caught.value)
    assert "--engine sandbox" in str(caught.value)


@pytest.mark.parametrize("endpoint", [{}, {"Host": ""}, {"Host": 3}, None, []])
def test_context_without_a_host_is_refused(folder: Path, endpoint: object) -> None:
    write_context(folder, "odd", endpoint)
    with pytest.raises(EngineError, match="names no Docker host"):
        address(folder, DOCKER_CONTEXT="odd")


@pytest.mark.parametrize("text", ["{", "[]", "\udcff", "3"])
def test_damaged_configuration_is_named(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(EngineError, match=r"config\.json"):
        address(folder)


@pytest.mark.parametrize("url", ["unix:///a/b.sock", "unix://a/b.sock", "http+unix:///a/b.sock"])
def test_socket_paths(url: str) -> None:
    assert Address(url=url).socket == Path("/a/b.sock")


def wrapped(error: OSError) -> Exception:
    """As requests and the SDK wrap it."""
    outer = RuntimeError("Error while fetching server API version: ...")
    outer.__cause__ = ConnectionError("Connection aborted.", error)
    return outer


@pytest.mark.parametrize(
    ("error", "address", "says", "remedy"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), Address(url=DEFAULT),
         "no Docker daemon answers at unix:///var/run/docker.sock: no such file",
         "sudo systemctl start docker"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
         Address(url="tcp://127.0.0.1:1", origin="DOCKER_HOST"),
         "tcp://127.0.0.1:1 (from DOCKER_HOST): connection refused", "correct DOCKER_HOST"),
        (PermissionError(errno.EACCES, "Permission denied"), Address(url=DEFAULT),
         "may not use the Docker daemon at unix:///var/run/docker.sock: permission denied",
         "sudo usermod -aG docker"),
        (TimeoutError("timed out"),
         Address(url="tcp://192.0.2.1:1", origin="docker context 'x', chosen in DOCKER_CONTEXT"),
         "docker context 'x', chosen in DOCKER_CONTEXT): it did not answer in time",
         "docker context use default"),
    ],
)  # fmt: skip
def test_silence_is_explained(error: OSError, address: Address, says: str, remedy: str) -> None:
    for form in (error, wrapped(error)):
        said = unreachable(address, form)
        assert said.exit_code == 5
        assert says in said.message
        assert said.hint is not None
        assert remedy in said.hint
        assert "--engine sandbox" in said.hint


def test_ssh_without_its_library_says_both_ways() -> None:
    address = Address(url="ssh://me@build.example.org", origin="DOCKER_HOST")
    error = unreachable(address, ImportError("Install paramiko package to enable ssh:// support"))
    assert "docker[ssh]" in (error.hint or "")
    assert "-L /tmp/docker.sock:/var/run/docker.sock me@build.example.org" in (error.hint or "")
