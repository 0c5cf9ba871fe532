"""Where the daemon is, chosen as docker's own command line chooses it, and why it is silent.

Precedence (docker/cli, `resolveContextName`): DOCKER_HOST, DOCKER_CONTEXT, `currentContext` of
`config.json`, the default socket. The SDK's reader of contexts is not used: without a
config.json it looks for them in the working directory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.errors import EngineError

DEFAULT = "unix:///var/run/docker.sock"
OTHER_ENGINE = "or use the engine that needs no daemon: --engine sandbox"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A daemon's address; `origin` says where it comes from ("" for the default).

    `certificates` is a folder with ca.pem, cert.pem and key.pem; `verify` whether the daemon's
    own certificate is checked.
    """

    url: str
    origin: str = ""
    certificates: Path | None = None
    verify: bool = True

    @property
    def socket(self) -> Path | None:
        """The unix socket, None for a network address."""
        scheme, _, rest = self.url.partition("://")
        return Path("/" + rest.lstrip("/")) if scheme in ("unix", "http+unix") else None

    def __str__(self) -> str:
        return f"{self.url} (from {self.origin})" if self.origin else self.url


def current_address(environment: Mapping[str, str]) -> Address:
    """Return the daemon that docker's command line would use. Raises EngineError."""
    folder = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if host := environment.get("DOCKER_HOST", "").strip():
        return Address(
            url=host,
            origin="DOCKER_HOST",
            certificates=_certificates(environment, folder),
            verify=bool(environment.get("DOCKER_TLS_VERIFY")),
        )
    if name := environment.get("DOCKER_CONTEXT", ""):
        origin = "DOCKER_CONTEXT"
    else:
        name, origin = _current_context(folder), str(folder / "config.json")
    if name in ("", "default"):
        return Address(url=DEFAULT)
    return _context_address(folder, name, origin)


def _certificates(environment: Mapping[str, str], folder: Path) -> Path | None:
    chosen = environment.get("DOCKER_CERT_PATH", "")
    if chosen:
        return Path(chosen)
    return folder if environment.get("DOCKER_TLS_VERIFY") else None


def _current_context(folder: Path) -> str:
    path = folder / "config.json"
    if not os.path.isfile(path):  # noqa: PTH113 - False also where the folder is closed to us
        return "default"
    return str(_read(path).get("currentContext") or "default")


def _context_address(folder: Path, name: str, origin: str) -> Address:
    """Format: docker/cli's context store, folders named by the sha256 of the context's name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "contexts" / "meta" / digest / "meta.json"
    said = f"docker context {name!r}, chosen in {origin}"
    if not os.path.isfile(path):  # noqa: PTH113
        raise EngineError(
            f"{said}, does not exist: no {path}",
            hint=f"choose another: docker context use default; {OTHER_ENGINE}",
        )
    endpoints = _read(path).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    url = endpoint.get("Host") if isinstance(endpoint, dict) else None
    if not isinstance(url, str) or not url:
        raise EngineError(
            f"{path}: {said}, names no Docker host",
            hint=f"make it again: docker context rm {name}; {OTHER_ENGINE}",
        )
    assert isinstance(endpoint, dict)
    certificates = folder / "contexts" / "tls" / digest / "docker"
    return Address(
        url=url,
        origin=said,
        certificates=certificates if os.path.isdir(certificates) else None,  # noqa: PTH112
        verify=not endpoint.get("SkipTLSVerify"),
    )


def _read(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineError(f"{path}: cannot be read: {error}", hint="mend or remove it") from error
    if not isinstance(value, dict):
        raise EngineError(f"{path}: is not a JSON object", hint="mend or remove it")
    return value


def knock(address: Address, timeout: float) -> None:
    """Connect to a unix socket once, for the system's own word on why it fails.

    A network address is left to the SDK. Raises EngineError.
    """
    path = address.socket
    if path is None:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout)
            line.connect(str(path))
    except OSError as error:
        raise unreachable(address, error) from error


def unreachable(address: Address, error: BaseException) -> EngineError:
    """Say why the daemon cannot be had: the address, the cause, the remedy."""
    cause = _root_cause(error)
    number = cause.errno if isinstance(cause, OSError) else None
    if number in (errno.EACCES, errno.EPERM):
        user = _user()
        return EngineError(
            f"user {user} may not use the Docker daemon at {address}: permission denied",
            hint=f"join the group that owns the socket: sudo usermod -aG docker {user}, "
            f"and log in again; {OTHER_ENGINE}",
        )
    if address.url.startswith("ssh://") and "paramiko" in str(cause):
        remedy = (
            'have the SDK speak ssh: pip install "docker[ssh]"; or bring the socket here: '
            f"ssh -N -L /tmp/docker.sock:/var/run/docker.sock {address.url[6:]}, "
            "and DOCKER_HOST=unix:///tmp/docker.sock"
        )
    elif "context" in address.origin:
        remedy = "choose the context of a daemon that runs: docker context use default"
    elif address.origin:
        remedy = f"start that daemon, or correct {address.origin}"
    else:
        remedy = "start it: sudo systemctl start docker"
    return EngineError(
        f"no Docker daemon answers at {address}: {_said(cause)}", hint=f"{remedy}; {OTHER_ENGINE}"
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a number without a name
        return str(os.geteuid())


def _root_cause(error: BaseException) -> BaseException:
    """Return the system's own error, which the SDK wraps up to four times; else `error`."""
    found, seen = error, set[int]()
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        # exactly the system's: those of requests and the SDK are derived from OSError too
        if isinstance(item, OSError) and type(item).__module__ in ("builtins", "socket"):
            found = item
        todo += [*item.args, getattr(item, "reason", None), item.__context__, item.__cause__]
    return found


def _said(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "it did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[:1].lower() + cause.strerror[1:]
    return str(cause) or type(cause).__name__
