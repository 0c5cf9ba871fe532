"""Moments as users write them: a TOML date, a TOML datetime, or either as a string."""

from __future__ import annotations

from datetime import UTC, date, datetime

from repro.errors import UsageError
from repro.locks.names import shown

_HINT = "write a day, 2025-06-01, or a moment, 2025-06-01T12:00:00Z"


def moment(value: object, where: str, *, now: datetime | None = None) -> str:
    """Return the moment `YYYY-MM-DDThh:mm:ssZ` that a value names.

    A day is its first second in UTC; a datetime without an offset is in UTC too. Raises
    UsageError for what is no such value, and for the future: `now` is the clock's, if not given.
    """
    found = _parsed(value, where)
    if found.microsecond:
        raise UsageError(f"{where}: {shown(str(value))} has parts of a second", hint=_HINT)
    try:
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{where}: {shown(str(value))} is no moment", hint=_HINT) from None
    if found > (now or datetime.now(UTC)):
        raise UsageError(
            f"{where}: {shown(str(value))} lies in the future",
            hint="take it away to lock the indexes as they are now",
        )
    return found.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _parsed(value: object, where: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str) and value.isascii():
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    said = shown(value) if isinstance(value, str) else f"a value of type {type(value).__name__}"
    raise UsageError(f"{where}: {said} is no date", hint=_HINT)
