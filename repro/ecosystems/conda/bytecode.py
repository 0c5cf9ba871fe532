"""Bytecode that packages bring along, made valid for sources whose mtime is the image's.

A package's bytecode names its source's mtime and size (PEP 552: no flags). In an image every mtime
is one constant, so all of it would be stale, and every import compile anew: 5.2 s where 1.6 s do
(BUILD.md §4). Only the mtime is exchanged; nothing is compiled, nothing runs.
"""

from __future__ import annotations

import posixpath
import re
import struct

from repro.ecosystems.conda.archive import Packed
from repro.models.image import EPOCH

_CACHED = re.compile(r"(?:(.+)/)?__pycache__/([^/]+?)\.[a-z]+-\d+\w*(?:\.opt-\d)?\.pyc")
_HEADER = struct.Struct("<4sLLL")


def source_of(path: str) -> str | None:
    """Return the source that a file would be the bytecode of (PEP 3147); None for another file."""
    found = _CACHED.fullmatch(path)
    return posixpath.join(found[1] or "", f"{found[2]}.py") if found else None


def renewed(data: bytes, source: Packed) -> bytes | None:
    """Return bytecode that is valid in an image; None where it was not valid in its package."""
    if len(data) < _HEADER.size or source.kind == "symlink" or source.replaced:
        return None
    magic, flags, mtime, size = _HEADER.unpack_from(data)
    if flags or (mtime, size) != (source.mtime & 0xFFFFFFFF, source.size & 0xFFFFFFFF):
        return None
    return _HEADER.pack(magic, 0, EPOCH, size) + data[_HEADER.size :]
