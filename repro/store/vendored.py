"""A vendored folder: artifacts by content beside a project, for machines without a network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from repro.errors import LockError
from repro.files import (
    CHUNK,
    digest_file,
    local_errors,
    make_folder,
    open_regular,
    replacing,
    require_room,
    scratch,
    sync_folder,
    write_atomic,
)
from repro.models.project import VENDOR_MANIFEST as MANIFEST
from repro.models.project import VENDOR_MARK
from repro.store.artifacts import Store
from repro.store.fetch import Wanted, places
from repro.store.guard import plain_file, plain_folder

_CHECK = f"To check them without repro: sha256sum -c {MANIFEST}"
_HEAD = VENDOR_MARK.decode() + f"# Every artifact that the locks need. {_CHECK}\n"
_OBJECT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendored:
    """A folder of artifacts: `sha256/ab/<digest>`, read-only, and a manifest.

    What its user put there by file name counts too. Every file is hashed before it counts, each
    new one is whole or not there. `staging` is where its temporaries lie, if a rename from there
    reaches it.
    """

    root: Path
    staging: Path | None = None

    def find(self, item: Wanted, store: Store) -> Path | None:
        """Where the folder has an artifact, whole; None where it has not.

        Raises LockError for a link in its place.
        """
        for path in places(self.root, item):
            if path.parent != self.root and not (
                plain_folder(path.parent.parent) and plain_folder(path.parent)
            ):
                continue
            state = plain_file(path)
            if state is None or item.size not in (None, state.st_size):
                continue
            if _is_same(path, store.path(item.sha256)):
                if store.has(item.sha256, item.size, label=item.label):
                    return path
            elif digest_file(path)[1] == item.sha256:
                return path
        return None

    def add(self, items: Iterable[Wanted], store: Store) -> Iterator[tuple[Wanted, Path]]:
        """Have artifacts of the store in the folder, as hard links where that is possible.

        Yields each when it is there, durably. Raises LockError for an object that is not in the
        store or is damaged, LocalError when the disk is full: what was yielded stays.
        """
        with scratch(self.staging or self.root) as folder:
            for item in items:
                if not store.has(item.sha256, item.size, label=item.label):
                    raise store.absent(item.sha256, label=item.label)
                source, target = store.path(item.sha256), places(self.root, item)[0]
                make_folder(target.parent)
                with local_errors(target):
                    if _linked(source, folder / item.sha256, target):
                        sync_folder(target.parent)
                    else:
                        self._copy(item, source, target)
                yield item, target

    def _copy(self, item: Wanted, source: Path, target: Path) -> None:
        require_room(self.root, source.stat().st_size)
        digest = hashlib.sha256()
        with replacing(target, 0o444, staging=self.staging) as new, open_regular(source) as old:
            while chunk := old.read(CHUNK):
                digest.update(chunk)
                new.write(chunk)
            if digest.hexdigest() != item.sha256:
                raise LockError(f"{source}: changed while it was copied", hint="run it again")

    def obsolete(self, wanted: Iterable[Wanted]) -> tuple[Path, ...]:
        """Return the objects that none of these is, sorted. What others put there is not one."""
        keep = {item.sha256 for item in wanted}
        top = self.root / "sha256"
        if not plain_folder(top):
            return ()
        with local_errors(top):
            folders = [path for path in sorted(top.iterdir()) if plain_folder(path)]
            found = [path for folder in folders for path in sorted(folder.iterdir())]
        return tuple(
            path
            for path in found
            if path.name not in keep
            and _OBJECT.fullmatch(path.name)
            and path.name.startswith(path.parent.name)
            and plain_file(path)
        )

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove these objects, and their folders where nothing else is in them."""
        for path in paths:
            with local_errors(path):
                path.unlink(missing_ok=True)
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()

    def write_manifest(self, items: Iterable[tuple[Wanted, Path]]) -> None:
        """Write the manifest of these, as `sha256sum` reads it: the same items, the same bytes.

        It is also what tells a project that this is a vendored folder.
        """
        lines = sorted(
            f"# {item.label}: {item.filename}\n"
            f"{item.sha256}  {path.relative_to(self.root).as_posix()}\n"
            for item, path in items
        )
        data = (_HEAD + "".join(lines)).encode()
        path = self.root / MANIFEST
        if plain_file(path) is None or path.read_bytes() != data:
            write_atomic(path, data, staging=self.staging)


def _linked(source: Path, name: Path, target: Path) -> bool:
    """Put a second name of `source` at `target`, by way of `name`; say whether that could be."""
    try:
        name.hardlink_to(source)
        name.replace(target)
    except OSError:  # another file system, or one without links, or they are forbidden
        return False
    return True


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except FileNotFoundError:
        return False
