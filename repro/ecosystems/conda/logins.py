"""Logins out of addresses: rattler writes every address that it asks into its cache."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from repro.locks import conda_names


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The Authorization that belongs to what lies below a path of a host."""

    host: str
    path: str
    value: str


def bare(address: str) -> str:
    """Return an address without user and password; a token in its path stays."""
    if "://" not in address:
        return address
    split = urlsplit(address)
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2]))


def headers(addresses: Iterable[str]) -> list[Header]:
    """Return what `bare` takes away of each, in the form that is sent."""
    found = []
    for address in addresses:
        user, at, _ = urlsplit(address).netloc.rpartition("@")
        if not at or "://" not in address:
            continue
        name, _, password = user.partition(":")
        login = f"{unquote(name)}:{unquote(password)}".encode()
        split = urlsplit(address)
        found.append(
            Header(
                host=split.hostname or "",
                path=split.path.rstrip("/") + "/",
                value=f"Basic {base64.b64encode(login).decode()}",
            )
        )
    return found


def hold_token(addresses: Iterable[str]) -> bool:
    """Whether one of them holds a token in its path, which cannot be sent otherwise."""
    return any(conda_names.TOKEN.search(urlsplit(address).path) for address in addresses)
