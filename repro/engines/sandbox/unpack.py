"""Layers on the disk: every layer's tar becomes a folder once, without root (SANDBOX.md)."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from repro.engines.sandbox.trees import difference, stamp
from repro.errors import EngineError, LockError
from repro.files import (
    CHUNK,
    exchange,
    local_errors,
    make_folder,
    open_regular,
    sync_file_system,
    sync_folder,
    write_atomic,
)
from repro.models.execution import UID
from repro.models.image import Layer
from repro.store.artifacts import Store
from repro.store.guard import plain_file, plain_folder

OPAQUE = "user.overlay.opaque"
"""Marks a folder that hides what lower layers have in it; overlay needs `userxattr` to see it."""
_WHITEOUT, _OPAQUE_MARK = ".wh.", ".wh..wh..opq"
_MODE = 0o1777
"""Setuid and setgid would belong to whoever unpacks, and count for nothing inside."""


def unpacked(store: Store, layer: Layer) -> Path:
    """Where the layer's folder lies, whether or not it is there."""
    return store.root / "unpacked" / layer.digest.removeprefix("sha256:")


def unpack(store: Store, layer: Layer) -> Path:
    """Return the layer's folder, unpacked now unless it was before; what is in it is not looked at.

    Raises LockError when the tar is not what its digest says or leaves its folder, or something
    else lies where the folder belongs; EngineError when the store does not have the tar,
    LocalError when the disk refuses.
    """
    target = unpacked(store, layer)
    if plain_folder(target) and plain_file(_seal(target)) and not store.thorough:
        return target
    return verified(store, layer)


def verified(store: Store, layer: Layer) -> Path:
    """Return the layer's folder, which nobody changed since it was unpacked.

    Raises what `unpack` does. A folder that may have been changed is compared, byte by byte,
    with the layer unpacked anew; one that was changed is replaced, and that is said.
    """
    target = unpacked(store, layer)
    if _untouched(target) and not store.thorough:
        return target
    with store.lock(f"unpack-{target.name}", what=f"unpacking layer {layer.name}"):
        if _untouched(target) and not store.thorough:  # another process was faster
            return target
        with store.scratch() as folder:
            fresh = folder / "new"
            _fill(fresh, store, layer)
            _place(fresh, target, store, layer)
        write_atomic(_seal(target), stamp(target).encode(), staging=store.staging)
    return target


def _seal(target: Path) -> Path:
    """Where the stamp of an unpacked layer is kept."""
    return target.with_name(f"{target.name}.seal")


def _untouched(target: Path) -> bool:
    """Whether the folder has the stamp that it had when it was unpacked. Raises LockError."""
    if not plain_folder(target) or not plain_file(_seal(target)):
        return False
    with local_errors(target), open_regular(_seal(target)) as file:
        return file.read(100).decode(errors="replace") == stamp(target)


def _place(fresh: Path, target: Path, store: Store, layer: Layer) -> None:
    """Put what was unpacked at its place, unless the same is there."""
    if not plain_folder(target):
        make_folder(target.parent)
        with local_errors(target):
            fresh.rename(target)
            sync_folder(target.parent)
        return
    changed = difference(fresh, target)
    if changed is None:
        return
    store.note(
        f"warning: layer {layer.name}: {target / changed} was changed in the cache; "
        "it is unpacked anew"
    )
    exchange(fresh, target)


def _fill(folder: Path, store: Store, layer: Layer) -> None:
    """Unpack the layer into a new folder, and hash its tar meanwhile."""
    path, sha256 = store.layer_path(layer), layer.digest.removeprefix("sha256:")
    if plain_file(path) is None:
        raise EngineError(f"layer {layer.name} is not in the store", hint="run: repro build")
    with local_errors(path):
        folder.mkdir(0o755)
        with open_regular(path) as file:
            source = _Hashed(file)
            try:
                _extract(source, folder, layer.name)
            except LockError as error:
                if (found := source.finish()) == sha256:
                    raise
                raise store.damaged(sha256, label=f"layer {layer.name}", found=found) from error
            if (found := source.finish()) != sha256:
                raise store.damaged(sha256, label=f"layer {layer.name}", found=found)
        sync_file_system(folder)


def _extract(source: _Hashed, folder: Path, name: str) -> None:
    try:
        # Read in one go: links inside the layer are made from what is already unpacked.
        with tarfile.open(fileobj=cast(BinaryIO, source), mode="r|", bufsize=CHUNK) as tar:
            tree = _Tree(folder, name)
            for member in tar:
                tree.add(member, tar)
            tree.finish()
    except tarfile.TarError as error:
        raise LockError(
            f"layer {name} is no readable tar: {error}", hint="build it again"
        ) from error


class _Hashed:
    """A file to read that hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data

    def finish(self) -> str:
        """Read what is left; return the digest of everything, hex."""
        while self.read(CHUNK):
            pass
        return self._digest.hexdigest()


class _Tree:
    """A folder that is being filled; knows which of its paths are folders that it made.

    A parent must be one of these: so nothing is ever written through a symlink, whatever the
    order of the tar.
    """

    def __init__(self, root: Path, layer: str) -> None:
        self._root = str(root)
        self._layer = layer
        self._folders: dict[str, tuple[int, int]] = {"": (0o755, 0)}
        """Path in the layer -> mode and mtime (nanoseconds) that it gets at the end."""
        self._hidden: set[str] = set()
        """Paths whose name in lower layers is hidden, and that this layer does not have so far."""

    def add(self, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        """Unpack one member. Raises LockError for one that leaves the layer, OSError."""
        path = self._normal(member.name)
        mtime = _nanoseconds(member.mtime)
        if not path:
            # Writable for its owner: else it could not be renamed to its place.
            self._folders[""] = (_mode(member) | 0o700, mtime)
            return
        parent, _, name = path.rpartition("/")
        self._folder(parent, path)
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, name)
        elif member.isdir():
            self._replace(path, folder=True)
            self._folder(path, path)
            self._folders[path] = (_mode(member), mtime)
        elif not member.isdev() or member.isfifo():  # devices come from the run's own /dev
            self._replace(path)
            self._leaf(path, member, tar)
            if not member.islnk():
                os.utime(self._at(path), ns=(mtime, mtime), follow_symlinks=False)

    def finish(self) -> None:
        """Give the folders their modes and times; children first, for the parents' times."""
        for path, (mode, mtime) in reversed(self._folders.items()):
            os.utime(self._at(path), ns=(mtime, mtime))
            os.chmod(self._at(path), mode)  # noqa: PTH101 - 20,000 of them: no Path objects

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _refused(self, path: str, why: str) -> LockError:
        return LockError(
            f"layer {self._layer}: {path!r} {why}",
            hint="this layer was not made by repro; nothing of it was kept",
        )

    def _normal(self, name: str) -> str:
        if name.startswith("/") and name.strip("/"):  # some builders name the root so
            raise self._refused(name, "is an absolute path")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self._refused(name, "leaves the layer")
        return "/".join(parts)

    def _folder(self, path: str, whose: str) -> None:
        """Have this folder and its parents; each is a folder of ours, never a link."""
        if path in self._folders:
            return
        self._folder(path.rpartition("/")[0], whose)
        hidden = path in self._hidden
        self._unhide(path)
        try:
            os.mkdir(self._at(path), 0o755)  # noqa: PTH102
        except FileExistsError as error:
            raise self._refused(whose, f"lies below {path!r}, which is no folder") from error
        self._folders[path] = (0o755, 0)
        if hidden:  # a new folder in place of what lower layers have
            self._opaque(path)

    def _replace(self, path: str, *, folder: bool = False) -> None:
        """Make room: a later member wins over an earlier one, as in every unpacker."""
        if path in self._folders:
            if not folder:
                raise self._refused(path, "is a folder and something else")
        elif not folder or path not in self._hidden:
            self._unhide(path)
            if os.path.lexists(self._at(path)):
                os.unlink(self._at(path))  # noqa: PTH108

    def _unhide(self, path: str) -> None:
        if path in self._hidden:
            self._hidden.discard(path)
            os.unlink(self._at(path))  # noqa: PTH108

    def _opaque(self, path: str) -> None:
        os.setxattr(self._at(path), OPAQUE, b"y")

    def _whiteout(self, parent: str, name: str) -> None:
        """Hide a name of lower layers; what this layer itself has there stays, in any order."""
        if name == _OPAQUE_MARK:
            self._opaque(parent)
        elif not name.startswith(_WHITEOUT * 2):  # further marks mean nothing to overlay
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise self._refused(name, "hides no name")
            path = f"{parent}/{hidden}".lstrip("/")
            if path in self._folders:
                self._opaque(path)
            elif not os.path.lexists(self._at(path)):
                os.mknod(self._at(path), stat.S_IFCHR)
                self._hidden.add(path)

    def _leaf(self, path: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        where = self._at(path)
        if member.issym():
            os.symlink(member.linkname, where)  # noqa: PTH211
        elif member.islnk():
            self._link(path, member.linkname)
        elif member.isfifo():
            os.mkfifo(where, _mode(member))
        elif member.isreg():
            content = tar.extractfile(member)
            assert content is not None
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(where, flags, 0o600), "wb") as file:
                shutil.copyfileobj(content, file, CHUNK)
                os.fchmod(file.fileno(), _mode(member))
        else:
            raise self._refused(path, f"is of the unknown type {member.type!r}")

    def _link(self, path: str, name: str) -> None:
        source = self._normal(name.removeprefix("/"))
        if source.rpartition("/")[0] not in self._folders:
            raise self._refused(path, f"is a link to {name!r}, which is not in the layer")
        try:
            os.link(self._at(source), self._at(path), follow_symlinks=False)
        except FileNotFoundError as error:
            raise self._refused(
                path, f"is a link to {name!r}, which is not in the layer"
            ) from error


def _mode(member: tarfile.TarInfo) -> int:
    """Return the mode that it gets. Owners are not applied: what is a run's own is open to it."""
    mode = member.mode & _MODE
    if member.uid == UID:
        return mode | mode >> 6 & 0o7
    return mode | mode >> 3 & 0o7 if member.gid == UID else mode


def _nanoseconds(seconds: float) -> int:
    """Return a member's time; 1970 for one that no file system has: some write the year 1."""
    return int(seconds * 1_000_000_000) if abs(seconds) < 1 << 33 else 0
