"""The conda part of an image: one layer that holds the prefix (DESIGN.md §6)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from repro.ecosystems.base import LayerRecipe
from repro.ecosystems.conda.layout import PREFIX, archive_name
from repro.models.image import RECIPE
from repro.models.lock import CondaPackage
from repro.progress import Progress
from repro.store.artifacts import Store

NAME = "conda"
"""What the layer is called."""


def recipe(
    packages: Iterable[CondaPackage],
    *,
    store: Store,
    progress: Progress,
    allow_overlap: Sequence[str] = (),
) -> LayerRecipe:
    """Return the layer of these packages; writing it needs them in the store.

    Its `write` raises LockError for a package that the guards refuse, and where two packages
    write one path differently, unless `allow_overlap` names the path or one of them.
    """
    chosen = tuple(sorted(packages, key=lambda package: package.name))

    def write(file: BinaryIO) -> None:
        from repro.ecosystems.conda.install import installed  # most times only a key is needed
        from repro.image.layer import unmarked, write_layer

        label = f"installing {len(chosen)} conda package{'' if len(chosen) == 1 else 's'}"
        with progress.task(label), store.scratch() as folder:
            found = installed(chosen, store=store, folder=folder, allow_overlap=allow_overlap)
            write_layer(file, unmarked(found))

    return LayerRecipe(name=NAME, key=key(chosen, allow_overlap), write=write)


def key(packages: Iterable[CondaPackage], allow_overlap: Sequence[str] = ()) -> str:
    """Return the layer's key: sha256 hex over recipe version, prefix and contents.

    A channel is no part of it: content decides, from whatever mirror.
    """
    parts = {
        "layer": "conda",
        "recipe": RECIPE,
        "prefix": PREFIX,
        "allow_overlap": sorted(allow_overlap),
        "packages": sorted([package.sha256, archive_name(package)] for package in packages),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
