"""Strict grammars of conda's nouns, as `repro.locks.names` has those of Debian and Python."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from repro.errors import LockError, ReproError
from repro.locks.names import LONGEST_NAME, shown

# CEP 26: lower case, digits, '-', '_' and '.'; virtual packages begin with two underscores.
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*", re.ASCII)
# CEP 26 again; '!' is an epoch's sign and '+' that of a local version.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.!+-]*", re.ASCII)
_BUILD = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)
_SUBDIR = re.compile(r"noarch|[a-z]+-[a-z0-9]+", re.ASCII)
_CHANNEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)
TOKEN = re.compile(r"/t/[^/\s]+(?=/|$)")
_SCHEMES = ("http", "https", "file")

SUBDIRS = {"linux-amd64": "linux-64", "linux-arm64": "linux-aarch64"}
"""A lock's platform → conda's name of it."""


def package_name(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a conda package's name, in lower case. Raises `error`."""
    lowered = text.lower()
    if len(text) > LONGEST_NAME or not _NAME.fullmatch(lowered) or not text.isascii():
        raise error(
            f"{where}: {shown(text)} is not a conda package's name",
            hint="write letters, digits, '-', '_' and '.': python-dateutil",
        )
    return lowered


def package_version(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return one version of a conda package. Raises `error`."""
    if len(text) > LONGEST_NAME or not _VERSION.fullmatch(text):
        raise error(
            f"{where}: {shown(text)} is not a conda package's version", hint="write it like 1.4.2"
        )
    return text


def build_string(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return the build string of a conda package. Raises `error`."""
    if len(text) > LONGEST_NAME or not _BUILD.fullmatch(text):
        raise error(
            f"{where}: {shown(text)} is not the build string of a conda package",
            hint="write it as conda shows it: py311h64a7726_0",
        )
    return text


def subdir(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return conda's name of a platform, or `noarch`. Raises `error`."""
    if len(text) > LONGEST_NAME or not _SUBDIR.fullmatch(text):
        raise error(
            f"{where}: {shown(text)} is not a platform of conda's",
            hint="write it as conda does: linux-64",
        )
    return text


def archive_name(
    text: str, where: str, error: type[ReproError] = LockError
) -> tuple[str, str, str]:
    """Split an archive's file name into name, version and build string. Raises `error`."""
    stem = text.removesuffix(".conda") if text.endswith(".conda") else text.removesuffix(".tar.bz2")
    parts = stem.rsplit("-", 2)
    if stem == text or len(parts) != 3:
        raise error(
            f"{where}: {shown(text)} is not the name of a conda package's archive",
            hint="it ends in .conda or .tar.bz2: numpy-1.26.4-py311h64a7726_0.conda",
        )
    return (
        package_name(parts[0], where, error),
        package_version(parts[1], where, error),
        build_string(parts[2], where, error),
    )


def channel(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a channel's name, or its address without a `/` at the end. Raises `error`.

    An address that holds a credential is refused, and not shown.
    """
    if "://" not in text:
        if len(text) > LONGEST_NAME or not _CHANNEL.fullmatch(text.rstrip("/")):
            raise error(
                f"{where}: {shown(text)} is neither a channel's name nor an address",
                hint="write a name like conda-forge, or an http, https or file address",
            )
        return text.rstrip("/")
    if has_credential(text):
        raise error(
            f"{where}: the channel's address holds a credential or a query (not shown)",
            hint="write it without; user names, passwords and tokens come from netrc or .condarc",
        )
    return address(text, where, error)


def has_credential(text: str) -> bool:
    """Whether an address holds a user name, a conda token (`/t/…`), a query or a fragment."""
    beyond = text.partition("://")[2]
    return bool("@" in beyond.partition("/")[0] or TOKEN.search(beyond) or set("?#$") & set(text))


def without_credential(text: str) -> str:
    """Cut user name, password, token, query and fragment out of an address."""
    try:
        split = urlsplit(text)
    except ValueError:  # half an IPv6 address: nothing of it is kept
        return ""
    host = split.netloc.rpartition("@")[2]
    return urlunsplit((split.scheme, host, TOKEN.sub("", split.path), "", ""))


def address(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return an http, https or file address without a `/` at the end. Raises `error`."""
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        raise error(f"{where} is not an address (not shown)", hint="write it out") from None
    local = split.scheme == "file" and not split.netloc and split.path.startswith("/")
    remote = split.scheme in _SCHEMES[:2] and split.hostname and port != 0
    odd = any(sign in " '\"<>\\^`{|}" or not sign.isprintable() for sign in text)
    if not (local or remote) or odd or not text.isascii() or "/../" in f"{split.path}/":
        raise error(
            f"{where}: not an http, https or file address: {shown(text)}",
            hint="write a channel's name like conda-forge, or its address",
        )
    return text.rstrip("/")
