"""An image as a folder: OCI image-layout v1."""

from __future__ import annotations

import shutil
from pathlib import Path

from repro.files import CHUNK, local_errors, make_folder, open_regular
from repro.image.archive import index
from repro.image.config import canonical_json
from repro.models.image import Image
from repro.store.artifacts import Store

MARKER = "oci-layout"


def write_layout(folder: Path, image: Image, store: Store) -> None:
    """Write the layout into an empty folder, each blob once.

    Raises LockError for a layer that is not what the image says, LocalError.
    """
    small = {
        MARKER: canonical_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": index(image),
        _blob(image.id): image.config,
        _blob(image.manifest_digest): image.manifest,
    }
    for name, data in small.items():
        _write(folder / name, data)
    for layer in dict.fromkeys(image.layers):
        sha256 = layer.digest.removeprefix("sha256:")
        source = store.checked(sha256, label=f"layer {layer.name}")
        target = folder / _blob(layer.digest)
        make_folder(target.parent)
        with local_errors(target), open_regular(source) as old, target.open("xb") as new:
            shutil.copyfileobj(old, new, CHUNK)


def _write(path: Path, data: bytes) -> None:
    make_folder(path.parent)
    with local_errors(path), path.open("xb") as file:
        file.write(data)


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
