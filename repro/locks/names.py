"""Strict grammars for everything that reaches a file, an argument list or a path.

Each function returns the value or raises the caller's error class, naming `where` and the
offending text; nothing is ever repaired. Matching is on ASCII only, and always on the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from repro.errors import LockError, ReproError

LONGEST_NAME = 200
"""Characters of a package's name, a version and the like; the longest in Debian have 80."""

LONGEST_PATH = 4096
"""Bytes of a path: PATH_MAX of Linux."""

LONGEST_PART = 255
"""Bytes of one part of a path: NAME_MAX of Linux."""

_SHOWN = 80
_LOOKED_AT = 8192


@dataclass(frozen=True, slots=True)
class _Grammar:
    """What a whole text must match, what that is called, and how it is written."""

    pattern: str
    what: str
    hint: str

    def check(self, text: str, where: str, error: type[ReproError]) -> str:
        if len(text) > LONGEST_NAME or not re.fullmatch(self.pattern, text, re.ASCII):
            raise error(f"{where}: {shown(text)} is not {self.what}", hint=self.hint)
        return text


# Debian Policy §5.6.1: lower case letters, digits, plus, minus, full stop; at least two
# characters, beginning with an alphanumeric. A trailing "-" means "remove" to apt-get and
# ends no package's name in bullseye, bookworm or trixie.
_DEBIAN_PACKAGE = _Grammar(
    r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]",
    "a Debian package's name",
    "write lower-case letters, digits, '+', '-' and '.': libgomp1",
)

# Debian Policy §5.6.12, deb-version(7): [epoch:]upstream[-revision], upstream begins with a digit.
_DEBIAN_VERSION = _Grammar(
    r"(?:[0-9]{1,9}:)?[0-9][A-Za-z0-9.+~-]*",
    "a Debian version",
    "write it as apt shows it (apt-cache policy PACKAGE): 1:2.40-7",
)

# Code names ("bookworm", "bookworm-security") and archive names ("debian-security").
_WORD = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_SUITE = _Grammar(_WORD, "a suite's name", "write a release's code name: bookworm")
_ARCHIVE = _Grammar(_WORD, "an archive's name", "write debian, debian-security or ubuntu")
_INDEX_ALIAS = _Grammar(
    _WORD,
    "an index alias (lower-case words joined by '-')",
    "write lower-case letters and digits, words joined by '-': team-wheels",
)

# PEP 508, "Names": case-insensitive; both cases are written out, because re.IGNORECASE also
# takes U+017F and U+212A for ASCII letters.
_PYTHON_NAME = _Grammar(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?",
    "a Python project's name",
    "write letters, digits, '-', '_' and '.', a letter or digit at both ends: scikit-learn",
)

# FIPS 180-4: 256 bits, as lower-case hexadecimal digits.
_SHA256 = _Grammar(
    r"[0-9a-f]{64}",
    "a sha256 (64 lower-case hexadecimal digits)",
    "copy it whole: sha256sum FILE",
)

# `major.minor`, as Debian names its interpreters.
_INTERPRETER = _Grammar(
    r"[23]\.[0-9]{1,2}", 'a Python version like "3.11"', 'write major and minor, quoted: "3.11"'
)

# RFC 3339 in one form of its many: UTC, whole seconds.
_MOMENT = _Grammar(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
    "a moment in UTC",
    "write it as 2025-06-01T00:00:00Z",
)

_GLIBC = _Grammar(r"2\.[0-9]{1,3}", "a version of glibc", "write it as 2.36")

# C0 and C1 controls, DEL, the line separators, and lone surrogates: nothing that a terminal, a
# line-based file or an encoder would read as something else.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Schemes are short, and so is what is looked at: no text makes these more than linear.
_SCHEME = r"(?i)([a-z][a-z0-9+.-]{0,30}://)"
_CREDENTIALS = re.compile(_SCHEME + r"[^/\s]*@")  # greedy: a password may hold an @ of its own
_UNENDED = re.compile(_SCHEME + r"[^/\s]*\Z")
_TOKEN = re.compile(r"(/t/)[^/\s?#]+")
"""Where conda's servers take a login: https://HOST/t/TOKEN/CHANNEL."""
_QUERY = re.compile(r"(?i)([a-z][a-z0-9+.-]{0,30}://[^\s?#]*)[?#]\S*")


def shown(text: str) -> str:
    """Quote text for a message: one line, at most 80 characters, no credentials of an address."""
    part = text[:_LOOKED_AT]
    if len(text) > len(part):  # a login may end beyond it
        part = _UNENDED.sub(r"\1…", part)
    part = _QUERY.sub(r"\1?…", _CREDENTIALS.sub(r"\1…@", part))
    part = _TOKEN.sub(r"\1…", part) if "://" in part else part
    return repr(part) if len(part) <= _SHOWN else repr(part[:_SHOWN]) + "…"


def said(words: object) -> str:
    """Return another program's or an exception's words as one inert line of 300 characters."""
    text = " ".join(str(words).split()) or type(words).__name__
    plain = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text[:300])
    return plain if len(text) <= 300 else f"{plain}…"


def path_shown(path: str) -> str:
    """A path for a message: as it is, quoted where a newline of its would forge a line of ours."""
    return repr(path) if _CONTROL.search(path) else path


def paths_shown(paths: Sequence[str], most: int = 10) -> str:
    """The first of some paths for a message, and how many more there are."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(path_shown(path) for path in paths[:most]) + more


def debian_package(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Debian package's name. Raises `error`."""
    return _DEBIAN_PACKAGE.check(text, where, error)


def debian_version(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Debian version. Raises `error`."""
    return _DEBIAN_VERSION.check(text, where, error)


def suite(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a suite's name, known or not. Raises `error`."""
    return _SUITE.check(text, where, error)


def archive(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return an archive's name. Raises `error`."""
    return _ARCHIVE.check(text, where, error)


def index_alias(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a package index's alias. Raises `error`."""
    return _INDEX_ALIAS.check(text, where, error)


def interpreter(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Python `major.minor`. Raises `error`."""
    return _INTERPRETER.check(text, where, error)


def moment(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a moment `YYYY-MM-DDThh:mm:ssZ` that exists. Raises `error`."""
    from datetime import datetime

    try:
        datetime.fromisoformat(_MOMENT.check(text, where, error))
    except ValueError:
        raise error(f"{where}: {shown(text)} is no moment", hint=_MOMENT.hint) from None
    return text


def glibc(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a version of glibc, `2.N`. Raises `error`."""
    return _GLIBC.check(text, where, error)


def python_name(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Python project's name in normalised form (PEP 503). Raises `error`."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(_PYTHON_NAME.check(text, where, error))


def python_version(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a Python project's version in normalised form (PEP 440). Raises `error`."""
    from packaging.version import InvalidVersion, Version

    try:
        if not text.isascii() or len(text) > LONGEST_NAME:
            raise InvalidVersion(text)
        return str(Version(text))
    except ValueError:  # InvalidVersion, and integers that Python refuses to read
        raise error(
            f"{where}: {shown(text)} is not a version (PEP 440)", hint="write it like 1.4.2"
        ) from None


def sha256(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return a sha256 in lower-case hexadecimal. Raises `error`."""
    return _SHA256.check(text, where, error)


def single_line(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return text without control characters or lone surrogates. Raises `error`."""
    if _CONTROL.search(text):
        raise error(
            f"{where}: {shown(text)} holds a control character",
            hint="write one line of plain text",
        )
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
        raise error(f"{where}: {shown(text)} holds a NUL", hint="write a path that can exist")
    if text.startswith("/"):
        raise error(f"{where}: {shown(text)} is an absolute path", hint="write a relative path")
    parts = text.split("/")
    if ".." in parts:
        raise error(f"{where}: {shown(text)} leaves its folder", hint="write a path without '..'")
    if "" in parts or "." in parts:
        raise error(
            f"{where}: {shown(text)} has an empty or '.' part", hint="write it as out/metrics.json"
        )
    if _bytes(text) > LONGEST_PATH or max(map(_bytes, parts)) > LONGEST_PART:
        raise error(
            f"{where}: {shown(text)} is longer than a path can be",
            hint=f"at most {LONGEST_PATH} bytes, and {LONGEST_PART} in each part",
        )
    return text


def absolute_path(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return an absolute POSIX path, otherwise as `relative_path`. Raises `error`."""
    if not text.startswith("/"):
        raise error(f"{where}: {shown(text)} is no absolute path", hint="begin it with '/'")
    relative_path(text[1:], where, error)
    return text


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def file_name(text: str, where: str, error: type[ReproError] = LockError) -> str:
    """Return the name of one file: a relative path of one part, no leading `-`. Raises `error`."""
    relative_path(text, where, error)
    if PurePosixPath(text).name != text or text.startswith("-"):
        raise error(
            f"{where}: {shown(text)} is not a file name",
            hint="write one name, not beginning with '-'",
        )
    return text
