"""The store: artifacts and layers by digest, read-only once they are in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from repro.errors import LockError
from repro.files import local_errors, make_folder, replacing, scratch, write_atomic
from repro.models.image import Layer
from repro.mutex import Claim, exclusive


class Store:
    """A folder of content: `sha256/ab/<digest>`, `layers/<key>.json`, `unpacked/<digest>/`.

    Every writer goes through a temporary file, hash, fsync and rename; a wrong hash never
    enters. Safe for several processes at once; `claim` says how one waits for another.
    """

    def __init__(self, root: Path, claim: Claim | None = None) -> None:
        self.root = root
        self.claim = claim or Claim()

    @property
    def staging(self) -> Path:
        """Where its temporaries lie: one folder to sweep behind a process that was killed."""
        return self.root / "tmp"

    def path(self, sha256: str) -> Path:
        """Where the object with this digest (hex) lies, whether or not it is there."""
        return self.root / "sha256" / sha256[:2] / sha256

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Whether the object is there, with that size where one is given."""
        path = self.path(sha256)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def put(
        self, chunks: Iterable[bytes], sha256: str, *, label: str, size: int | None = None
    ) -> Path:
        """Store a stream under its expected digest.

        Raises LockError when it hashes otherwise, or has another size than the one given: no
        byte more than that is read.
        """
        path = self.path(sha256)
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
        with scratch(self.staging) as folder:
            path = folder / "new"
            with local_errors(path):
                with path.open("wb") as file:
                    write(file)
                with path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
                size = path.stat().st_size
                target = self.path(sha256)
                make_folder(target.parent)
                path.chmod(0o444)
                path.replace(target)
        return sha256, size

    def read(self, sha256: str, *, label: str) -> bytes:
        """Return an object's bytes, checked against its digest. Raises LockError."""
        path = self.path(sha256)
        with local_errors(path):
            data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LockError(
                f"{label}: the store's copy {path} is damaged", hint=f"remove {path} and run again"
            )
        return data

    def layer(self, key: str) -> Layer | None:
        """The layer that was built under this key, or None."""
        path = self.root / "layers" / f"{key}.json"
        try:
            record = json.loads(path.read_bytes())
            layer = Layer(
                name=record["name"], key=key, digest=record["digest"], size=record["size"]
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return layer if self.has(layer.digest.removeprefix("sha256:"), layer.size) else None

    def keep_layer(self, name: str, key: str, write: Callable[[BinaryIO], None]) -> Layer:
        """Store the tar that `write` produces as the layer of `key`."""
        sha256, size = self.add(write)
        record = {"name": name, "digest": f"sha256:{sha256}", "size": size}
        write_atomic(
            self.root / "layers" / f"{key}.json",
            json.dumps(record, sort_keys=True).encode() + b"\n",
            staging=self.staging,
        )
        return Layer(name=name, key=key, digest=f"sha256:{sha256}", size=size)

    def layer_path(self, layer: Layer) -> Path:
        """The layer's tar."""
        return self.path(layer.digest.removeprefix("sha256:"))

    def lock(self, name: str, *, what: str) -> AbstractContextManager[None]:
        """Hold the store's kernel lock of that name."""
        return exclusive(self.root / "locks" / name, what=what, claim=self.claim)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a private folder on the store's file system, gone afterwards."""
        with scratch(self.staging) as folder:
            yield folder
