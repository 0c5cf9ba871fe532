"""The line to the daemon: connect quickly or say why not; no SDK exception gets past here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.engines.docker.address import OTHER_ENGINE, Address, knock, unreachable
from repro.engines.docker.peek import OLDEST, OLDEST_DOCKER, parsed
from repro.errors import EngineError
from repro.models.project import PLATFORM

if TYPE_CHECKING:
    from docker import APIClient

PATIENCE = 3.0
"""Seconds that a daemon has for its first answer."""

CALL = 60
"""Seconds for one call, once it has answered."""

FIRST = "asking for its version"

NO_SPACE = "no space left on device"

LOAD = 1800
"""Seconds without a sign of life while it unpacks an image."""

_UNSEEN = re.compile(
    r"bind source path does not exist|\b[ls]?statf?s? /\S.*: no such file or directory"
)
"""What Docker and Podman say of a path to bind that is not there on their machine."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class UnseenError(EngineError):
    """The daemon has no file under a path that it was to bind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Daemon:
    """A daemon that answered.

    `memory`, `pids` and `swap` say which limits its kernel enforces; `rootless` that its root is
    an ordinary user of this machine; `remapped` that it maps user numbers.
    """

    address: Address
    client: APIClient
    memory: bool
    swap: bool
    pids: bool
    rootless: bool
    remapped: bool

    def patient(self) -> APIClient:
        """Return a client of its own for the one call that may take minutes."""
        return _client(self.address, self.client.api_version, LOAD)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn whatever the SDK raises in the block into an EngineError that says what failed."""
        with _sdk_errors(self.address, what):
            yield


def connect(address: Address) -> Daemon:
    """Reach the daemon, within seconds. Raises EngineError naming address, cause and remedy."""
    knock(address, PATIENCE)
    with _sdk_errors(address, FIRST):
        client = _negotiated(address)
        facts = client.info()
        client.timeout = CALL
    system = f"{facts.get('OSType')}-{_architecture(facts)}"
    if system != PLATFORM:
        raise EngineError(
            f"the Docker daemon at {address} runs {system} containers, the lock is for {PLATFORM}",
            hint=f"use a daemon of that platform; {OTHER_ENGINE}",
        )
    security = facts.get("SecurityOptions") or []
    return Daemon(
        address=address,
        client=client,
        memory=bool(facts.get("MemoryLimit")),
        swap=bool(facts.get("SwapLimit")),
        pids=bool(facts.get("PidsLimit")),
        rootless=any("name=rootless" in option for option in security),
        remapped=any("name=userns" in option for option in security),
    )


def _architecture(facts: dict[str, Any]) -> str:
    name = str(facts.get("Architecture"))
    return _ARCHITECTURES.get(name, name)


def _negotiated(address: Address) -> APIClient:
    """A client that speaks the newest API of the daemon. Raises EngineError for one too old."""
    oldest = ".".join(map(str, OLDEST))
    client = _client(address, oldest, PATIENCE)
    try:
        newest = client.version(api_version=False)["ApiVersion"]
    finally:
        client.close()
    version = parsed(newest)
    if version is None:
        raise ValueError(f"its API version is {newest!r}")
    if version < OLDEST:
        raise EngineError(
            f"the Docker daemon at {address} is too old: its API is {newest}, and repro needs "
            f"{oldest}",
            hint=f"use Docker {OLDEST_DOCKER} or newer; {OTHER_ENGINE}",
        )
    return _client(address, newest, PATIENCE)


def _client(address: Address, version: str, timeout: float) -> APIClient:
    from docker import APIClient
    from docker.tls import TLSConfig

    tls: TLSConfig | bool = False
    if address.certificates is not None:
        folder = address.certificates
        tls = TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=address.verify,
        )
    # the SDK takes fractions of a second; its stubs say int
    return APIClient(base_url=address.url, version=version, timeout=timeout, tls=tls)  # type: ignore[arg-type]


@contextmanager
def _sdk_errors(address: Address, what: str) -> Iterator[None]:
    from docker.errors import APIError, DockerException
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as error:
        raise refusal(what, str(error.explanation or error)) from error
    except (DockerException, RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        failure = unreachable(address, error)
        message = f"docker: {what}: {failure.message}" if what != FIRST else failure.message
        raise EngineError(message, hint=failure.hint) from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise EngineError(
            f"docker: {what}: {address} does not answer as the Engine "
            f"API does: {type(error).__name__}: {error}",
            hint=f"is it a Docker daemon? {OTHER_ENGINE}",
        ) from error


def refusal(what: str, said: str) -> EngineError:
    """The daemon answered, and said no: what was asked, its words, the remedy."""
    said = said.strip()
    hint = _hint(said) or f"see the daemon's log; {OTHER_ENGINE}"
    if _UNSEEN.search(said):
        return UnseenError(f"docker: {what}: {said}", hint=hint)
    return EngineError(f"docker: {what}: {said}", hint=hint)


def _hint(said: str) -> str | None:
    if _UNSEEN.search(said):
        return f"is it there? perhaps that daemon does not see this machine's files; {OTHER_ENGINE}"
    if "No such image" in said:
        return "it was removed in this moment; load it again: repro build"
    if NO_SPACE in said:
        return (
            "free some space where the daemon keeps its images (docker system df shows what is "
            f"there, docker info where), then run this again; {OTHER_ENGINE}"
        )
    return None
