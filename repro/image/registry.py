"""Reading from a registry: manifests and blobs of one repository, as who Docker says we are.

Format: OCI distribution-spec v1 (pulling), and the token flow of the distribution project
(docs/spec/auth/token.md, oauth.md). Nothing that comes from here is believed before its digest
was compared.
"""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from repro.addresses import redact
from repro.download import Body, Http
from repro.errors import NetworkError, ReproError, UsageError
from repro.image.credentials import Credential, credential
from repro.image.manifests import INDEX_TYPES, MANIFEST_TYPES, MOST, Descriptor
from repro.locks.reference import Reference, parse_reference
from repro.progress import Progress

T = TypeVar("T")

CERTIFICATES = Path("/etc/docker/certs.d")
"""Where Docker has the authorities of single registries: HOST/ca.crt."""

_ANSWER = 1 << 20
"""Bytes of a token service's answer."""

_PARAMETER = re.compile(r'([a-z]+)="([^"]*)"')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")


def reference_of(text: str, where: str, error: type[ReproError] = UsageError) -> Reference:
    """Read the name of an image; one without a registry is of the one that docker takes."""
    from docker.auth import INDEX_NAME

    return parse_reference(text, where, error, default=INDEX_NAME)


class Repository:
    """One repository of a registry.

    The scheme is https; a registry on this machine itself may speak http, as for docker. `environ`
    says where Docker's configuration lies.
    """

    def __init__(
        self, reference: Reference, http: Http, *, environ: Mapping[str, str], progress: Progress
    ) -> None:
        self.reference = reference
        self._http = http
        self._environ = environ
        self._progress = progress

    def manifest(self, version: str) -> bytes:
        """Return the index or manifest of a tag or digest, as it came. Raises NetworkError."""
        accept = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
        try:
            return self._http.get(
                f"{self._base}/manifests/{version}", accept=accept, limit=MOST, login=self._login
            )[0]
        except NetworkError as error:
            raise self._explained(error, version) from error

    def blob(self, blob: Descriptor, consume: Callable[[Body], T]) -> T:
        """Return what `consume` makes of a blob, as `Http.read` does. Raises NetworkError."""
        url = f"{self._base}/blobs/{blob.digest}"
        try:
            return self._http.read(url, consume, size=blob.size, login=self._login)
        except NetworkError as error:
            raise self._explained(error, blob.digest) from error

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """What Docker's configuration may call this registry, the usual name first."""
        from docker.auth import INDEX_NAME, INDEX_URL

        domain = self.reference.domain
        return (INDEX_URL, INDEX_NAME, self._host) if domain == INDEX_NAME else (domain,)

    @cached_property
    def _host(self) -> str:
        """Host and port."""
        from docker.auth import INDEX_NAME, INDEX_URL

        domain = self.reference.domain
        return urlsplit(INDEX_URL).netloc if domain == INDEX_NAME else domain

    @cached_property
    def _origin(self) -> str:
        """Scheme, host and port; the registry's own authority is known from here on."""
        authority = CERTIFICATES / self._host / "ca.crt"
        name = urlsplit(f"//{self._host}").hostname or ""
        if authority.is_file():
            self._http.route(proxies={}, authorities={name: str(authority)})
        if not _is_here(name):
            return f"https://{self._host}"
        try:
            self._http.get(f"http://{self._host}/v2/", limit=_ANSWER, login=_Fixed(""))
        except NetworkError as error:
            if error.status == 400:  # it speaks TLS
                return f"https://{self._host}"
            if error.status is None:  # nobody answered: whoever asked says for which image
                raise
        return f"http://{self._host}"

    @cached_property
    def _base(self) -> str:
        return f"{self._origin}/v2/{self.reference.path}"

    @cached_property
    def _login(self) -> _Login:
        found = credential(self._names, self._environ, self._progress)
        return _Login(self._http, self._origin, self.reference, found)

    def _explained(self, error: NetworkError, what: str) -> NetworkError:
        said = f"{self.reference}: {error.message}"
        hint = error.hint
        if error.status in (401, 403):
            said = f"{self.reference}: the registry gives it to nobody without a right to it"
            said += f" (HTTP {error.status}), or has no such image"
            hint = f"check its name; then log in: docker login {self._names[-1]}"
        elif error.status == 404:
            said = f"{self.reference}: the registry has no such image (HTTP 404 for {what})"
            hint = "check its name and its tag"
        return NetworkError(said, hint=hint, status=error.status)


def _is_here(name: str) -> bool:
    """Whether a host is this machine."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Fixed:
    """A login that knows one answer."""

    def __init__(self, value: str) -> None:
        self._value = value

    def header(self) -> str:
        return self._value

    def renewed(self, challenge: str, refused: str) -> bool:
        return False


class _Login:
    """Who we are to one registry: nobody, until it asks; then what its challenge asks for.

    A password is sent to the registry itself, or to the token service that it names over https.
    Threads share it.
    """

    def __init__(
        self, http: Http, origin: str, reference: Reference, found: Credential | None
    ) -> None:
        self._http = http
        self._origin = origin
        self._path = reference.path
        self._shown = reference.domain
        self._credential = found or Credential()
        self._value = ""
        self._turn = threading.Lock()

    def header(self) -> str:
        """See Login.header."""
        return self._value

    def renewed(self, challenge: str, refused: str) -> bool:
        """See Login.renewed."""
        with self._turn:
            if self._value != refused:  # another thread was faster
                return True
            scheme = challenge.partition(" ")[0].lower()
            if scheme == "basic":
                self._value = self._credential.basic
            elif scheme == "bearer":
                self._value = f"Bearer {self._token(challenge)}"
            return self._value != refused

    def _token(self, challenge: str) -> str:
        said = dict(_PARAMETER.findall(challenge))
        realm = said.get("realm", "")
        self._require_safe(realm)
        asked = {"scope": f"repository:{self._path}:pull"}
        if said.get("service"):
            asked["service"] = said["service"]
        if self._credential.token:
            more = {"grant_type": "refresh_token", "client_id": "repro"}
            form = {**asked, **more, "refresh_token": self._credential.token}
            data = self._http.post(realm, form)
        else:
            url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(asked)}"
            login = _Fixed(self._credential.basic)
            data = self._http.get(url, limit=_ANSWER, login=login)[0]
        return self._read_token(data, realm)

    def _require_safe(self, realm: str) -> None:
        """Refuse a token service to which a password would go in the clear, or nowhere."""
        try:
            parts = urlsplit(realm)
            name, port = parts.hostname or "", parts.port
        except ValueError:
            name, port = "", None
        local = _is_here(name) and self._origin.startswith("http:")
        if (
            not name
            or port == 0
            or not (parts.scheme == "https" or (parts.scheme == "http" and local))
        ):
            raise NetworkError(
                f"{self._shown}: the registry names a token service that is not at an https "
                f"address: {redact(realm)!r}",
                hint="no password was sent; use another registry",
            )

    def _read_token(self, data: bytes, realm: str) -> str:
        try:
            answer = json.loads(data)
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, RecursionError, AttributeError):
            token = None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise NetworkError(
                f"{self._shown}: the token service at {redact(realm)} gives no token",
                hint="log in again: docker login " + self._shown,
            )
        return token
