"""What the readers of foreign locks share: bounded TOML, grammars with the place, files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from repro.errors import LockError
from repro.locks import names
from repro.locks.nesting import too_deep
from repro.locks.toml import Table
from repro.models.foreign import Refusal

LIMIT = 16 << 20
"""Characters of a lock: that of a large workspace has 3 MiB."""

_DEPTH = 16
_PACKAGES = 20_000

WEAK = "sha256 is what files are checked by here; write the lock anew with a tool that records it"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedHash:
    """A file that a lock lists: its name and its hashes as `algorithm:digest`."""

    filename: str
    hashes: tuple[str, ...]


def toml_document(text: str, *, where: str, hint: str) -> Table:
    """Read a TOML file of another tool. Raises LockError naming the file and the line."""
    if len(text) > LIMIT:
        raise LockError(f"{where}: larger than {LIMIT >> 20} MiB", hint=hint)
    if (deep := too_deep(text, _DEPTH)) is not None:
        line, what = deep
        raise LockError(f"{where}: line {line}: more than {_DEPTH} nested {what}", hint=hint)
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; an integer of 5,000 digits
        raise LockError(f"{where}: not TOML: {names.said(error)}", hint=hint) from None
    return Table(where=where, values=values, hint=hint)


def packages(table: Table, key: str) -> tuple[Table, ...]:
    """Return the array of packages, within what any real lock holds. Raises LockError."""
    found = table.tables(key)
    if len(found) > _PACKAGES:
        raise table.refuse(key, f"holds more than {_PACKAGES} packages")
    return found


def optional_text(table: Table, key: str) -> str:
    """A string, "" where it is absent. Raises LockError."""
    return table.text(key) if key in table.values else ""


def optional_texts(table: Table, key: str) -> tuple[str, ...]:
    """A list of strings, empty where it is absent. Raises LockError."""
    return table.texts(key) if key in table.values else ()


def marker(text: str, where: str, hint: str) -> str:
    """Return a marker's text (PEP 508; also those of PEP 751). Raises LockError."""
    from packaging.markers import InvalidMarker, Marker

    try:
        names.single_line(text, where)
        Marker(text)
    except (InvalidMarker, RecursionError, ValueError, LockError) as error:
        raise LockError(
            f"{where}: {names.shown(text)} is no marker: {names.said(error)}", hint=hint
        ) from None
    return text


def specifier(text: str, where: str, hint: str) -> str:
    """Return a version specifier's text (PEP 440). Raises LockError."""
    from packaging.specifiers import SpecifierSet

    try:
        found = SpecifierSet(names.single_line(text, where))
        found.contains("3")  # its versions are read only when they are needed
        return str(found)
    except (ValueError, LockError):  # InvalidSpecifier, and numbers of more than 4,300 digits
        raise LockError(
            f"{where}: {names.shown(text)} is no version specifier", hint=hint
        ) from None


def sha256s(files: Sequence[ListedHash], where: str) -> tuple[tuple[str, ...], Refusal | None]:
    """Return the sha256 of all files, sorted; or why they will not do: all or nothing.

    Raises LockError for a sha256 that is none.
    """
    found: set[str] = set()
    if not files:
        return (), Refusal(why="lists no file", remedy=WEAK)
    for file in files:
        strong = [text.partition(":")[2] for text in file.hashes if text.startswith("sha256:")]
        if not strong:
            kinds = ", ".join(sorted({_algorithm(text) for text in file.hashes}))
            what = f"only a {kinds} of" if kinds else "no hash of"
            return (), Refusal(why=f"has {what} {names.shown(file.filename)}", remedy=WEAK)
        found.update(names.sha256(digest, where) for digest in strong)
    return tuple(sorted(found)), None


def _algorithm(text: str) -> str:
    kind = text.partition(":")[0]
    return kind if kind.isascii() and kind.isalnum() and len(kind) <= 20 else "hash that is none"


def requirement(name: str, extras: Iterable[str], versions: str, condition: str) -> str:
    """Return a PEP 508 line of its parts."""
    inner = ",".join(sorted(extras))
    line = f"{name}{f'[{inner}]' if inner else ''}{versions}"
    return f"{line} ; {condition}" if condition else line
