"""Which package indexes are in force: repro.toml's, uv's or pip's, in memory only.

Addresses may carry credentials: they are used, never written and never shown (`repr` hides
them). Sources of the rules: pip's "Configuration" and uv's "Package indexes" documentation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from repro.ecosystems.pip.index_settings import (
    Configured,
    configured_for_pip,
    configured_for_uv,
    require_usable,
)
from repro.errors import UsageError
from repro.models.project import Sources

DEFAULT = "default"
"""Alias of the default index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """A package index; `given` is its address, None for the public one that nobody configured."""

    alias: str
    given: str | None = field(repr=False)

    @property
    def address(self) -> str:
        """Its root, below which lies one page a project; looked up only when it is read."""
        return _well_known() if self.given is None else self.given


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexes:
    """The effective indexes, most preferred first, and flat sources of files.

    `find_links` are local paths or addresses. `strategy` is uv's index strategy: pip looks at
    all indexes at once, uv at the first that has the project.
    """

    indexes: tuple[Index, ...]
    find_links: tuple[str, ...] = field(default=(), repr=False)
    strategy: str = "unsafe-best-match"

    def alias_of(self, address: str) -> str:
        """Return the index that a file's address most likely came from.

        Files lie beside the index below one parent, or on a host of their own, which only the
        default index is taken to have. A wrong answer costs one look-up at fetch time.
        """
        best, length = DEFAULT, -1
        target = urlsplit(address)
        for index in self.indexes:
            root = urlsplit(index.given or "")
            parent = root.path.rstrip("/").rpartition("/")[0] + "/"
            same = (root.scheme, root.hostname, root.port)
            if same != (target.scheme, target.hostname, target.port):
                continue
            if target.path.startswith(parent) and len(parent) > length:
                best, length = index.alias, len(parent)
        return best

    def ordered(self, alias: str) -> tuple[Index, ...]:
        """Return all indexes, that one first."""
        return tuple(sorted(self.indexes, key=lambda index: index.alias != alias))

    def with_credentials(self, address: str) -> str:
        """Return a file's address with the credentials of the index on the same origin."""
        parts = urlsplit(address)
        if "@" in parts.netloc or parts.scheme not in ("http", "https"):
            return address
        for index in self.indexes:
            root = urlsplit(index.given or "")
            if _origin(index.given or "") == _origin(address) and "@" in root.netloc:
                return urlunsplit(parts._replace(netloc=root.netloc))
        return address


def effective(
    sources: Sources, *, environ: Mapping[str, str] | None = None, home: Path | None = None
) -> Indexes:
    """Return the indexes in force for this project, user and machine.

    `[indexes]` of repro.toml names addresses; what it leaves open comes from uv's configuration
    where that names any index, else from pip's. Raises UsageError for a configuration file that
    cannot be read.
    """
    environ = os.environ if environ is None else environ
    home = home or Path.home()
    of_uv, of_pip = configured_for_uv(environ, home), configured_for_pip(environ, home)
    for address in _addresses(of_uv, of_pip):
        try:
            require_usable(address)
        except ValueError as error:
            raise UsageError(
                f"PIP_* or UV_* in the environment: {error}", hint="see: env | grep -E '^(PIP|UV)_'"
            ) from None
    chosen = of_uv or of_pip
    aliases = dict(sources.indexes)
    known = list(_addresses(of_uv, of_pip))
    roots: list[tuple[str, str | None]] = []
    if DEFAULT in aliases:
        roots.append((DEFAULT, aliases.pop(DEFAULT)))
    elif not chosen.no_index:
        roots.append((DEFAULT, chosen.default))
    roots += aliases.items()
    taken = {_bare(address) for _, address in roots if address}
    fresh = [pair for pair in chosen.extra if _bare(pair[1]) not in taken]
    roots += [(alias or f"extra-{number}", address) for number, (alias, address) in _count(fresh)]
    return Indexes(
        indexes=tuple(
            Index(alias=alias, given=_with_user(alias, _borrow(given, known), environ))
            for alias, given in roots
        ),
        find_links=chosen.find_links,
        strategy=of_uv.strategy or ("first-index" if of_uv else "unsafe-best-match"),
    )


def with_folder(indexes: Indexes, folder: Path | None) -> Indexes:
    """Return the indexes with the wheels of one more folder, if there are any at its top."""
    if folder is None or not any(folder.glob("*.whl")):
        return indexes
    return replace(indexes, find_links=(*indexes.find_links, str(folder)))


def uv_environment(indexes: Indexes) -> dict[str, str]:
    """Return uv's variables for these indexes: not arguments, which every user can read."""
    default = [index.given for index in indexes.indexes if index.alias == DEFAULT]
    others = [index.address for index in indexes.indexes if index.alias != DEFAULT]
    found = {"UV_INDEX_STRATEGY": indexes.strategy}
    if default and default[0] is not None:  # uv knows the public index itself
        found["UV_DEFAULT_INDEX"] = default[0]
    if others:
        found["UV_INDEX"] = " ".join(others)
    if not indexes.indexes:
        found["UV_NO_INDEX"] = "1"
    if indexes.find_links:
        found["UV_FIND_LINKS"] = ",".join(indexes.find_links)
    return found


def pip_environment(indexes: Indexes) -> dict[str, str]:
    """Return pip's variables for these indexes."""
    addresses = [index.address for index in indexes.indexes]
    found = {"PIP_CONFIG_FILE": os.devnull}
    if addresses:
        found["PIP_INDEX_URL"] = addresses[0]
    else:
        found["PIP_NO_INDEX"] = "1"
    if addresses[1:]:
        found["PIP_EXTRA_INDEX_URL"] = " ".join(addresses[1:])
    if indexes.find_links:
        found["PIP_FIND_LINKS"] = " ".join(indexes.find_links)
    return found


def _well_known() -> str:
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return PYPI_SIMPLE_ENDPOINT


def _addresses(*configured: Configured) -> Iterator[str]:
    for one in configured:
        if one.default:
            yield one.default
        yield from (address for _, address in one.extra)


def _count(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Number the pairs without an alias from 1."""
    number = 0
    for alias, address in pairs:
        number += not alias
        yield number, (alias, address)


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _bare(address: str) -> str:
    """Return the address as a comparable text, without credentials."""
    parts = urlsplit(address)
    return urlunsplit(
        parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
    )


def _borrow(address: str | None, known: Iterable[str]) -> str | None:
    """Give an address without credentials those that the user configured for its origin."""
    if address is None or "@" in urlsplit(address).netloc:
        return address
    parts = urlsplit(address)
    for other in known:
        netloc = urlsplit(other).netloc
        if "@" in netloc and _origin(other) == _origin(address):
            return urlunsplit(parts._replace(netloc=netloc))
    return address


def _with_user(alias: str, address: str | None, environ: Mapping[str, str]) -> str | None:
    """Add uv's credentials for a named index: UV_INDEX_<NAME>_USERNAME and _PASSWORD."""
    if address is None:
        return None
    name = re.sub(r"[^A-Z0-9]", "_", alias.upper())
    user = environ.get(f"UV_INDEX_{name}_USERNAME")
    parts = urlsplit(address)
    if not user or "@" in parts.netloc:
        return address
    password = environ.get(f"UV_INDEX_{name}_PASSWORD", "")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))
