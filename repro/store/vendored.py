"""A vendored folder: artifacts by content beside a project, for machines without a network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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

    def add(self, item: Wanted, store: Store) -> Path:
        """Have an artifact of the store in the folder, as a hard link where that is possible.

        Raises LockError for an object that is not there or damaged, LocalError when the disk is
        full: the folder is as it was then.
        """
        source = store.checked(item.sha256, label=item.label)
        target = places(self.root, item)[0]
        make_folder(target.parent)
        with local_errors(target):
            if not self._linked(source, target):
                require_room(self.root, source.stat().st_size)
                with (
                    replacing(target, 0o444, staging=self.staging) as new,
                    open_regular(source) as old,
                ):
                    while chunk := old.read(CHUNK):
                        new.write(chunk)
        return target

    def _linked(self, source: Path, target: Path) -> bool:
        """Put a second name of `source` at `target`, whatever is there; say whether it could."""
        with scratch(self.root) as folder:
            try:
                (folder / "new").hardlink_to(source)
            except OSError:  # another file system, or one without links, or they are forbidden
                return False
            (folder / "new").replace(target)
        sync_folder(target.parent)
        return True

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
        """Write the manifest of these, as `sha256sum` reads it: the same items, the same bytes."""
        lines = sorted(
            f"# {item.label}: {item.filename}\n"
            f"{item.sha256}  {path.relative_to(self.root).as_posix()}\n"
            for item, path in items
        )
        data = (_HEAD + "".join(lines)).encode()
        path = self.root / MANIFEST
        if plain_file(path) is None or path.read_bytes() != data:
            write_atomic(path, data, staging=self.staging)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except FileNotFoundError:
        return False
