"""RECORD and WHEEL: what a wheel says it holds, and what an installer says it wrote.

Formats: "Recording installed projects" and "Binary distribution format" (PEP 376, 427, 627).
"""

from __future__ import annotations

import csv
import posixpath
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from repro.errors import LockError
from repro.locks import names
from repro.models.installed import Recorded

HINT = "install that package again, or leave it out: --without NAME"

MOST_ROWS = 1 << 18

_INSTALLERS = frozenset(
    {
        "INSTALLER", "REQUESTED", "RECORD", "RECORD.jws", "RECORD.p7s", "direct_url.json",
        "uv_build.json", "uv_cache.json",
    }
)  # fmt: skip
"""Files of a `.dist-info` folder that the installer writes, not the wheel."""

_DIGEST = re.compile(r"[a-z0-9_]{1,20}=[A-Za-z0-9_-]{1,200}={0,2}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelFacts:
    """What a WHEEL file says."""

    tags: tuple[str, ...]
    build: str
    purelib: bool


def parse_record(text: str, *, where: str) -> tuple[Recorded, ...]:
    """Return the rows of a RECORD, in its order. Raises LockError naming line and cause."""
    rows: list[Recorded] = []
    try:
        for row in csv.reader(text.splitlines(), strict=True):
            if not row:
                continue
            if len(row) != 3 or not row[0] or "\0" in row[0]:
                raise LockError(
                    f"{where}: {names.shown(','.join(row))} is not path,hash,size", hint=HINT
                )
            if row[1] and not _DIGEST.fullmatch(row[1]):
                raise LockError(f"{where}: {names.shown(row[1])} is no hash", hint=HINT)
            rows.append(Recorded(path=row[0], digest=row[1].rstrip("=")))
            if len(rows) > MOST_ROWS:
                raise LockError(f"{where}: more than {MOST_ROWS} files", hint=HINT)
    except csv.Error as error:
        raise LockError(f"{where}: {names.said(error)}", hint=HINT) from None
    return tuple(rows)


def render_record(rows: Iterable[Recorded], sizes: Mapping[str, int]) -> str:
    """Return the text of a RECORD: sorted, `sizes` (bytes) by path where they are known."""
    lines = []
    for row in sorted(rows, key=lambda row: row.path):
        path = row.path
        if any(sign in path for sign in ',"\r\n'):
            path = '"' + path.replace('"', '""') + '"'
        lines.append(f"{path},{row.digest},{sizes.get(row.path, '')}\n")
    return "".join(lines)


def record_digest(sha256: str) -> str:
    """Return a sha256 (hex) as RECORD writes it."""
    return "sha256=" + urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")


def parse_wheel(text: str) -> WheelFacts:
    """Read a WHEEL file; what it does not say is empty, and a purelib."""
    tags: list[str] = []
    build, purelib = "", True
    for line in text.splitlines():
        name, _, value = line.partition(":")
        value = value.strip()
        match name.strip().lower():
            case "tag":
                tags.append(value)
            case "build":
                build = value
            case "root-is-purelib":
                purelib = value.lower() == "true"
    return WheelFacts(tags=tuple(tags), build=build, purelib=purelib)


def is_bytecode(path: str) -> bool:
    """Whether an interpreter may write this file again at any moment."""
    return path.endswith((".pyc", ".pyo"))


def is_installers(path: str) -> bool:
    """Whether an installer writes this file, and no wheel has it for the installed tree."""
    if path.rpartition("/")[2] not in _INSTALLERS:
        return False
    folder = posixpath.normpath(path).rpartition("/")[0]
    return folder.endswith(".dist-info") and "/" not in folder


def content(rows: Iterable[Recorded]) -> dict[str, str]:
    """Return {path: digest} of what came out of the wheel: no bytecode, nothing of an installer."""
    return {
        posixpath.normpath(row.path): row.digest
        for row in rows
        if not is_bytecode(row.path) and not is_installers(row.path)
    }


def difference(
    wheel: Iterable[Recorded], installed: Iterable[Recorded], scripts: Iterable[str]
) -> str | None:
    """Return a path in which a wheel and what is installed differ; None: it is that wheel.

    `scripts` are the names of its entry points, whose scripts installers generate. A script of
    the wheel's own may have another first line: it must be there, whatever its hash.
    """
    theirs = content(installed)
    outside: dict[str, str] = {p: d for p, d in theirs.items() if p.startswith("../")}
    seen: set[str] = set()
    for path, digest in content(wheel).items():
        folder, _, rest = path.partition("/")
        if folder.endswith(".data"):
            scheme, _, inner = rest.partition("/")
            found = _placed(scheme, inner, digest, theirs, outside)
        else:
            found = path if theirs.get(path) == digest else None
        if found is None:
            return path
        seen.add(found)
    generated = set(scripts)
    for path in sorted(theirs.keys() - seen):
        if path in outside and path.rpartition("/")[2] in generated:
            continue
        return path
    return None


def _placed(
    scheme: str, inner: str, digest: str, theirs: Mapping[str, str], outside: Mapping[str, str]
) -> str | None:
    """Return where a member of the wheel's `.data` folder was put; None: it is not there."""
    if scheme in ("purelib", "platlib"):
        return inner if theirs.get(inner) == digest else None
    for path, known in outside.items():
        same = known == digest or scheme == "scripts"
        if same and path.endswith(f"/{inner}"):
            return path
    return None
