"""Typed access to the user's configuration: every error names file and path to the value."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import UsageError
from repro.locks.names import shown, single_line
from repro.project.moment import moment

_BARE = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)
_DURATION = re.compile(r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,3})?)(?P<unit>s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_SHIFT = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_ENTRIES = 2000
_LONGEST = 30 * 86400.0
_LARGEST = 1 << 50

_KINDS = {str: "a string", bool: "true or false", int: "a whole number", float: "a number",
          list: "a list", dict: "a table"}  # fmt: skip


def size_text(size: int) -> str:
    """Write bytes as `Table.size` reads them: the largest unit that is exact."""
    unit = next(unit for unit in reversed(_SHIFT) if size % (1 << _SHIFT[unit]) == 0)
    return f"{size >> _SHIFT[unit]}{unit}"


def duration_text(seconds: float) -> str:
    """Write seconds as `Table.duration` reads them: the largest unit that is whole."""
    unit = next((unit for unit in reversed(_SECONDS) if seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds / _SECONDS[unit]:.3f}".rstrip("0").rstrip(".") + unit


def key_path(*parts: str | int) -> str:
    """Return the path to a value as TOML writes it: `metrics."a.*".rel`, `tables[0].file`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else _quoted(part))
    return text


def _quoted(part: str) -> str:
    inner = repr(part[:80])[1:-1].replace('"', '\\"').replace("\\'", "'")
    return f'"{inner}"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table of the configuration; a getter returns None for a key that is absent.

    Getters raise UsageError naming the value when it is of another type or out of range.
    """

    file: str
    path: tuple[str | int, ...]
    values: Mapping[str, Any]

    def where(self, *parts: str | int) -> str:
        """Return `file: path.to.value`."""
        path = key_path(*self.path, *parts)
        return f"{self.file}: {path}" if path else self.file

    def _refuse(self, key: str, said: str, hint: str | None = None) -> UsageError:
        return UsageError(f"{self.where(key)} {said}", hint=hint)

    def _typed(self, key: str, kind: type, hint: str | None = None) -> Any:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            had = _KINDS.get(type(value), f"a {type(value).__name__}")
            raise self._refuse(key, f"must be {_KINDS[kind]}, not {had}", hint)
        return value

    def text(self, key: str, hint: str | None = None) -> str | None:
        """A string of one line, not empty."""
        value = self._typed(key, str, hint)
        if value is None:
            return None
        assert isinstance(value, str)
        if not value.strip():
            raise self._refuse(key, "must not be empty")
        return single_line(value, self.where(key), UsageError)

    def choice(self, key: str, *options: str) -> str | None:
        """One of the options."""
        value = self.text(key)
        if value is not None and value not in options:
            near = difflib.get_close_matches(value, options, n=1)
            raise self._refuse(
                key,
                f"must be one of {', '.join(options)}, not {shown(value)}",
                f"did you mean {near[0]!r}?" if near else None,
            )
        return value

    def flag(self, key: str) -> bool | None:
        """A boolean."""
        value = self._typed(key, bool)
        assert value is None or isinstance(value, bool)
        return value

    def count(self, key: str, *, most: int) -> int | None:
        """A whole number from 1 to `most`."""
        value = self._typed(key, int)
        if value is None:
            return None
        assert isinstance(value, int)
        if not 1 <= value <= most:
            raise self._refuse(key, f"must lie between 1 and {most}")
        return value

    def tolerance(self, key: str) -> float | None:
        """A finite number, not negative."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(key, "must be a number", f"for example {key} = 1e-9")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and number >= 0):
            raise self._refuse(
                key,
                f"must be a finite number that is not negative, not {number}",
                'a metric that is not judged at all: { ignore = "the reason" }',
            )
        return number

    def duration(self, key: str) -> float | None:
        """Seconds, from "90s", "30m", "2h", "1d"."""
        hint = 'write "90s", "30m" or "2h"'
        value = self.text(key, hint)
        if value is None:
            return None
        found = _DURATION.fullmatch(value)
        seconds = float(found["count"]) * _SECONDS[found["unit"]] if found else 0.0
        if not 0 < seconds <= _LONGEST:
            raise self._refuse(key, f"is no duration up to 30 days: {shown(value)}", hint)
        return seconds

    def moment(self, key: str) -> str | None:
        """A moment `YYYY-MM-DDThh:mm:ssZ`, from a date, a datetime or a string; not the future."""
        value = self.values.get(key)
        return None if value is None else moment(value, self.where(key))

    def size(self, key: str) -> int | None:
        """Bytes, from "512m" or "4g": powers of 1024, as docker counts."""
        hint = 'write "512m" or "4g"'
        value = self.text(key, hint)
        if value is None:
            return None
        found = _SIZE.fullmatch(value)
        size = int(found["count"]) << _SHIFT[found["unit"].lower()] if found else 0
        if not 0 < size <= _LARGEST:
            raise self._refuse(key, f"is no size: {shown(value)}", hint)
        return size

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings of one line each, none empty, none twice."""
        value = self._typed(key, list, f'write {key} = ["…"]')
        if value is None:
            return None
        if len(value) > _ENTRIES:
            raise self._refuse(key, f"has more than {_ENTRIES} entries", "name a folder or a file")
        seen: set[str] = set()
        for position, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                raise UsageError(f"{self.at(key, position)} must be a string that is not empty")
            single_line(item, self.at(key, position), UsageError)
            if item in seen:
                raise UsageError(f"{self.at(key, position)}: {shown(item)} is listed twice")
            seen.add(item)
        return tuple(value)

    def at(self, key: str, position: int) -> str:
        """Return `file: path.to.list[position]`."""
        return self.where(key, position)

    def table(self, key: str, hint: str | None = None) -> Table | None:
        """A table."""
        value = self._typed(key, dict, hint)
        if value is None:
            return None
        return Table(file=self.file, path=(*self.path, key), values=value)

    def tables(self, key: str) -> tuple[Table, ...]:
        """An array of tables, empty when absent."""
        hint = f"write it as [[{key}]]"
        value = self._typed(key, list, hint)
        found = []
        for position, item in enumerate(value or ()):
            if not isinstance(item, dict):
                raise UsageError(f"{self.at(key, position)} must be a table", hint=hint)
            found.append(Table(file=self.file, path=(*self.path, key, position), values=item))
        return tuple(found)

    def only(self, *known: str, later: Mapping[str, str] | None = None) -> None:
        """Refuse keys that are not known; those of `later` with their own words."""
        for key in self.values:
            if later and key in later:
                raise UsageError(f"{self.where(key)}: not in this release", hint=later[key])
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise UsageError(f"{self.where(key)}: unknown key", hint=hint)
