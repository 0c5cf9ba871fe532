"""A base that others made: its own layers, each a plain tar under its digest, from wherever it is.

Sources in order: store, vendored folder, registry, docker engine. Nothing of a layer is changed;
what would mix with the locked packages is hidden by a layer of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from repro.download import Http
from repro.ecosystems.base import LayerRecipe
from repro.errors import EngineError, LockError, NetworkError, ReproError
from repro.files import CHUNK, local_errors, open_regular
from repro.image.layer import WHITEOUT, Entry, write_layer
from repro.models.image import RECIPE
from repro.models.lock import BaseImage
from repro.models.project import PLATFORM
from repro.progress import Progress
from repro.store.artifacts import Store

if TYPE_CHECKING:  # a build in which every layer is there speaks to nobody
    from repro.image.pull import RemoteImage
    from repro.image.registry import Repository

WHAT = "base"
HIDDEN = "hidden"
"""What the layer is called that hides the image's own folders."""


def recipes(
    base: BaseImage,
    *,
    store: Store,
    http: Http,
    progress: Progress,
    vendor: Path | None = None,
    offline: bool = False,
    known: tuple[Repository, RemoteImage] | None = None,
) -> tuple[LayerRecipe, ...]:
    """Return the image's own layers, bottom first; writing one fetches it where it is not there.

    `vendor` is a vendored folder, `known` what its registry said of it just now. Writing raises
    NetworkError naming the image where no source has a layer, and LockError where one serves
    another than is locked; several may be written at once.
    """
    source = _Source(
        base=base,
        store=store,
        http=http,
        progress=progress,
        vendor=vendor,
        offline=offline,
        found=known,
    )
    return tuple(
        LayerRecipe(name=name, key=_key(name, layer), write=partial(source.write, number))
        for number, layer in enumerate(base.layers)
        for name in [f"{WHAT} {number + 1}"]
    )


def _key(name: str, layer: str) -> str:
    """sha256 hex. With its name, as a layer's record holds it."""
    parts = {"layer": name, "recipe": RECIPE, "digest": layer}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def hiding(folders: Sequence[str]) -> LayerRecipe:
    """Return the layer that hides these folders of an image (absolute), if it has them.

    Images have environments of their own where the locked packages go: what is there must not
    mix with those.
    """
    paths = [path.lstrip("/").rpartition("/") for path in sorted(folders)]
    marks = {f"{parent}/{WHITEOUT}{name}".lstrip("/") for parent, _, name in paths}
    parts = {"layer": HIDDEN, "recipe": RECIPE, "marks": sorted(marks)}

    def write(file: BinaryIO) -> None:
        write_layer(file, [Entry(path=path, mode=0, kind="file") for path in marks])

    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return LayerRecipe(name=HIDDEN, key=key, write=write)


@dataclass(kw_only=True)
class _Source:
    """Where the layers of one image come from; what is asked once is remembered."""

    base: BaseImage
    store: Store
    http: Http
    progress: Progress
    vendor: Path | None
    offline: bool
    turn: threading.Lock = field(default_factory=threading.Lock)
    found: tuple[Repository, RemoteImage] | None = None
    refused: NetworkError | None = None

    def write(self, number: int, file: BinaryIO) -> None:
        """Write one layer's tar; it is what its digest says."""
        layer = self.base.layers[number]
        sha256 = layer.removeprefix("sha256:")
        label = f"{self.base.reference}: layer {number + 1} of {len(self.base.layers)}"
        if self.store.has(sha256, label=label):
            return self._copy(self.store.path(sha256), sha256, file, label)
        if (vendored := self._vendored(sha256)) is not None:
            try:
                return self._copy(vendored, sha256, file, f"{label} from {vendored}")
            except LockError as error:
                self.progress.note(f"warning: {error.message}; asking the next source")
        if self.offline:
            raise self._unavailable(sha256, label, "not in the store, and this run is offline", "")
        try:
            return self._pull(number, file, label)
        except NetworkError as error:
            refused = error
        if self._export(layer):
            return self._copy(self.store.path(sha256), sha256, file, label)
        raise self._unavailable(sha256, label, refused.message, refused.hint or "")

    def _copy(self, path: Path, sha256: str, file: BinaryIO, label: str) -> None:
        digest = hashlib.sha256()
        file.seek(0)
        file.truncate()
        with local_errors(path), open_regular(path) as source:
            while piece := source.read(CHUNK):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != sha256:
            raise LockError(
                f"{label}: sha256 is {digest.hexdigest()}, the lock says {sha256}",
                hint="it is damaged there; nothing was kept",
            )

    def _vendored(self, sha256: str) -> Path | None:
        if self.vendor is None:
            return None
        path = self.vendor / "sha256" / sha256[:2] / sha256
        return path if path.is_file() else None

    def _pull(self, number: int, file: BinaryIO, label: str) -> None:
        from repro.image.pull import write_layer_of

        repository, remote = self._remote()
        blob = remote.manifest.layers[number]
        with self.progress.task(f"fetching {label}", blob.size) as task:
            write_layer_of(repository, blob, self.base.layers[number], file, label=label, task=task)

    def _remote(self) -> tuple[Repository, RemoteImage]:
        """Ask the registry for the image, once; it is the one that is locked."""
        with self.turn:
            if self.refused is not None:
                raise self.refused
            if self.found is None:
                try:
                    self.found = self._asked()
                except NetworkError as error:
                    self.refused = error
                    raise
            return self.found

    def _asked(self) -> tuple[Repository, RemoteImage]:
        from repro.image.pull import find
        from repro.image.registry import Repository, reference_of

        base = self.base
        if base.digest == base.id:
            raise NetworkError(
                f"{base.reference} was pinned from a docker engine, and no registry knows it",
                hint="push it to a registry, and pin it anew: repro snapshot --upgrade "
                + base.reference,
            )
        reference = reference_of(base.reference, "repro.lock: base.reference", LockError)
        repository = Repository(reference, self.http, environ=os.environ, progress=self.progress)
        remote = find(repository, base.digest, PLATFORM)
        if (remote.id, remote.configuration.layers) != (base.id, base.layers):
            raise LockError(
                f"{base.reference}: {base.digest} is the image {remote.id}, the lock says "
                f"{base.id}",
                hint="the seal was edited: restore it from version control, or run: repro snapshot",
            )
        return repository, remote

    def _export(self, layer: str) -> bool:
        """Have the layers from a docker engine that holds the image; False where none does."""
        sha256 = layer.removeprefix("sha256:")
        with self.turn:
            return self.store.has(sha256) or (
                exported(self.base, self.store, self.progress) and self.store.has(sha256)
            )

    def _unavailable(self, sha256: str, label: str, why: str, hint: str) -> ReproError:
        """The error for what no source gives: of integrity where the store's own was damaged."""
        if (kept := self.store.kept_aside(sha256)) is not None:
            return LockError(
                f"{label}: the store's copy is damaged and kept aside: {kept}; and there is no "
                f"other: {why}",
                hint=hint or "run it again when the registry answers",
            )
        if why.startswith(self.base.reference):
            label = label.removeprefix(f"{self.base.reference}: ")
        advice = "run it once without --offline" if self.offline else hint
        return NetworkError(f"{label}: {why}", hint=advice or None)


def exported(base: BaseImage, store: Store, progress: Progress) -> bool:
    """Have the layers of an image in the store that a docker engine holds; say whether one does."""
    from repro.engines.docker.address import current_address
    from repro.engines.docker.api import connect
    from repro.engines.docker.export import export, find_held
    from repro.image.registry import reference_of

    reference = reference_of(base.reference, "repro.lock: base.reference", LockError)
    try:
        daemon = connect(current_address(os.environ))
    except EngineError:
        return False
    for name in (base.id, f"{reference.repository}@{base.digest}", str(reference)):
        held = find_held(daemon, name)
        if held is not None and held.layers == base.layers:
            export(daemon, held, store, progress)
            return True
    return False
