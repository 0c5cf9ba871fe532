"""Guards over a conda package: all that it holds is known before anything of it is unpacked.

Formats: conda's packages, `.conda` (a zip of two tars, CEP 26 for its names) and `.tar.bz2`;
`info/index.json`, `info/paths.json`, `info/link.json`, `info/files`, `info/has_prefix`.
"""

from __future__ import annotations

import bz2
import hashlib
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast

from repro.ecosystems.archives import HINT, MOST_WHOLE, opened_zip
from repro.ecosystems.conda.metadata import UNSAID, Listed, Metadata, loaded, parse
from repro.ecosystems.conda.tarball import Member, Readable, Tarball, leaves
from repro.errors import LockError
from repro.locks import names

_WINDOW = 1 << 27
"""Bytes that zstd may remember: what its own `--ultra -22` asks for."""

_INFO = "info/"
_READ = frozenset(
    f"{_INFO}{name}"
    for name in ("index.json", "paths.json", "link.json", "files", "has_prefix", "no_link")
)
_LINK_SCRIPT = re.compile(r"bin/\.(.+)-((pre|post)-(un)?link)\.sh")
_ACTIVATION = re.compile(r"etc/conda/(activate\.d/.+\.sh|env_vars\.d/.+\.json)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """One file of a package; `sha256` is that of its content, `link` a link's text.

    A hard link has the content of the file that it links to. `replaced`: the prefix stands in it.
    """

    path: str
    kind: str
    mode: int
    size: int = 0
    sha256: str = ""
    link: str = ""
    mtime: int = 0
    replaced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """A whole package: its files without `info/`, its folders, what it says of itself."""

    files: tuple[Packed, ...]
    folders: tuple[str, ...]
    metadata: Metadata
    scripts: tuple[str, ...]
    """Programs that conda would run on the host when it links or removes the package."""
    activation: tuple[str, ...]
    """What conda would source or set in a shell that activates the environment."""


def inspect(path: Path, filename: str, where: str) -> Contents:
    """Return what an archive holds; nothing is unpacked to the disk.

    Raises LockError naming `where`, the member and the cause for whatever could write elsewhere
    than below the prefix, is no file, folder or link, is there twice, or is not what
    `info/paths.json` says of it.
    """
    return _collected(path, filename, where, whole=True).contents()


def listing(path: Path, filename: str, where: str) -> tuple[str, ...]:
    """Return the paths that an archive lists, without looking at its files. Raises LockError."""
    collected = _collected(path, filename, where, whole=False)
    return tuple(item.path for item in parse(collected.info, where).paths)


def _collected(path: Path, filename: str, where: str, *, whole: bool) -> _Collected:
    collected = _Collected(where)
    try:
        if filename.endswith(".conda"):
            _collect_zip(collected, path, filename, whole=whole)
        elif filename.endswith(".tar.bz2"):
            with bz2.open(path) as stream:
                collected.add(cast("Readable", stream), path.stat().st_size, lambda _: True)
        else:
            raise LockError(f"{where}: is neither .conda nor .tar.bz2", hint=HINT)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of what unpacks
        raise LockError(f"{where}: is damaged: {names.said(error)}", hint=HINT) from error
    return collected


def _collect_zip(collected: _Collected, path: Path, filename: str, *, whole: bool) -> None:
    stem = filename.removesuffix(".conda")
    where = collected.where
    with opened_zip(path, where) as archive:
        found = {info.filename: info for info in archive.infolist()}
        version = found.pop("metadata.json", None)
        if version is None or version.file_size > MOST_WHOLE:
            raise LockError(f"{where}: has no metadata.json", hint=HINT)
        _check_format(archive.read(version), where)
        for part, belongs in (
            (f"info-{stem}.tar.zst", _is_info),
            (f"pkg-{stem}.tar.zst", lambda name: not _is_info(name)),
        ):
            info = found.pop(part, None)
            if info is None:
                raise LockError(f"{where}: has no {names.shown(part)}", hint=HINT)
            if info.compress_type != zipfile.ZIP_STORED:
                raise LockError(f"{where}: {names.shown(part)} is compressed twice", hint=HINT)
            if not whole and belongs is not _is_info:
                continue
            with archive.open(info) as packed, _unpacked(cast("BinaryIO", packed)) as stream:
                collected.add(stream, info.file_size, belongs)
        if found:
            raise LockError(f"{where}: holds {names.shown(min(found))} too", hint=HINT)


def _check_format(data: bytes, where: str) -> None:
    said = loaded(data, f"{where}: metadata.json")
    if not isinstance(said, dict) or said.get("conda_pkg_format_version") != 2:
        raise LockError(f"{where}: metadata.json does not say format 2", hint=HINT)


def _is_info(name: str) -> bool:
    return name.startswith(_INFO)


@contextmanager
def _unpacked(packed: BinaryIO) -> Iterator[Readable]:
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with unpacker.stream_reader(packed, read_across_frames=True) as stream:
        try:
            yield cast("Readable", stream)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error


@dataclass
class _Collected:
    """What the tars of one package hold, checked as it comes."""

    where: str
    files: dict[str, Packed] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    info: dict[str, bytes] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    """Names by their normal form, and by that without case: the first of each."""

    def add(self, stream: Readable, size: int, belongs: Callable[[str], bool]) -> None:
        """Read a whole tar of `size` packed bytes; `belongs` says which names may be in it."""
        tarball = Tarball(stream, size, self.where)
        for member in tarball.members():
            if not member.name:
                continue  # the folder itself
            if member.kind != "dir" and not belongs(member.name):
                raise self._refused(f"{names.shown(member.name)} is in the wrong part of it")
            self._check_name(member)
            if member.kind == "dir":
                self.folders.add(member.name)
            else:
                self._keep(member, tarball)

    def _keep(self, member: Member, tarball: Tarball) -> None:
        shown = names.shown(member.name)
        digest, kept = hashlib.sha256(), []
        wanted = member.name in _READ
        if wanted and (member.kind != "file" or member.size > MOST_WHOLE):
            raise self._refused(f"{shown} is no file, or has {member.size} bytes")
        for piece in tarball.content():
            digest.update(piece)
            if wanted:
                kept.append(piece)
        if wanted:
            self.info[member.name] = b"".join(kept)
        packed = Packed(
            path=member.name,
            kind=member.kind,
            mode=member.mode,
            size=member.size,
            sha256=digest.hexdigest() if member.kind == "file" else "",
            link=member.link,
            mtime=member.mtime,
        )
        if member.kind == "symlink" and leaves(member):
            raise self._refused(f"{shown} links out of the prefix, to {names.shown(member.link)}")
        if member.kind == "hardlink":
            target = self.files.get(member.link.removeprefix("./"))
            if target is None or target.kind == "symlink":
                raise self._refused(
                    f"{shown} is a hard link to {names.shown(member.link)}, "
                    "which is no file before it"
                )
            link = target.link if target.kind == "hardlink" else target.path
            packed = replace(
                packed, link=link, size=target.size, sha256=target.sha256, mode=target.mode
            )
        self.files[member.name] = packed

    def _check_name(self, member: Member) -> None:
        """Refuse a name that is there, and one that is another where Unicode forms don't count.

        Case counts: ncurses and the kernel's headers hold files whose names differ in nothing
        else. Where links are concerned it does not.
        """
        name, key = member.name, _form(member.name)
        other = self.forms.setdefault(key, name)
        if other != name:
            raise self._one_name(other, name, "Unicode forms do")
        if name in self.files or (name in self.folders and member.kind != "dir"):
            raise self._refused(f"holds {names.shown(name)} twice")
        other = self.folded.setdefault(key.casefold(), name)
        if other != name and "symlink" in (member.kind, self._kind(other)):
            raise self._one_name(other, name, "case and Unicode forms do")

    def _one_name(self, one: str, other: str, what: str) -> LockError:
        return self._refused(
            f"{names.shown(one)} and {names.shown(other)} are one name where {what} not count"
        )

    def _kind(self, name: str) -> str:
        return self.files[name].kind if name in self.files else "dir"

    def contents(self) -> Contents:
        """Return all of it, once `info/` and the names agree."""
        payload = {path: item for path, item in self.files.items() if not _is_info(path)}
        self._check_parents()
        metadata = parse(self.info, self.where)
        listed = {item.path: item for item in metadata.paths if item.kind != "directory"}
        if lost := sorted(listed.keys() - payload.keys()):
            raise self._refused(f"lists {names.shown(lost[0])}, and does not hold it")
        if more := sorted(payload.keys() - listed.keys()):
            raise self._refused(f"holds {names.shown(more[0])}, and does not list it")
        folders = {path for path in self.folders if not _is_info(f"{path}/")}
        folders |= {item.path for item in metadata.paths if item.kind == "directory"}
        return Contents(
            files=tuple(self._agreed(payload[path], listed[path]) for path in sorted(payload)),
            folders=tuple(sorted(folders - payload.keys())),
            metadata=metadata,
            scripts=tuple(path for path in sorted(payload) if _LINK_SCRIPT.fullmatch(path)),
            activation=tuple(path for path in sorted(payload) if _ACTIVATION.fullmatch(path)),
        )

    def _agreed(self, packed: Packed, listed: Listed) -> Packed:
        """Return a file that is what the list says; on a link's own digest no two tools agree."""
        shown = names.shown(packed.path)
        said_link = listed.kind == "softlink"
        if listed.kind != UNSAID and said_link is not (packed.kind == "symlink"):
            raise self._refused(f"lists {shown} as a {listed.kind}, and holds a {packed.kind}")
        if packed.kind == "symlink":
            return packed
        for what, said, found in (
            ("sha256", listed.sha256, packed.sha256),
            ("size", listed.size, packed.size),
        ):
            if said is not None and said != found:
                raise self._refused(f"lists {shown} with {what} {said}, and holds {found}")
        return replace(packed, replaced=listed.replaced)

    def _check_parents(self) -> None:
        """Refuse a name below a file or a link, also where case does not count below a link."""
        for path in (*self.files, *self.folders):
            parent = path.rpartition("/")[0]
            while parent:
                other = self.folded.get(_form(parent).casefold(), parent)
                above = parent if parent in self.files else other
                if above in self.files and (above == parent or self._kind(above) == "symlink"):
                    raise self._below(path, above)
                parent = parent.rpartition("/")[0]

    def _below(self, path: str, above: str) -> LockError:
        kind, shown = self._kind(above), names.shown(above)
        return self._refused(f"{shown} is a {kind}, and {names.shown(path)} lies below it")

    def _refused(self, why: str) -> LockError:
        return LockError(f"{self.where}: {why}", hint=HINT)


def _form(name: str) -> str:
    """Return the form of a name that file systems which normalise know it by."""
    return unicodedata.normalize("NFC", name)
