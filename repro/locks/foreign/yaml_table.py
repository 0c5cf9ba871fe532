"""Typed access to the YAML that a tool wrote, every error with the place and the tool's remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from repro.errors import LockError, UsageError
from repro.locks import yaml
from repro.locks.names import shown

_NOTHING = ("", "null", "~")


@dataclass(frozen=True, kw_only=True, slots=True)
class Map:
    """A mapping with the path to it."""

    where: str
    values: dict[str, yaml.Value]
    hint: str

    def refuse(self, key: str, said: str) -> LockError:
        """Return the error that says what is wrong with a value."""
        return LockError(f"{self.where}: {_key(key)} {said}", hint=self.hint)

    def text(self, key: str) -> str:
        """A scalar as it is written; "" for none."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self.refuse(key, "must be a scalar")
        return "" if value in _NOTHING else value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of scalars; absent: empty."""
        value = self._list(key)
        if not all(isinstance(item, str) for item in value):
            raise self.refuse(key, "must be a list of scalars")
        return tuple(item for item in value if isinstance(item, str))

    def map(self, key: str) -> Map:
        """A mapping; absent: empty."""
        value = self.values.get(key, {})
        if value in _NOTHING:
            value = {}
        if not isinstance(value, dict):
            raise self.refuse(key, "must be a mapping")
        return Map(where=f"{self.where}: {_key(key)}", values=value, hint=self.hint)

    def maps(self, key: str) -> tuple[Map, ...]:
        """A list of mappings; absent: empty."""
        return tuple(self._maps(key))

    def _maps(self, key: str) -> Iterator[Map]:
        for position, item in enumerate(self._list(key)):
            where = f"{self.where}: {_key(key)}[{position}]"
            if not isinstance(item, dict):
                raise LockError(f"{where} must be a mapping", hint=self.hint)
            yield Map(where=where, values=item, hint=self.hint)

    def _list(self, key: str) -> list[yaml.Value]:
        value = self.values.get(key, [])
        if value in _NOTHING:
            return []
        if not isinstance(value, list):
            raise self.refuse(key, "must be a list")
        return value


def _key(key: str) -> str:
    return key if key.isidentifier() and len(key) <= 40 and key.isascii() else shown(key)


def document(text: str, *, where: str, hint: str) -> Map:
    """Read a YAML document that is a mapping. Raises LockError naming the line."""
    try:
        value = yaml.parse(text, where=where, bounds=yaml.LOCK)
    except UsageError as error:
        raise LockError(error.message, hint=hint) from None
    if not isinstance(value, dict):
        raise LockError(f"{where}: is no mapping", hint=hint)
    return Map(where=where, values=value, hint=hint)
