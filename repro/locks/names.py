"""Strict grammars for everything that reaches a file, an argument list or a path.

Each function returns the value or raises the caller's error class, naming `where` and the
offending text; nothing is ever repaired. Matching is on ASCII only, and always on the whole text.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from repro.errors import LockError, ReproError

_SHOWN = 80

# Debian Policy §5.6.1: lower case letters, digits, plus, minus, full stop; at least two
# characters, beginning with an alphanumeric. A trailing "-" means "remove" to apt-get and
# ends no package's name in bullseye, bookworm or trixie.
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]", re.ASCII)

# Debian Policy §5.6.12, deb-version(7): [epoch:]upstream[-revision], upstream begins with a digit.
_DEBIAN_VERSION = re.compile(r"(?:[0-9]{1,9}:)?[0-9][A-Za-z0-9.+~-]*", re.ASCII)

# Code names ("bookworm", "bookworm-security") and archive names ("debian-security").
_WORD = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)

# PEP 508, "Names": case-insensitive; both cases are written out, because re.IGNORECASE also
# takes U+017F and U+212A for ASCII letters.
_PYTHON_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)

# FIPS 180-4: 256 bits, as lower-case hexadecimal digits.
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

# `major.minor`, as Debian names its interpreters.
_INTERPRETER = re.compile(r"[23]\.[0-9]{1,2}", re.ASCII)

# C0 and C1 controls, DEL, the line separators, and lone surrogates: nothing that a terminal, a
# line-based file or an encoder would read as something else.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_CREDENTIALS = re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s@]*@")
_QUERY = re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s?#]*)[?#]\S*")


def shown(text: str) -> str:
    """Quote text for a message: one line, at most 80 characters, no credentials of an address."""
    text = _QUERY.sub(r"\1?…", _CREDENTIALS.sub(r"\1…@", text))
    return repr(text) if len(text) <= _SHOWN else repr(text[:_SHOWN]) + "…"


def _whole(
    pattern: re.Pattern[str], text: str, what: str, where: str, error: type[ReproError]
) -> str:
    if not pattern.fullmatch(text):
        raise error(f"{where}: {shown(text)} is not {what}")
    return text


def debian_package(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Debian package's name. Raises `error`."""
    return _whole(_DEBIAN_PACKAGE, text, "a Debian package's name", where, error)


def debian_version(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Debian version. Raises `error`."""
    return _whole(_DEBIAN_VERSION, text, "a Debian version", where, error)


def suite(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a suite's name, known or not. Raises `error`."""
    return _whole(_WORD, text, "a suite's name", where, error)


def archive(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return an archive's name. Raises `error`."""
    return _whole(_WORD, text, "an archive's name", where, error)


def index_alias(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a package index's alias. Raises `error`."""
    return _whole(_WORD, text, "an index alias (lower-case words joined by '-')", where, error)


def interpreter(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Python `major.minor`. Raises `error`."""
    return _whole(_INTERPRETER, text, 'a Python version like "3.11"', where, error)


def python_name(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Python project's name in normalised form (PEP 503). Raises `error`."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(_whole(_PYTHON_NAME, text, "a Python project's name", where, error))


def python_version(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Python project's version in normalised form (PEP 440). Raises `error`."""
    from packaging.version import InvalidVersion, Version

    try:
        if not text.isascii() or len(text) > 200:
            raise InvalidVersion(text)
        return str(Version(text))
    except ValueError:  # InvalidVersion, and integers that Python refuses to read
        raise error(f"{where}: {shown(text)} is not a version (PEP 440)") from None


def sha256(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a sha256 in lower-case hexadecimal. Raises `error`."""
    return _whole(_SHA256, text, "a sha256 (64 lower-case hexadecimal digits)", where, error)


def single_line(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return text without control characters or lone surrogates. Raises `error`."""
    if _CONTROL.search(text):
        raise error(f"{where}: {shown(text)} holds a control character")
    return text


def relative_path(
    text: str, where: str, error: type[ReproError] = LockError, *, printable: bool = True
) -> str:
    """Return a relative POSIX path without `.`, `..` or empty parts. Raises `error`.

    Control characters are refused too; with `printable=False`, for the names of files that
    exist, only NUL is.
    """
    if printable:
        single_line(text, where, error)
    if "\0" in text:
        raise error(f"{where}: {shown(text)} holds a NUL")
    if text.startswith("/"):
        raise error(f"{where}: {shown(text)} is an absolute path", hint="write a relative path")
    parts = text.split("/")
    if ".." in parts:
        raise error(f"{where}: {shown(text)} leaves its folder", hint="write a path without '..'")
    if "" in parts or "." in parts:
        raise error(f"{where}: {shown(text)} has an empty or '.' part")
    return text


def file_name(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return the name of one file: a relative path of one part, no leading `-`. Raises `error`."""
    relative_path(text, where, error)
    if PurePosixPath(text).name != text or text.startswith("-"):
        raise error(f"{where}: {shown(text)} is not a file name")
    return text
