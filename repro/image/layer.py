"""Canonical layers: a tar that is a pure function of what it holds (BUILD.md §3)."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

from repro.errors import LockError
from repro.files import CHUNK
from repro.image.ustar import BLOCK, END, MAX_DEVICE, Member, encoded, header, padding
from repro.locks.names import said, shown

CAPABILITY = "security.capability"
"""The only extended attribute that a layer keeps: what ping and the like need."""

_MAX_ID = (1 << 32) - 2
"""Linux's largest user or group number; the next one means "none"."""

WHITEOUT = ".wh."
"""How a file's name begins that hides another of the layers below (OCI image-spec v1, layer.md)."""

DAMAGED = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)
"""What `tarfile` raises for headers that make no sense: its own error does not cover all."""

_TYPES = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}
_KINDS = {flag: kind for kind, flag in _TYPES.items()} | {
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
}

# Files that a build leaves behind and that differ from build to build, or that tell of the host.
# Folders stay: programs expect them.
_DROPPED_FILES = re.compile(
    "|".join(
        (
            # the host's or the bootstrap's, not the lock's
            r"etc/(hostname|hosts|resolv\.conf|mtab)",
            r"etc/apt/sources\.list",  # holds the mirror that this build used
            r"etc/apt/sources\.list\.d/0000.*",  # where mmdebstrap puts further sources
            r"etc/(apt/apt\.conf\.d|dpkg/dpkg\.cfg\.d)/99mmdebstrap",
            r"\.dockerenv",
            # identities and secrets that must never be shared by all who use an image
            r"(etc|var/lib/dbus)/machine-id",
            r"etc/ssh/ssh_host_.+",
            r"var/lib/systemd/(random-seed|credential\.secret)",
            # locks and backups: what was there before the last step of the installation
            r"etc/\.pwd\.lock",
            r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-",
            r"var/lib/dpkg/(lock|lock-frontend|triggers/Lock)",
            r"var/lib/dpkg/(status|diversions|statoverride|available)-old",
            r"var/lib/dpkg/available",  # dselect's, empty or the mirror's index
            r"var/cache/debconf/.+-old",
            # logs and caches hold times, and are made again when needed
            r"var/log/.+",
            r"var/cache/(apt|ldconfig|fontconfig|man)/.+",
            r"var/lib/apt/lists/.+",
            r"var/lib/systemd/catalog/database",
        )
    )
)

# All below these, folders too: mounted over in every run, or scratch space of the build.
_DROPPED_BELOW = re.compile(r"(tmp|var/tmp|run|dev|proc|sys|root/\.cache)/.+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One name in a layer.

    `path` has no leading slash; `kind` is file, dir, symlink, hardlink, char, block or fifo.
    `data` is a file's content, or opens it (then `size` bytes must come). `link` is a symlink's
    text, or the path that a hardlink shares. An xattr's value is text as the file system's
    bytes decode with surrogateescape. Whiteouts are files named `.wh.NAME`.
    """

    path: str
    mode: int
    kind: str
    data: bytes | Callable[[], BinaryIO] = b""
    size: int = 0
    link: str = ""
    uid: int = 0
    gid: int = 0
    xattrs: tuple[tuple[str, str], ...] = ()
    major: int = 0
    minor: int = 0

    @property
    def length(self) -> int:
        """Bytes of content."""
        return len(self.data) if isinstance(self.data, bytes) else self.size

    def open(self) -> BinaryIO:
        """Return the content as a file."""
        return BytesIO(self.data) if isinstance(self.data, bytes) else self.data()


def write_layer(file: BinaryIO, entries: Iterable[Entry]) -> None:
    """Write the canonical tar of `entries`; their order does not matter.

    Sorted by the bytes of the path, every parent folder explicit (0755, root, where no entry
    says otherwise), one mtime, numeric owners, hard links on the first of their names. Raises
    LockError for a path that leaves the layer, two entries that disagree about one path, or
    content that is not as long as its entry says.
    """
    write_entries(file, with_parents(rerooted(collected(entries), keep=lambda _: True)))


def unmarked(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield a package's entries. Raises LockError for a name by which layers mark a deletion."""
    for entry in entries:
        if entry.path.rpartition("/")[2].startswith(WHITEOUT):
            raise LockError(
                f"{shown(entry.path)}: no layer can hold a file of that name: it marks a deletion",
                hint="leave out the package that writes it",
            )
        yield entry


def canonical(source: BinaryIO, file: BinaryIO) -> None:
    """Rewrite an uncompressed, seekable tar of a root file system as a canonical layer.

    What differs from build to build is dropped (BUILD.md §3); extended attributes too, but for
    file capabilities. Raises LockError as `write_layer` does, and for a damaged tar.
    """
    try:
        with tarfile.open(fileobj=source, mode="r:") as tar:
            entries = collected(unmarked(entries_of(tar)))
            _require_end(source, tar)
            write_entries(file, with_parents(rerooted(entries, keep=_is_kept)))
    except DAMAGED as error:
        raise _damaged(said(error)) from error


def is_dropped(path: str, *, folder: bool = False) -> bool:
    """Whether `canonical` leaves this path out."""
    if _DROPPED_BELOW.fullmatch(path):
        return True
    return not folder and _DROPPED_FILES.fullmatch(path) is not None


def _is_kept(entry: Entry) -> bool:
    return not is_dropped(entry.path, folder=entry.kind == "dir")


def _normal(path: str) -> str:
    """Return the path without `./` and a closing slash. Raises LockError for one that escapes."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path:
        raise LockError(
            f"layer: {shown(path)} is not a path inside the layer",
            hint="the artifact that holds it is not to be trusted; lock another one",
        )
    return "/".join(parts)


def entries_of(tar: tarfile.TarFile) -> Iterator[Entry]:
    """Yield what a tar holds, its content read when asked for. Raises LockError."""
    for member in tar:
        kind = _KINDS.get(member.type)
        if kind is None:
            raise _damaged(f"{shown(member.name)} has the unknown type {member.type!r}")
        capability = member.pax_headers.get(f"SCHILY.xattr.{CAPABILITY}")
        yield Entry(
            path=member.name,
            mode=member.mode,
            kind=kind,
            data=_opener(tar, member) if kind == "file" else b"",
            size=member.size if kind == "file" else 0,
            link=member.linkname if kind in ("symlink", "hardlink") else "",
            uid=member.uid,
            gid=member.gid,
            xattrs=() if capability is None or kind != "file" else ((CAPABILITY, capability),),
            major=member.devmajor if kind in ("char", "block") else 0,
            minor=member.devminor if kind in ("char", "block") else 0,
        )


def _require_end(source: BinaryIO, tar: tarfile.TarFile) -> None:
    """Refuse a tar whose members end without the zeros that say so.

    The standard library takes a damaged or missing header in the middle for the end.
    """
    source.seek(tar.offset)
    if source.read(BLOCK) != bytes(BLOCK):
        raise _damaged(f"no header and no end at byte {tar.offset}")


def _damaged(how: str) -> LockError:
    return LockError(f"the root file system's tar is damaged: {how}", hint="run the build again")


def _opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        stream = tar.extractfile(member)
        assert stream is not None
        return stream  # type: ignore[return-value]  # BufferedReader in all but its stub

    return opened


def collected(entries: Iterable[Entry], *, last: bool = False) -> dict[str, Entry]:
    """Return entries by normal path; of two that disagree about one the last, where asked for.

    Else raises LockError.
    """
    found: dict[str, Entry] = {}
    for raw in entries:
        entry = _checked(raw)
        if not entry.path:  # the root itself: every engine makes it
            continue
        if last:
            found.pop(entry.path, None)
        other = found.setdefault(entry.path, entry)
        if other is not entry and not equal(other, entry):
            raise LockError(
                f"layer: two different entries for {shown(entry.path)} "
                f"({_described(other)}; {_described(entry)})",
                hint="two packages write the same path; lock one of them only",
            )
    return found


def _checked(entry: Entry) -> Entry:
    if entry.kind not in _TYPES:
        raise _unsayable(entry, f"has the unknown kind {shown(entry.kind)}")
    if other := [name for name, _ in entry.xattrs if name != CAPABILITY]:
        raise _unsayable(entry, f"extended attribute {shown(other[0])} cannot be kept")
    if entry.kind == "char" and entry.major == entry.minor == 0:
        # in an overlay this device *is* the deletion of the name
        raise _unsayable(entry, "is an overlay's whiteout, not a file")
    for what, number, most in (
        ("owner", entry.uid, _MAX_ID), ("group", entry.gid, _MAX_ID),
        ("device", entry.major, MAX_DEVICE), ("device", entry.minor, MAX_DEVICE),
    ):  # fmt: skip
        if not 0 <= number <= most:
            raise _unsayable(entry, f"its {what} cannot be {number if number < 0 else 'so large'}")
    if entry.kind == "symlink" and ("\0" in entry.link or not entry.link):
        raise _unsayable(entry, f"no link can say {shown(entry.link)}")
    for text in (entry.path, entry.link, *(value for _, value in entry.xattrs)):
        _require_encodable(text, entry)
    link = _normal(entry.link) if entry.kind == "hardlink" else entry.link
    mode = 0o777 if entry.kind == "symlink" else entry.mode & 0o7777  # Linux gives links no mode
    return replace(entry, path=_normal(entry.path), link=link, mode=mode)


def _require_encodable(text: str, entry: Entry) -> None:
    try:
        encoded(text)
    except UnicodeEncodeError:
        raise _unsayable(entry, f"no file system's name holds {shown(text)}") from None


def _unsayable(entry: Entry, what: str) -> LockError:
    return LockError(
        f"layer: {shown(entry.path)}: {what}",
        hint="the artifact that holds it is not to be trusted; lock another one",
    )


def _described(entry: Entry) -> str:
    return f"{entry.kind}, mode {entry.mode:o}, owner {entry.uid}:{entry.gid}, {entry.length} bytes"


def equal(one: Entry, other: Entry) -> bool:
    """Whether two entries are one file: kind, mode, owner, capability and every byte."""
    bare_one, bare_other = (replace(entry, data=b"", size=entry.length) for entry in (one, other))
    if bare_one != bare_other:
        return False
    with one.open() as left, other.open() as right:
        while chunk := left.read(CHUNK):
            if chunk != right.read(len(chunk)):
                return False
        return not right.read(1)


def rerooted(entries: dict[str, Entry], keep: Callable[[Entry], bool]) -> dict[str, Entry]:
    """Kept entries; of the names that share a file, the first has it and the others link there.

    Also where the name that had it is not kept. Raises LockError for a link to nothing.
    """
    groups: dict[str, list[str]] = {}
    for path, entry in entries.items():
        if entry.kind == "hardlink":
            groups.setdefault(resolved(path, entries), []).append(path)
    kept = {
        path: entry for path, entry in entries.items() if entry.kind != "hardlink" and keep(entry)
    }
    for root, links in groups.items():
        content = entries[root]
        names = [name for name in (root, *links) if keep(replace(content, path=name))]
        first = min(names, key=encoded, default="")
        for name in names:
            if name == first or content.kind != "file":  # only files are worth sharing
                kept[name] = replace(content, path=name)
            else:
                kept[name] = replace(
                    content, path=name, kind="hardlink", link=first, data=b"", size=0, xattrs=()
                )
    return kept


def resolved(path: str, entries: dict[str, Entry]) -> str:
    """Return the path that holds what the hard link `path` shares."""
    seen = {path}
    target = entries[path].link
    while target in entries and entries[target].kind == "hardlink" and target not in seen:
        seen.add(target)
        target = entries[target].link
    if target not in entries or target in seen or entries[target].kind == "dir":
        raise LockError(
            f"layer: {shown(path)} is a hard link to {shown(target)}, "
            "which is no file of the layer",
            hint="the artifact that holds it is damaged; lock another one",
        )
    return target


def with_parents(entries: dict[str, Entry]) -> list[Entry]:
    """All entries and their parent folders, sorted. Raises LockError below a non-folder."""
    whole = dict(entries)
    for path in entries:
        parent = path.rpartition("/")[0]
        while parent:
            known = whole.setdefault(parent, Entry(path=parent, mode=0o755, kind="dir"))
            if known.kind != "dir":
                raise LockError(
                    f"layer: {shown(path)} lies below {shown(parent)}, which is a {known.kind}",
                    hint="two packages disagree about that path; lock one of them only",
                )
            parent = parent.rpartition("/")[0]
    return [whole[path] for path in sorted(whole, key=encoded)]


def write_entries(file: BinaryIO, entries: Iterable[Entry]) -> None:
    """Write entries that are in order and whole already."""
    for entry in entries:
        file.write(
            header(
                Member(
                    name=entry.path + ("/" if entry.kind == "dir" else ""),
                    type=_TYPES[entry.kind],
                    mode=entry.mode,
                    uid=entry.uid,
                    gid=entry.gid,
                    size=entry.length if entry.kind == "file" else 0,
                    link=entry.link,
                    major=entry.major,
                    minor=entry.minor,
                    xattrs=entry.xattrs,
                )
            )
        )
        if entry.kind == "file":
            _write_content(file, entry)
    file.write(END)


def _write_content(file: BinaryIO, entry: Entry) -> None:
    if isinstance(entry.data, bytes):
        file.write(entry.data)
    else:
        written = 0
        with entry.open() as source:
            while chunk := source.read(CHUNK):
                written += len(chunk)
                file.write(chunk)
        if written != entry.size:
            raise LockError(
                f"layer: {shown(entry.path)} has {written} bytes where its entry says {entry.size}",
                hint="it changed while it was read, or its artifact is damaged; run again",
            )
    file.write(padding(entry.length))
