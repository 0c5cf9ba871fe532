"""What the headers of an answer say of its body (RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping


def condition(headers: Mapping[str, str]) -> str | None:
    """Return what identifies the very bytes of a body, None for nothing: an If-Range (§13.1.5)."""
    if headers.get("Content-Encoding", "identity") != "identity":
        return None
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else _strong_date(headers)


def length(headers: Mapping[str, str]) -> int | None:
    """Return the length of a body that is sent as it is, None where they do not say it."""
    said = headers.get("Content-Length", "")
    plain = headers.get("Content-Encoding", "identity") == "identity"
    return int(said) if plain and said.isdecimal() else None


def _strong_date(headers: Mapping[str, str]) -> str | None:
    """Return the date of the last change where no later one can have the same (§8.8.2.2).

    It counts in seconds, so its second must have been over when it was sent.
    """
    from email.utils import parsedate_to_datetime

    changed, sent = (headers.get(name, "") for name in ("Last-Modified", "Date"))
    try:
        age = parsedate_to_datetime(sent) - parsedate_to_datetime(changed)
    except (ValueError, TypeError, OverflowError):  # TypeError: only one names its zone
        return None
    return changed if age.total_seconds() >= 1 else None
