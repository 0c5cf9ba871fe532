"""What layers over each other show: the files of an image, read from its layers' tars.

Format of whiteouts: OCI image-spec v1, layer.md, "Whiteouts".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from repro.errors import LockError
from repro.files import local_errors, open_regular
from repro.image.layer import DAMAGED, WHITEOUT, Entry, collected, entries_of, resolved

OPAQUE = ".wh..wh..opq"
MOST_WHOLE = 64 << 20
"""Bytes of a file that is read at once: dpkg's status of a large machine has 5 MiB."""

_LINKS = 40
"""Symbolic links that are followed on the way to one file, as the kernel does."""


@dataclass(kw_only=True, slots=True)
class Merged:
    """The files of an image by path, each as the topmost layer has it; every hard link a file.

    Contents are read from the layers' tars while `merged` is entered.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    _below: dict[str, set[str]] = field(default_factory=dict)

    def lay(self, layer: Mapping[str, Entry]) -> None:
        """Lay one more layer over it; what that layer hides is hidden, whatever its order."""
        for path in layer:
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                for below in tuple(self._below.get(folder, ())):
                    self._remove(_joined(folder, below))
            elif name.startswith(WHITEOUT):
                self._remove(_joined(folder, name.removeprefix(WHITEOUT)))
        for path, entry in layer.items():
            if not path.rpartition("/")[2].startswith(WHITEOUT):
                known = self.entries.get(path)
                if known is not None and known.kind == "dir" and entry.kind != "dir":
                    self._remove(path)
                self._add(path, entry)

    def find(self, path: str) -> tuple[str, Entry] | None:
        """Where a path of the image leads, through its links, and what is there; None: nothing."""
        parts = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        at, links = "", 0
        while parts:
            part = parts.pop()
            if part == "..":
                at = at.rpartition("/")[0]
                continue
            here = _joined(at, part)
            entry = self.entries.get(here)
            if entry is None:
                return None
            if entry.kind == "symlink":
                links += 1
                if links > _LINKS:
                    return None
                at = "" if entry.link.startswith("/") else at
                parts += [word for word in reversed(entry.link.split("/")) if word not in ("", ".")]
            elif parts and entry.kind != "dir":
                return None
            else:
                at = here
        return (at, self.entries[at]) if at else None

    def names(self, folder: str) -> tuple[str, ...]:
        """Names in a folder of the image, through links, sorted; none where there is none."""
        found = self.find(folder)
        if found is None:
            return tuple(sorted(self._below.get("", ()))) if not folder.strip("/") else ()
        return tuple(sorted(self._below.get(found[0], ()))) if found[1].kind == "dir" else ()

    def read(self, path: str) -> bytes | None:
        """Return the content of a file of the image, through its links; None: no such file.

        Raises LockError for one of more than MOST_WHOLE bytes.
        """
        found = self.find(path)
        if found is None or found[1].kind != "file":
            return None
        if found[1].length > MOST_WHOLE:
            raise LockError(
                f"the image's /{found[0]} has {found[1].length:,} bytes",
                hint="no real one has; do not trust that image",
            )
        with found[1].open() as file:
            return file.read()

    def _add(self, path: str, entry: Entry) -> None:
        self.entries[path] = entry
        parent, _, name = path.rpartition("/")
        self._below.setdefault(parent, set()).add(name)
        if parent and not self._is_folder(parent):  # its tar does not name it
            self._add(parent, Entry(path=parent, mode=0o755, kind="dir"))

    def _is_folder(self, path: str) -> bool:
        entry = self.entries.get(path)
        return entry is not None and entry.kind == "dir"

    def _remove(self, path: str) -> None:
        waiting = [path]
        while waiting:
            gone = waiting.pop()
            self.entries.pop(gone, None)
            waiting += [_joined(gone, name) for name in self._below.pop(gone, ())]
        parent, _, name = path.rpartition("/")
        self._below.get(parent, set()).discard(name)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


@contextmanager
def merged(layers: Iterable[Path]) -> Iterator[Merged]:
    """Yield what these uncompressed layers, bottom first, show together.

    Raises LockError for a damaged tar, and a path that leaves its layer.
    """
    whole = Merged()
    with ExitStack() as stack:
        for path in layers:
            with local_errors(path):
                file = stack.enter_context(open_regular(path))
            try:
                tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
                whole.lay(_files(collected(entries_of(tar), last=True)))
            except DAMAGED as error:
                raise LockError(
                    f"{path}: the layer is no readable tar: {error}", hint="fetch the image again"
                ) from error
        yield whole


def _files(layer: dict[str, Entry]) -> dict[str, Entry]:
    """The layer with each hard link as the file that it shares: writing one changes no other."""
    return {
        path: replace(layer[resolved(path, layer)], path=path)
        if entry.kind == "hardlink"
        else entry
        for path, entry in layer.items()
    }
