"""Strict reading of our own TOML files, and their canonical bytes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import LockError
from repro.locks.names import said, shown
from repro.locks.nesting import too_deep
from repro.models.lock import SCHEMA

LIMIT = 64 << 20
HINT = "restore it from version control, or run: repro snapshot"
UPGRADE = "pip install --upgrade repro-gate"

_DEPTH = 64
"""Open brackets. A source distribution that is built with one takes five, and so on."""

_LARGEST = (1 << 63) - 1
"""TOML v1.0.0: "Arbitrary 64-bit signed integers"; tomllib reads any, and Python prints none
of more than 4,300 digits."""

_CONFLICT = re.compile(r"^(?:<{7}|={7}\r?$|>{7}|\|{7})", re.MULTILINE)
_VERSION = re.compile(r"[A-Za-z0-9.+-]{1,40}", re.ASCII)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./-]{1,80}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A TOML table with the path to it, so that an error names the value."""

    where: str
    values: Mapping[str, Any]
    hint: str = HINT

    def refuse(self, key: str, said: str) -> LockError:
        """Return the error that says what is wrong with a value."""
        return LockError(f"{self.where}: {_named(key)} {said}", hint=self.hint)

    def _typed(self, key: str, kind: type | tuple[type, ...], said: str) -> Any:
        if key not in self.values:
            raise self.refuse(key, "is missing")
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.refuse(key, f"must be {said}")
        return value

    def text(self, key: str) -> str:
        """A string."""
        value = self._typed(key, str, "a string")
        assert isinstance(value, str)
        return value

    def number(self, key: str) -> int:
        """A whole number, not negative, of at most 63 bits."""
        value = self._typed(key, int, "a whole number")
        assert isinstance(value, int)
        if not 0 <= value <= _LARGEST:
            raise self.refuse(key, "must not be negative" if value < 0 else "is too large")
        return value

    def real(self, key: str) -> float:
        """A finite number, not negative."""
        value = self._typed(key, (int, float), "a number")
        assert isinstance(value, int | float)
        if not 0 <= value <= _LARGEST:  # NaN is neither
            raise self.refuse(key, "must be a finite number that is not negative")
        return float(value)

    def flag(self, key: str) -> bool:
        """A boolean."""
        return bool(self._typed(key, bool, "true or false"))

    def named(self, key: str, grammar: Callable[[str, str], str]) -> str:
        """A string in one of the grammars of `names`, which is given the place as `where`."""
        text = self.text(key)
        try:
            return grammar(text, f"{self.where}: {_named(key)}")
        except LockError as error:
            raise LockError(error.message, hint=self.hint) from None

    def sha256(self, key: str) -> str:
        """64 lower-case hexadecimal digits."""
        value = self.text(key)
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise self.refuse(key, f"is not a sha256: {shown(value)}")
        return value

    def digest(self, key: str) -> str:
        """`sha256:` and 64 hexadecimal digits."""
        value = self.text(key)
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
            raise self.refuse(key, f"is no sha256 digest: {shown(value)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._typed(key, list, "a list of strings")
        if not all(isinstance(item, str) for item in value):
            raise self.refuse(key, "must be a list of strings")
        return tuple(value)

    def table(self, key: str) -> Table:
        """A table."""
        value = self._typed(key, dict, "a table")
        return Table(where=f"{self.where}: {_named(key)}", values=value, hint=self.hint)

    def tables(self, key: str) -> tuple[Table, ...]:
        """An array of tables; absent: empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.refuse(key, "must be an array of tables")
        return tuple(
            Table(where=f"{self.where}: {key}[{position}]", values=item, hint=self.hint)
            for position, item in enumerate(value)
        )

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A table of strings as sorted pairs; absent: empty."""
        if key not in self.values:
            return ()
        table = self.table(key)
        return tuple((name, table.text(name)) for name in sorted(table.values))

    def only(self, *keys: str) -> None:
        """Refuse keys that the format does not have."""
        for key in sorted(set(self.values) - set(keys)):
            raise LockError(f"{self.where}: unknown key {shown(key)}", hint=self.hint)


def _named(key: str) -> str:
    """A key for a message: it may come out of the file."""
    return key if _PLAIN_KEY.fullmatch(key) else shown(key)


def read(data: bytes, *, where: str, hint: str = HINT) -> Table:
    """Parse a file of ours and check its schema version.

    Raises LockError naming file and line; a newer schema is refused, never guessed at.
    """
    if len(data) > LIMIT:
        raise LockError(f"{where}: larger than {LIMIT} bytes", hint=hint)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise LockError(f"{where}: not UTF-8 at byte {error.start}", hint=hint) from None
    if (deep := too_deep(text, _DEPTH)) is not None:
        line, what = deep
        raise LockError(f"{where}: line {line}: more than {_DEPTH} nested {what}", hint=hint)
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        marker = _CONFLICT.search(text)
        line = text.count("\n", 0, marker.start()) + 1 if marker else 0
        what = f"line {line}: merge-conflict marker" if marker else f"not TOML: {said(error)}"
        raise LockError(f"{where}: {what}", hint=hint) from None
    table = Table(where=where, values=values, hint=hint)
    schema = table.number("schema")
    if not schema:
        raise table.refuse("schema", "must be 1 or more")
    if schema > SCHEMA:
        needs = values.get("needs")
        known = isinstance(needs, str) and _VERSION.fullmatch(needs)
        version = needs if known else "a newer release"
        raise LockError(
            f"{where}: schema {schema} is newer than this repro reads ({SCHEMA}): "
            f"needs repro >= {version}",
            hint=UPGRADE,
        )
    return table


def render(values: Mapping[str, Any]) -> bytes:
    r"""Canonical bytes: our schema version first, keys as given, `\\n` line ends."""
    import tomli_w

    head = {"schema": SCHEMA, "needs": "0.1.0"}
    return tomli_w.dumps({**head, **values}, multiline_strings=False).encode()
