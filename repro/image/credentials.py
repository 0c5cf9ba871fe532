"""Who may read from a registry: what Docker's own configuration says, read and never written.

Formats: docker/cli's config.json (`auths`, `credHelpers`, `credsStore`) and the protocol of
docker-credential-helpers: the server's name on standard input, a JSON object back.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from repro.errors import EngineError, UsageError
from repro.files import local_errors
from repro.process import run
from repro.progress import Progress

_HELPER = "docker-credential-"
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}", re.ASCII)
_PATIENCE = 60.0
"""Seconds for a helper program, which may have to ask a keyring."""

_TOKEN = "<token>"  # noqa: S105 - the user name by which docker says that the secret is a token
_LARGEST = 4 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """A login; its secrets are in no `repr`. `token` is an identity token (OAuth2), or ""."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of Authorization in the Basic scheme (RFC 7617), "" without a password."""
        if not self.password:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def config_path(environ: Mapping[str, str]) -> Path:
    """Where Docker's command line keeps its configuration."""
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def credential(
    names: Sequence[str], environ: Mapping[str, str], progress: Progress
) -> Credential | None:
    """Return the login for a registry, None for none; `names` are its own, the usual one first.

    A helper program comes before what stands in the file, as for docker; one that cannot be
    run is said, and counts as empty. Raises UsageError for a configuration that cannot be read.
    """
    path = config_path(environ)
    with local_errors(path):
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        data = path.read_bytes()
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        raise _unreadable(path, "is no JSON") from None
    if not isinstance(config, dict):
        raise _unreadable(path, "is no JSON object")
    helpers = _table(config, "credHelpers")
    chosen = next((helpers[name] for name in names if name in helpers), config.get("credsStore"))
    if chosen:
        if not isinstance(chosen, str) or not _HELPER_NAME.fullmatch(chosen):
            raise _unreadable(path, "names a credential helper that cannot be a program")
        if (found := _from_helper(chosen, names[0], progress)) is not None:
            return found
    return _from_file(_table(config, "auths"), names, path)


def _table(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _from_file(auths: Mapping[str, Any], names: Sequence[str], path: Path) -> Credential | None:
    """Find a registry by name, or by address: docker has written both."""
    found = next((auths[name] for name in names if name in auths), None)
    if found is None:
        found = next((value for key, value in auths.items() if _host(key) in names), None)
    if not isinstance(found, dict):
        return None
    username, password = str(found.get("username") or ""), str(found.get("password") or "")
    if encoded := found.get("auth"):
        try:
            username, _, password = (
                base64.b64decode(str(encoded), validate=True).decode().partition(":")
            )
        except (binascii.Error, ValueError):
            raise _unreadable(path, "holds an auth that is not base64") from None
    return _credential(username, password.rstrip("\0"), str(found.get("identitytoken") or ""))


def _host(key: str) -> str:
    return urlsplit(key if "://" in key else f"//{key}").netloc


def _credential(username: str, secret: str, token: str) -> Credential | None:
    if username == _TOKEN:
        username, secret, token = "", "", secret
    if not secret and not token:
        return None
    return Credential(username=username, password=secret, token=token)


def _from_helper(name: str, server: str, progress: Progress) -> Credential | None:
    """Ask a helper program; None where it has nothing, or cannot be asked."""
    program = _HELPER + name
    try:
        done = run([program, "get"], text=server.encode(), timeout=_PATIENCE)
    except EngineError as error:
        progress.note(f"warning: {error.message}, which Docker's configuration names for {server}")
        return None
    if done.code:  # mostly "credentials not found in native keychain"; its words may hold more
        return None
    try:
        answer = json.loads(done.stdout)
        return _credential(str(answer["Username"]), str(answer["Secret"]), "")
    except (ValueError, KeyError, TypeError, RecursionError):
        progress.note(f"warning: {program} does not answer as a credential helper does")
        return None


def _unreadable(path: Path, how: str) -> UsageError:
    return UsageError(f"{path}: {how}", hint="mend it, or log in again: docker login")
