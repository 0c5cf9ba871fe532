"""Addresses: parts appended, secrets cut out."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit


def redact(text: str) -> str:
    """Remove user names, passwords, conda's tokens and query strings from addresses in `text`."""
    # greedy: a password may hold an @ of its own
    text = re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s'\"]*@", r"\1", text)
    text = re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s'\"]+/t/)[^/\s'\"]+", r"\1…", text)
    return re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?'\"]+)\?[^\s'\"]*", r"\1", text)


def join(base: str, *parts: str) -> str:
    """Append path parts to an address, keeping its query."""
    split = urlsplit(base)
    path = "/".join([split.path.rstrip("/"), *(part.strip("/") for part in parts)])
    return urlunsplit(split._replace(path=path))
