"""`uv.lock`, version 1: one resolution for all interpreters and platforms, with forks.

Newer revisions of a version add keys only (https://docs.astral.sh/uv/concepts/resolution/,
"Lockfile versioning"), so every revision is read, and keys that are not needed are left alone.
"""

from __future__ import annotations

from typing import NamedTuple

from repro.errors import LockError
from repro.locks import names
from repro.locks.foreign.common import (
    ListedHash,
    marker,
    optional_text,
    optional_texts,
    packages,
    requirement,
    sha256s,
    specifier,
    toml_document,
)
from repro.locks.toml import Table
from repro.models.foreign import ForeignLock, ForeignPin, Refusal

KIND = "uv.lock"
VERSION = 1
HINT = "write it anew: uv lock; or adopt what it exports: uv export --format pylock.toml"

_LOCAL = ("editable", "virtual", "directory", "path")
_SOURCES = ("registry", "git", "url", *_LOCAL)


class _Source(NamedTuple):
    """Where a package comes from: the kind, and the folder, file or address as written."""

    kind: str
    value: str


def parse(text: str, *, where: str) -> ForeignLock:
    """Return what a uv.lock pins. Raises LockError naming the place."""
    document = toml_document(text, where=where, hint=HINT)
    version = document.number("version")
    if version != VERSION:
        raise document.refuse("version", f"is {version}, and only {VERSION} is read")
    if "revision" in document.values:
        document.number("revision")
    pins: list[ForeignPin] = []
    wants: tuple[str, ...] = ()
    for entry in packages(document, "package"):
        source = _source(entry.table("source"))
        if source.kind in _LOCAL and source.value == ".":  # the project itself: never installed
            wants = _wants(entry)
        else:
            pins.append(_pin(entry, source))
    if not wants and "manifest" in document.values:  # a script's lock (PEP 723)
        manifest = document.table("manifest")
        wants = tuple(line for item in manifest.tables("requirements") for line in _want(item))
    return ForeignLock(
        path=where,
        kind=KIND,
        pins=tuple(pins),
        requires_python=_requires_python(document),
        environments=_markers(document, "supported-markers"),
        wants=tuple(sorted(wants)),
        partial=True,
    )


def _requires_python(document: Table) -> str:
    text = optional_text(document, "requires-python")
    return specifier(text, f"{document.where}: requires-python", HINT) if text else ""


def _markers(table: Table, key: str) -> tuple[str, ...]:
    return tuple(marker(text, f"{table.where}: {key}", HINT) for text in optional_texts(table, key))


def _source(table: Table) -> _Source:
    """Raises LockError for a kind that is not known: it could mean anything."""
    kinds = [kind for kind in _SOURCES if kind in table.values]
    if len(kinds) != 1:
        raise LockError(
            f"{table.where}: {names.shown(', '.join(sorted(table.values)))} is not one of "
            f"{', '.join(_SOURCES)}",
            hint=HINT,
        )
    [kind] = kinds
    value = table.values[kind]
    if kind == "registry" and isinstance(value, dict):  # an index that is a folder, of old
        return _Source(kind, "")
    return _Source(kind, table.text(kind))


def _pin(entry: Table, source: _Source) -> ForeignPin:
    name = entry.named("name", names.python_name)
    where = f"{entry.where}: {name}"
    refusal = _refusal(name, source)
    version, hashes = "", tuple[str, ...]()
    if refusal is None:
        version = entry.named("version", names.python_version)
        hashes, refusal = sha256s(_files(entry), where)
    return ForeignPin(
        name=name,
        version=version,
        where=where,
        hashes=hashes,
        markers=_markers(entry, "resolution-markers"),
        refusal=refusal,
    )


def _refusal(name: str, source: _Source) -> Refusal | None:
    """Why a package of that source is not locked by its name, version and hash; None: it is."""
    if source.kind == "registry":
        return None
    remedy = f"require a released version of {name} that an index has, then: uv lock"
    if source.kind == "git":
        return Refusal(why="comes from version control", remedy=remedy)
    if source.kind == "url":
        return Refusal(why="is required by address, not from an index", remedy=remedy)
    what = "file" if source.kind == "path" else "folder"
    return Refusal(why=f"is the local {what} {names.shown(source.value)}", remedy=remedy)


def _files(entry: Table) -> list[ListedHash]:
    tables = list(entry.tables("wheels"))
    if "sdist" in entry.values:
        tables.append(entry.table("sdist"))
    found = []
    for table in tables:
        place = next((key for key in ("filename", "url", "path") if key in table.values), "url")
        filename = table.text(place).rpartition("/")[2].partition("#")[0]
        digest = optional_text(table, "hash")
        found.append(ListedHash(filename=filename, hashes=(digest,) if digest else ()))
    return found


def _wants(root: Table) -> tuple[str, ...]:
    """What the project requires, without its extras and groups."""
    if "metadata" not in root.values:
        return ()
    tables = root.table("metadata").tables("requires-dist")
    return tuple(line for item in tables for line in _want(item))


def _want(item: Table) -> tuple[str, ...]:
    """One requirement as a PEP 508 line; none where an extra asks for it."""
    name = item.named("name", names.python_name)
    condition = optional_text(item, "marker")
    versions = optional_text(item, "specifier")
    if condition:
        marker(condition, f"{item.where}: marker", HINT)
        if "extra" in condition:
            return ()
    if versions:
        versions = specifier(versions, f"{item.where}: specifier", HINT)
    extras = [names.python_name(text, item.where) for text in optional_texts(item, "extras")]
    return (requirement(name, extras, versions, condition),)
