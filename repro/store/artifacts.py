"""The store: artifacts and layers by digest, read-only once they are in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from repro.errors import LocalError, LockError
from repro.files import (
    digest_file,
    local_errors,
    make_folder,
    open_regular,
    replacing,
    scratch,
    sync_folder,
    write_atomic,
)
from repro.models.image import Layer
from repro.mutex import Claim, exclusive
from repro.progress import Progress, Silent
from repro.store.guard import plain_file, plain_folder, require_own
from repro.store.stamps import Stamp, now

QUARANTINE = "quarantine"


class Store:
    """A folder of content: `sha256/ab/<digest>`, `layers/<key>.json`, `unpacked/<digest>/`.

    Every writer goes through a temporary file, hash, fsync and rename; a wrong hash never
    enters. Safe for several processes at once. What was hashed once is known again by its
    stamp in `checked/<digest>`; an object that is no longer what its name says is moved to
    `quarantine/<digest>`, from where nothing is read, and counts as absent.

    This guards against accidents of every kind, and against other users of the machine; not
    against a program that runs as the same user and means to deceive. `claim` says how one
    process waits for another, `progress` hears of damage, `trusted` takes a store that others
    may write.
    """

    def __init__(
        self,
        root: Path,
        claim: Claim | None = None,
        *,
        progress: Progress | None = None,
        trusted: bool = False,
    ) -> None:
        self.root = root
        self.claim = claim or Claim()
        self.thorough = False
        """Whether what earlier processes have hashed and unpacked is checked again in full."""
        self._progress = progress or Silent()
        self._trusted = trusted
        self._plain: set[Path] = set()
        self._whole: dict[str, Stamp] = {}

    @property
    def staging(self) -> Path:
        """Where its temporaries lie: one folder to sweep behind a process that was killed."""
        return self._inside("tmp")

    def path(self, sha256: str) -> Path:
        """Where the object with this digest (hex) lies, whether or not it is there."""
        return self.root / "sha256" / sha256[:2] / sha256

    def present(self, sha256: str) -> bool:
        """Whether an object of that name is there; what is in it is not looked at."""
        return plain_file(self._object(sha256)) is not None

    def has(self, sha256: str, size: int | None = None, *, label: str = "") -> bool:
        """Whether the object is there, whole, with that size (bytes) where one is given.

        It is hashed, unless its stamp is the one that it had when it was. A damaged one is set
        aside and said, as `label`. Raises LockError for a link in its place.
        """
        state = plain_file(self._object(sha256))
        if state is None:
            return False
        stamp = Stamp.of(state)
        if not self._known(sha256, stamp):
            begin = now()
            found = self._hash(sha256)
            if found is None:
                return False
            if found != sha256:
                self._progress.note(
                    f"warning: {label or 'an object'}: the store's copy {self.path(sha256)} is "
                    f"damaged (sha256 is {found}); it is kept aside in {self.root / QUARANTINE}"
                )
                self.set_aside(sha256, inode=stamp.inode)
                return False
            self._remember(sha256, stamp, begin)
        return size is None or stamp.size == size

    def checked(self, sha256: str, *, label: str) -> Path:
        """Return an object's path, its bytes hashed now: for whoever reads them otherwise.

        Raises LockError for a damaged one, set aside then, and one that is not there.
        """
        found = self._hash(sha256)
        if found is None:
            raise self.absent(sha256, label=label)
        if found != sha256:
            raise self.damaged(sha256, label=label, found=found)
        return self.path(sha256)

    def read(self, sha256: str, *, label: str) -> bytes:
        """Return an object's bytes, checked against its digest. Raises LockError."""
        path = self._object(sha256)
        if plain_file(path) is None:
            raise self.absent(sha256, label=label)
        with local_errors(path), open_regular(path) as file:
            data = file.read()
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise self.damaged(sha256, label=label, found=found)
        return data

    def put(
        self, chunks: Iterable[bytes], sha256: str, *, label: str, size: int | None = None
    ) -> Path:
        """Store a stream under its expected digest.

        Raises LockError when it hashes otherwise, or has another size than the one given: no
        byte more than that is read.
        """
        path = self._object(sha256)
        digest = hashlib.sha256()
        stored = 0
        with replacing(path, 0o444, staging=self.staging) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                stored += len(chunk)
                if size is not None and stored > size:
                    raise LockError(
                        f"{label}: is larger than the {size} bytes that the lock says",
                        hint="the source serves another file than the one that was locked; "
                        "nothing was kept",
                    )
            if digest.hexdigest() != sha256:
                raise LockError(
                    f"{label}: sha256 is {digest.hexdigest()}, the lock says {sha256}",
                    hint="the source serves another file than the one that was locked; "
                    "nothing was kept",
                )
            if size is not None and stored != size:
                raise LockError(
                    f"{label}: has {stored} bytes, the lock says {size}",
                    hint="the hash is right, the lock's size is not: restore the lock from "
                    "version control, or run: repro snapshot",
                )
        return path

    def add(self, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Store whatever `write` produces; return its sha256 hex and size in bytes."""
        with self.scratch() as folder:
            path = folder / "new"
            with local_errors(path):
                with path.open("wb") as file:
                    write(file)
                with path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
                size = path.stat().st_size
                target = self._object(sha256)
                make_folder(target.parent)
                path.chmod(0o444)
                path.replace(target)
                sync_folder(target.parent)
        return sha256, size

    def set_aside(self, sha256: str, *, inode: int | None = None) -> Path:
        """Move a damaged object to the quarantine; return where it is kept then.

        With `inode` only while it is still that file: another process may have put a whole one
        there meanwhile. Raises LocalError.
        """
        path, kept = self._object(sha256), self._inside(QUARANTINE) / sha256
        make_folder(kept.parent)
        with local_errors(path):
            try:
                if inode is None or path.lstat().st_ino == inode:
                    path.replace(kept)
            except FileNotFoundError:  # another process was faster
                pass
        self._whole.pop(sha256, None)
        return kept

    def damaged(self, sha256: str, *, label: str, found: str) -> LockError:
        """Set an object aside whose bytes hash to `found` (hex); return the error that says so."""
        said = f"{label}: the store's copy {self.path(sha256)} is damaged: sha256 is {found}"
        try:
            kept = self.set_aside(sha256)
        except LocalError as error:
            return LockError(f"{said}; it cannot be set aside: {error.message}", hint=error.hint)
        return LockError(
            f"{said}; it is kept aside: {kept}",
            hint="run it again: what is missing is fetched or built anew",
        )

    def absent(self, sha256: str, *, label: str, why: str = "") -> LockError:
        """Return the error for an object that is not there, or no longer: it was damaged."""
        kept = self.kept_aside(sha256)
        said = f"the store's copy was damaged and is kept aside: {kept}" if kept else ""
        said = said or f"not in the store: {self.path(sha256)}"
        return LockError(
            f"{label}: {said}{f'; {why}' if why else ''}",
            hint="build again, with the network on: repro build",
        )

    def kept_aside(self, sha256: str) -> Path | None:
        """Where the damaged copy of an object lies, None when there is none."""
        kept = self.root / QUARANTINE / sha256
        return kept if os.path.lexists(kept) else None

    def layer(self, key: str) -> Layer | None:
        """The layer that was built under this key, None when it must be built (again).

        A record that is torn, edited or another key's does not count, nor one whose tar is
        gone or damaged.
        """
        path = self._inside("layers") / f"{key}.json"
        if plain_file(path) is None:
            return None
        with local_errors(path), open_regular(path) as file:
            layer = _parse_layer(file.read(), key)
        if layer is None:
            return None
        sha256 = layer.digest.removeprefix("sha256:")
        return layer if self.has(sha256, layer.size, label=f"layer {layer.name}") else None

    def lost_layer(self, key: str) -> Path | None:
        """Where the damaged tar of this key's layer is kept aside, None where that is no matter."""
        path = self._inside("layers") / f"{key}.json"
        layer = _parse_layer(path.read_bytes(), key) if plain_file(path) else None
        return self.kept_aside(layer.digest.removeprefix("sha256:")) if layer else None

    def keep_layer(self, name: str, key: str, write: Callable[[BinaryIO], None]) -> Layer:
        """Store the tar that `write` produces as the layer of `key`."""
        sha256, size = self.add(write)
        layer = Layer(name=name, key=key, digest=f"sha256:{sha256}", size=size)
        path = self._inside("layers") / f"{key}.json"
        write_atomic(path, _render_layer(layer), staging=self.staging)
        return layer

    def layer_path(self, layer: Layer) -> Path:
        """The layer's tar."""
        return self.path(layer.digest.removeprefix("sha256:"))

    def lock(self, name: str, *, what: str) -> AbstractContextManager[None]:
        """Hold the store's kernel lock of that name."""
        return exclusive(self._inside("locks") / name, what=what, claim=self.claim)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a private folder on the store's file system, gone afterwards."""
        with scratch(self.staging) as folder:
            yield folder

    def note(self, text: str) -> None:
        """Say one line to whoever uses the store."""
        self._progress.note(text)

    def _inside(self, *names: str) -> Path:
        """A folder of the store, checked once: it and all above it are folders, no links."""
        if not self._plain:
            require_own(self.root, trusted=self._trusted)
        path = self.root
        for name in names:
            path = path / name
            if path not in self._plain and plain_folder(path):
                self._plain.add(path)
        return path

    def _object(self, sha256: str) -> Path:
        """`path`, its folders checked."""
        return self._inside("sha256", sha256[:2]) / sha256

    def _hash(self, sha256: str) -> str | None:
        """The sha256 hex of an object's bytes, None when it is not there. Raises LockError."""
        path = self._object(sha256)
        if plain_file(path) is None:
            return None
        return digest_file(path)[1]

    def _known(self, sha256: str, stamp: Stamp) -> bool:
        """Whether this object, or an earlier process, hashed it with this stamp."""
        if self._whole.get(sha256) == stamp:
            return True
        if self.thorough:
            return False
        path = self._inside("checked") / sha256
        if plain_file(path) is None:
            return False
        with local_errors(path), open_regular(path) as file:
            known = Stamp.parse(file.read(200)) == stamp
        if known:
            self._whole[sha256] = stamp
        return known

    def _remember(self, sha256: str, stamp: Stamp, moment: int) -> None:
        """Note that the object was hashed at that moment, for this process and for later ones."""
        self._whole[sha256] = stamp
        if not stamp.at_rest(moment):
            return
        try:
            path = self._inside("checked") / sha256
            with replacing(path, durable=False, staging=self.staging) as file:
                file.write(stamp.render())
        except LocalError:  # only speed is lost; whoever must write here will say why not
            return


def _render_layer(layer: Layer) -> bytes:
    """A layer's record, with a seal: JSON in canonical order."""
    record = {"key": layer.key, "name": layer.name, "digest": layer.digest, "size": layer.size}
    return json.dumps({**record, "seal": _seal(record)}, sort_keys=True).encode() + b"\n"


def _parse_layer(data: bytes, key: str) -> Layer | None:
    """Read what `_render_layer` wrote for this key; None for anything else."""
    try:
        record = json.loads(data)
        seal = record.pop("seal")
        if record["key"] != key or seal != _seal(record):
            return None
        return Layer(
            name=record["name"], key=record["key"], digest=record["digest"], size=record["size"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _seal(record: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
