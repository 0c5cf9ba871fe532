"""The base layer: a root file system bootstrapped from `apt.lock` alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import BinaryIO

from repro.ecosystems.base import LayerRecipe
from repro.errors import LockError
from repro.files import local_errors
from repro.models.image import RECIPE
from repro.models.lock import Deb
from repro.models.project import PLATFORM
from repro.progress import Progress
from repro.store.artifacts import Store

STATUS = "var/lib/dpkg/status"

NAME, ON_TOP = "base", "apt"
"""What the layers of Debian packages are called: a whole suite's, and one on top of an image."""


def recipe(
    debs: Iterable[Deb], *, suite: str, python: str, store: Store, progress: Progress
) -> LayerRecipe:
    """Return the base layer of these packages; writing it needs them in the store.

    Its `write` raises what Bootstrap.tar does, and LockError when what was installed is not
    exactly what is locked.
    """
    packages = tuple(sorted(debs, key=lambda deb: deb.name))

    def write(file: BinaryIO) -> None:
        from repro.ecosystems.apt.bootstrap import Bootstrap  # only a key is needed most times
        from repro.image.layer import canonical

        label = f"bootstrapping {suite} from {len(packages)} locked packages"
        with progress.task(label), store.scratch() as folder:
            tar = folder / "root.tar"
            Bootstrap(debs=packages, suite=suite, store=store).tar(tar)
            with local_errors(tar), tar.open("rb") as source:
                check_installed(source, packages)
                source.seek(0)
                canonical(source, file)

    return LayerRecipe(name=NAME, key=key(packages, suite=suite, python=python), write=write)


def key(debs: Iterable[Deb], *, suite: str, python: str) -> str:
    """Return the layer's key: sha256 hex over recipe version, suite, interpreter and contents."""
    parts = {
        "layer": "base",
        "recipe": RECIPE,
        "platform": PLATFORM,
        "suite": suite,
        "python": python,
        "debs": sorted(deb.sha256 for deb in debs),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def check_installed(tar: BinaryIO, debs: Iterable[Deb]) -> None:
    """Compare dpkg's own record in a root file system's tar with the lock.

    Raises LockError naming each package that is missing, unlocked, of another version, or not
    wholly installed.
    """
    locked = {(deb.name, deb.version, deb.architecture) for deb in debs}
    installed = parse_status(_status(tar))
    wrong = [f"{' '.join(one)}: locked, not installed" for one in sorted(locked - installed)]
    wrong += [f"{' '.join(one)}: installed, not locked" for one in sorted(installed - locked)]
    if wrong:
        raise LockError(
            "the bootstrapped base is not what is locked:\n  " + "\n  ".join(wrong),
            hint="nothing was kept; if it stays so: repro snapshot",
        )


def parse_status(text: str) -> frozenset[tuple[str, str, str]]:
    """Return (name, version, architecture) of each package in a dpkg status file.

    Raises LockError for one that is not wholly installed.
    """
    from repro.ecosystems.apt.index import fields_of

    found = set()
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            fields = fields_of(paragraph.strip("\n"))
            if fields.get("Status") != "install ok installed":
                raise LockError(
                    f"the bootstrapped base: {fields.get('Package')}: {fields.get('Status')}",
                    hint="its maintainer script failed; run again",
                )
            found.add((fields["Package"], fields["Version"], fields["Architecture"]))
    return frozenset(found)


def _status(tar: BinaryIO) -> str:
    import tarfile

    try:
        with tarfile.open(fileobj=tar, mode="r:") as archive:
            for member in archive:
                if member.name.removeprefix("./") == STATUS:
                    stream = archive.extractfile(member)
                    if stream is not None:
                        return stream.read().decode(errors="replace")
    except tarfile.TarError as error:
        raise LockError(f"the bootstrapped base's tar is damaged: {error}") from error
    raise LockError(f"the bootstrapped base has no {STATUS}", hint="run again")
