"""A wheel made again of what was installed from it, for what no index has.

Canonical: members sorted, stored uncompressed, one date: the same files are the same wheel.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from packaging.tags import Tag, parse_tag

from repro.ecosystems.pip.recorded import place_of, scripts_of
from repro.ecosystems.pip.records import (
    HINT,
    is_bytecode,
    is_installers,
    record_digest,
    render_record,
)
from repro.ecosystems.tree import FileTree, read
from repro.errors import LockError
from repro.locks import names
from repro.models.installed import Distribution, Recorded

_DATE = (2000, 1, 1, 0, 0, 0)
_SHEBANG = re.compile(rb"#![^\n]*python[0-9.]*([ \t][^\n]*)?\n")
_FIRST_LINE = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """One file of the wheel: its name there, where it lies, and what stands in its place."""

    name: str
    path: str
    executable: bool
    data: bytes | None = None


def wheel_name(one: Distribution, tags: Iterable[Tag]) -> str:
    """Return the file name of the wheel, with its own tags; or with the best of `tags` it has.

    Raises LockError for a distribution that does not say its tags, or fits nothing of these.
    """
    base = one.folder.rpartition("/")[2].removesuffix(".dist-info")
    own = {tag for text in one.tags for tag in parse_tag(text)}
    fitting = [tag for tag in tags if tag in own]
    if not fitting:
        raise LockError(
            f"pip {one.name} {one.version}: its tags ({', '.join(one.tags) or 'none'}) fit no "
            "interpreter of the base",
            hint=HINT,
        )
    parts = (
        ".".join(sorted({tag.interpreter for tag in own})),
        ".".join(sorted({tag.abi for tag in own})),
        ".".join(sorted({tag.platform for tag in own})),
    )
    whole = "-".join(parts)
    chosen = whole if parse_tag(whole) == own and len(whole) < 100 else str(fitting[0])
    return names.file_name(f"{base}-{chosen}.whl", f"pip {one.name}")


def rebuild(tree: FileTree, one: Distribution, file: BinaryIO) -> None:
    """Write the wheel. Raises LockError for a distribution whose files cannot be a wheel's."""
    members = sorted(_members(tree, one), key=lambda member: member.name)
    folder = one.folder.rpartition("/")[2]
    rows: list[Recorded] = []
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            size, sha256 = _write(tree, archive, member)
            rows.append(Recorded(path=member.name, digest=record_digest(sha256)))
            sizes[member.name] = size
        rows.append(Recorded(path=f"{folder}/RECORD"))
        text = render_record(rows, sizes)
        archive.writestr(_info(f"{folder}/RECORD", executable=False), text.encode())


def _write(tree: FileTree, archive: zipfile.ZipFile, member: _Member) -> tuple[int, str]:
    info = _info(member.name, executable=member.executable)
    if member.data is not None:
        archive.writestr(info, member.data)
        return len(member.data), hashlib.sha256(member.data).hexdigest()
    facts, source = tree.facts(member.path), tree.open(member.path)
    if facts is None or source is None:
        raise LockError(f"{member.path}: vanished while it was read", hint="run it again")
    info.file_size = facts.size  # zipfile chooses its wide form by this
    with source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return facts.size, facts.sha256


def _info(name: str, *, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3  # Unix: the mode counts
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    return info


def _members(tree: FileTree, one: Distribution) -> Iterator[_Member]:
    """What of the recorded files goes into the wheel: no bytecode, no notes of an installer."""
    folder = one.folder.rpartition("/")[2]
    data = f"{folder.removesuffix('.dist-info')}.data"
    generated = set(scripts_of(tree, one))
    prefix = _prefix(one.site)
    for row in one.record or ():
        path = posixpath.normpath(row.path)
        if is_bytecode(path) or is_installers(path):
            continue
        place = place_of(one, row)
        facts = tree.facts(place)
        if facts is None:  # the user was told that it is missing
            continue
        if not path.startswith(("../", "/")):
            yield _Member(name=path, path=place, executable=facts.executable)
        elif not place.startswith(f"{prefix}/"):
            raise LockError(
                f"pip {one.name} {one.version}: {names.shown(row.path)} lies outside {prefix}",
                hint=HINT,
            )
        elif posixpath.dirname(place) == f"{prefix}/bin":
            name = posixpath.basename(place)
            if name not in generated:
                yield _Member(
                    name=f"{data}/scripts/{name}",
                    path=place,
                    executable=True,
                    data=_script(tree, place),
                )
        else:
            inner = place.removeprefix(f"{prefix}/")
            yield _Member(name=f"{data}/data/{inner}", path=place, executable=facts.executable)


def _script(tree: FileTree, path: str) -> bytes | None:
    """Return a Python script with the first line that installers complete; None: it is none."""
    file = tree.open(path)
    if file is None:
        return None
    with file:
        match = _SHEBANG.match(file.read(_FIRST_LINE) or b"")
    if match is None:
        return None
    return b"#!python" + (match[1] or b"") + b"\n" + (read(tree, path) or b"")[match.end() :]


def _prefix(site: str) -> str:
    """Return the prefix of a site folder `PREFIX/lib/pythonX.Y/site-packages`."""
    return posixpath.dirname(posixpath.dirname(posixpath.dirname(site)))
