"""Reading the user's files: inside the project, bounded in size, strictly UTF-8."""

from __future__ import annotations

import codecs
import errno
import re
from pathlib import Path, PurePosixPath

from repro.errors import LocalError, UsageError
from repro.files import open_regular
from repro.locks.names import relative_path, shown

TEXT_LIMIT = 4 << 20
"""Bytes of a requirement file: a fully hashed one of a large project has about 1 MiB."""

_PATH_LIMIT = 4096  # PATH_MAX of Linux

_MARKS = (
    (codecs.BOM_UTF32_LE, "a UTF-32 byte order mark"),
    (codecs.BOM_UTF32_BE, "a UTF-32 byte order mark"),
    (codecs.BOM_UTF8, "a UTF-8 byte order mark"),
    (codecs.BOM_UTF16_LE, "a UTF-16 byte order mark"),
    (codecs.BOM_UTF16_BE, "a UTF-16 byte order mark"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ENCODING_HINT = "save the file as UTF-8 without a byte order mark"


def project_path(text: str, where: str) -> str:
    """Return a path of the configuration, relative to the project; a trailing `/` is kept.

    A leading `./` is dropped. Raises UsageError naming `where` for an absolute path, `..`,
    an empty path, the project itself, or a control character.
    """
    if len(text) > _PATH_LIMIT:
        raise UsageError(f"{where}: a path of more than {_PATH_LIMIT} characters")
    body, slash = (text[:-1], "/") if text.endswith("/") and text != "/" else (text, "")
    while body.startswith("./"):
        body = body[2:]
    if body in ("", "."):
        raise UsageError(
            f"{where}: {shown(text)} is the project itself", hint="name a file or a folder in it"
        )
    return relative_path(body, where, UsageError) + slash


def inside(root: Path, path: str, where: str) -> Path:
    """Return where a relative path lies once links are followed, existing or not.

    Raises UsageError naming `where` and the target when a link leads out of the project.
    """
    top = root.resolve()
    try:
        target = (top / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a name too long
        raise UsageError(f"{where}: {shown(path)} cannot be followed: {error}") from None
    if not target.is_relative_to(top):
        raise UsageError(
            f"{where}: {shown(path)} is a link that leads out of the project, to {target}",
            hint="copy what it points to into the project",
        )
    return target


def read_bytes(root: Path, path: str, *, where: str, limit: int = TEXT_LIMIT) -> bytes:
    """Return one file's bytes, of at most `limit`.

    Raises UsageError when it is absent, no regular file, too large or outside the project,
    LocalError when the disk refuses.
    """
    target = inside(root, path, where)
    try:
        with open_regular(target) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise UsageError(f"{where}: {shown(path)} does not exist") from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ENXIO):
            raise UsageError(f"{where}: {shown(path)} is not a regular file") from None
        raise LocalError(
            f"{where}: {shown(path)}: {error.strerror}", hint="check its owner and permissions"
        ) from error
    if len(data) > limit:
        raise UsageError(
            f"{where}: {shown(path)} is larger than {limit >> 10} KiB",
            hint="is this the right file? Nothing that a person writes here is that large",
        )
    return data


def decode(data: bytes, *, where: str) -> str:
    r"""Return strictly decoded UTF-8 text with `\n` line ends.

    Raises UsageError with the byte offset of a byte order mark, of a byte that is not UTF-8, or
    of a control character (UTF-16 without a mark shows as NULs).
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise UsageError(f"{where}: {name} at byte 0", hint=_ENCODING_HINT)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not UTF-8 at byte {error.start}", hint=_ENCODING_HINT) from None
    if found := _CONTROL.search(text):
        offset = len(text[: found.start()].encode())
        raise UsageError(
            f"{where}: control character {found.group()!r} at byte {offset}", hint=_ENCODING_HINT
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(root: Path, path: str, *, where: str | None = None, limit: int = TEXT_LIMIT) -> str:
    """Return one file's text; `where` names the place that asked for it, else the file does.

    Raises UsageError and LocalError, see `read_bytes` and `decode`.
    """
    return decode(read_bytes(root, path, where=where or path, limit=limit), where=path)


def parent_of(path: str) -> str:
    """Return the folder of a relative POSIX path, `""` at the top."""
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent
