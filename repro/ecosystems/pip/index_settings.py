"""What pip's and uv's own configuration says of package indexes: files, then variables.

Sources of the rules: pip's "Configuration" and uv's "Package indexes" documentation. Addresses may
carry credentials: `repr` hides them.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from repro.addresses import redact
from repro.errors import UsageError
from repro.locks.names import said


@dataclass(frozen=True, kw_only=True, slots=True)
class Configured:
    """What one tool's configuration says; `extra` are (alias or "", address)."""

    default: str | None = field(default=None, repr=False)
    extra: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    strategy: str | None = None

    def __bool__(self) -> bool:
        return bool(self.default or self.extra or self.find_links or self.no_index)


def _folders(environ: Mapping[str, str], home: Path) -> tuple[list[Path], Path]:
    """Return the system's configuration folders, least important first, and the user's."""
    system = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [Path(part) for part in reversed(system.split(":")) if part], user


def configured_for_pip(environ: Mapping[str, str], home: Path) -> Configured:
    """Read pip.conf at its documented places, then `PIP_*`; the later wins."""
    values: dict[str, str] = {}
    for path in _pip_files(environ, home):
        values |= _read(path, _pip_file) if path.is_file() else {}
    for name in ("index-url", "extra-index-url", "find-links", "no-index"):
        if value := environ.get("PIP_" + name.upper().replace("-", "_")):  # empty: as if unset
            values[name] = value
    return Configured(
        default=values.get("index-url") or None,
        extra=tuple(("", address) for address in values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        no_index=values.get("no-index", "").lower() in ("1", "true", "yes", "on"),
    )


def _pip_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's documented way to read no file at all
        return []
    system, user = _folders(environ, home)
    files = [folder / "pip/pip.conf" for folder in system]
    files += [Path("/etc/pip.conf"), home / ".pip/pip.conf", user / "pip/pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(named)] if named else files


def _pip_file(data: bytes) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(data.decode())
    found: dict[str, str] = {}
    for section in ("global", "download", "install"):  # a command's own section wins
        if parser.has_section(section):
            found |= {key.replace("_", "-"): value for key, value in parser.items(section) if value}
    for name in ("index-url", "extra-index-url", "find-links"):
        for word in found.get(name, "").split():
            require_usable(word)
    return found


def configured_for_uv(environ: Mapping[str, str], home: Path) -> Configured:
    """Read uv.toml of the system and the user, then `UV_*`; the later wins."""
    files: list[Path] = []
    if not environ.get("UV_NO_CONFIG"):
        system, user = _folders(environ, home)
        files = [Path("/etc/uv/uv.toml"), *(folder / "uv/uv.toml" for folder in system)]
        files.append(user / "uv/uv.toml")
    if named := environ.get("UV_CONFIG_FILE"):
        files = [Path(named)]
    values: dict[str, Any] = {}
    for path in files:
        values |= _read(path, _uv_file) if path.is_file() else {}
    named_indexes = [item for item in values.get("index", []) if not item.get("explicit")]
    default = values.get("index-url")
    extra = [("", str(address)) for address in values.get("extra-index-url", [])]
    for item in named_indexes:
        if item.get("default"):
            default = item.get("url")
        else:
            extra.append((_alias(str(item.get("name", ""))), str(item.get("url"))))
    given = [_split_name(word) for word in environ.get("UV_INDEX", "").split()]
    given += [("", word) for word in environ.get("UV_EXTRA_INDEX_URL", "").split()]
    links = [word for word in environ.get("UV_FIND_LINKS", "").split(",") if word]
    chosen = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    return Configured(
        default=_split_name(chosen)[1] if chosen else default,
        extra=tuple(given or extra),
        find_links=tuple(links or map(str, values.get("find-links", []))),
        no_index=bool(environ.get("UV_NO_INDEX") or values.get("no-index")),
        strategy=environ.get("UV_INDEX_STRATEGY") or values.get("index-strategy"),
    )


def _uv_file(data: bytes) -> dict[str, Any]:
    values = tomllib.loads(data.decode())
    inner = values.get("pip", {})
    values |= inner if isinstance(inner, dict) else {}
    for key in ("index-url", "index-strategy"):
        require_usable(values.get(key, ""))
    for key in ("extra-index-url", "find-links", "index"):
        if not isinstance(values.get(key, []), list):
            raise ValueError(f"{key} is no list")
    for address in (*values.get("extra-index-url", []), *values.get("find-links", [])):
        require_usable(address)
    for item in values.get("index", []):
        if not isinstance(item, dict) or "url" not in item:
            raise ValueError("an index is no table with a url")
        require_usable(item["url"])
        require_usable(item.get("name", ""))
    return values


def require_usable(text: object) -> None:
    """Raise ValueError, which does not show it, for what is no address, path or word."""
    try:
        if not isinstance(text, str) or "\0" in text or urlsplit(text).port == 0:
            raise ValueError
    except ValueError:
        raise ValueError("an address or a name in it is malformed (not shown)") from None


def _split_name(word: str) -> tuple[str, str]:
    """Split uv's `name=address`."""
    found = re.match(r"([A-Za-z0-9._-]+)=(.+)", word)
    return (_alias(found[1]), found[2]) if found else ("", word)


def _alias(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _read(path: Path, parse: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError, RecursionError, configparser.Error) as error:
        raise UsageError(
            f"{path}: cannot be read: {said(redact(str(error)))}", hint="mend it, or move it away"
        ) from None
