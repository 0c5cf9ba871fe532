"""Strict reading of our own TOML files, and their canonical bytes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import LockError
from repro.models.lock import SCHEMA

LIMIT = 64 << 20
HINT = "restore it from version control, or run: repro snapshot"
UPGRADE = "pip install --upgrade repro-gate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A TOML table with the path to it, so that an error names the value."""

    where: str
    values: Mapping[str, Any]
    hint: str = HINT

    def _typed(self, key: str, kind: type | tuple[type, ...], said: str) -> Any:
        if key not in self.values:
            raise LockError(f"{self.where}: {key} is missing", hint=self.hint)
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise LockError(f"{self.where}: {key} must be {said}", hint=self.hint)
        return value

    def text(self, key: str) -> str:
        """A string."""
        value = self._typed(key, str, "a string")
        assert isinstance(value, str)
        return value

    def number(self, key: str) -> int:
        """A whole number, not negative."""
        value = self._typed(key, int, "a whole number")
        assert isinstance(value, int)
        if value < 0:
            raise LockError(f"{self.where}: {key} must not be negative", hint=self.hint)
        return value

    def real(self, key: str) -> float:
        """Any number."""
        return float(self._typed(key, (int, float), "a number"))

    def flag(self, key: str) -> bool:
        """A boolean."""
        return bool(self._typed(key, bool, "true or false"))

    def sha256(self, key: str) -> str:
        """64 lower-case hexadecimal digits."""
        value = self.text(key)
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise LockError(f"{self.where}: {key} is not a sha256: {value!r}", hint=self.hint)
        return value

    def digest(self, key: str) -> str:
        """`sha256:` and 64 hexadecimal digits."""
        value = self.text(key)
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
            raise LockError(f"{self.where}: {key} is no sha256 digest: {value!r}", hint=self.hint)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._typed(key, list, "a list of strings")
        if not all(isinstance(item, str) for item in value):
            raise LockError(f"{self.where}: {key} must be a list of strings", hint=self.hint)
        return tuple(value)

    def table(self, key: str) -> Table:
        """A table."""
        value = self._typed(key, dict, "a table")
        return Table(where=f"{self.where}: {key}", values=value, hint=self.hint)

    def tables(self, key: str) -> tuple[Table, ...]:
        """An array of tables; absent: empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise LockError(f"{self.where}: {key} must be an array of tables", hint=self.hint)
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
            raise LockError(f"{self.where}: unknown key {key!r}", hint=self.hint)


def read(data: bytes, *, where: str, hint: str = HINT) -> Table:
    """Parse a file of ours and check its schema version.

    Raises LockError naming file and line; a newer schema is refused, never guessed at.
    """
    if len(data) > LIMIT:
        raise LockError(f"{where}: larger than {LIMIT} bytes", hint=hint)
    try:
        values = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise LockError(f"{where}: not UTF-8 at byte {error.start}", hint=hint) from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        marker = re.search(rb"^(<<<<<<<|=======$|>>>>>>>)", data, re.MULTILINE)
        line = data.count(b"\n", 0, marker.start()) + 1 if marker else 0
        said = f"line {line}: merge-conflict marker" if marker else f"not TOML: {error}"
        raise LockError(f"{where}: {said}", hint=hint) from None
    table = Table(where=where, values=values, hint=hint)
    schema = table.number("schema")
    if schema > SCHEMA:
        needs = values.get("needs")
        version = needs if isinstance(needs, str) and len(needs) < 40 else "a newer release"
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
