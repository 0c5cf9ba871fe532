"""The layer of locked apt packages on top of a base image that others made (BUILD.md §5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from repro.ecosystems.apt.layer import ON_TOP
from repro.ecosystems.apt.repository import PATHS, damaged_package, fill, require_stored
from repro.ecosystems.apt.status import PATH as STATUS
from repro.ecosystems.apt.status import interpreter_changed, require_added
from repro.ecosystems.base import LayerRecipe
from repro.engines.workshop import FILES, Work, Worked, Workshop
from repro.errors import EngineError, LockError, ReproError
from repro.files import local_errors, make_folder, open_regular, write_atomic
from repro.image.changes import write_changes
from repro.image.layer import Entry
from repro.image.merged import Merged, merged
from repro.models.image import EPOCH, RECIPE, Image
from repro.models.lock import BaseImage, Deb
from repro.models.project import PLATFORM
from repro.progress import Progress
from repro.store.artifacts import Store

TIMEOUT = 3600.0
_SAID = 12
"""Lines of a failed installation that are shown."""

_NOISE = "(Reading database ..."

_SCRIPT = Path(__file__).with_name("ontop_in_image.sh")
_NO_APT, _INTERPRETER = 90, 91
"""Exit statuses of the script that mean one thing alone."""

# Nothing of the image's own configuration of apt: neither its sources and pins, nor its hooks.
# What an image says to dpkg itself (paths that it leaves out) stays.
_SETTINGS = (
    ("Dir::Etc::main", "/dev/null"),
    ("Dir::Etc::parts", "/dev/null"),
    ("Dir::Etc::sourcelist", f"{FILES}/sources.list"),
    ("Dir::Etc::sourceparts", "/dev/null"),
    ("Dir::Etc::preferences", "/dev/null"),
    ("Dir::Etc::preferencesparts", "/dev/null"),
    ("Dir::State::lists", "/tmp/repro/lists"),  # noqa: S108 - inside, and in no layer
    ("Dir::Cache", "/tmp/repro/cache"),  # noqa: S108
    ("Dir::Log", "/tmp/repro/log"),  # noqa: S108
    ("APT::Architecture", PLATFORM.partition("-")[2]),
    ("APT::Install-Recommends", "false"),
    ("APT::Install-Suggests", "false"),
    ("APT::Sandbox::User", "root"),
    ("Acquire::Languages", "none"),
    ("DPkg::Options::", "--force-unsafe-io"),
    ("DPkg::Options::", "--force-confdef"),
    ("DPkg::Options::", "--force-confold"),
    *(("DPkg::Options::", f"--{option}") for option in PATHS),
)
_ENVIRONMENT = (
    ("APT_CONFIG", f"{FILES}/apt.conf"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("HOME", "/tmp/repro/home"),  # noqa: S108
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),  # not /usr/local: a Python there is not Debian's
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONNOUSERSITE", "1"),
    ("SOURCE_DATE_EPOCH", str(EPOCH)),
    ("TZ", "UTC"),
)


def recipe(
    debs: Iterable[Deb],
    *,
    base: BaseImage,
    image: Callable[[], Image],
    store: Store,
    workshop: Callable[[], Workshop],
    progress: Progress,
) -> LayerRecipe:
    """Return the layer that these packages make on top of a base image.

    Writing it needs the packages and the layers of `image`, which is the base, in the store, and
    a workshop. It raises LockError where a package is damaged, where what was installed is not
    exactly what is locked, and where the image's interpreter would change; EngineError where the
    installation fails.
    """
    packages = tuple(sorted(debs, key=lambda deb: deb.name))

    def write(file: BinaryIO) -> None:
        require_stored(packages, store)
        label = f"installing {len(packages)} locked packages on {base.reference}"
        with progress.task(label), store.scratch() as folder:
            work = _prepared(folder, packages, base, image(), store)
            layers = [store.layer_path(layer) for layer in work.image.layers]
            with merged(layers) as before, workshop().worked(work, before) as worked:
                if worked.code:
                    raise _failure(worked.code, work, packages, base, store)
                after = tuple(worked.after)
                _check(before, worked, after, packages)
                write_changes(file, before, after, worked.touched)

    return LayerRecipe(name=ON_TOP, key=key(packages, base), write=write)


def key(debs: Iterable[Deb], base: BaseImage) -> str:
    """Return the layer's key: sha256 hex over recipe version, the base's layers and packages."""
    parts = {
        "layer": "apt on top",
        "recipe": RECIPE,
        "platform": PLATFORM,
        "base": list(base.layers),
        "debs": sorted(deb.sha256 for deb in debs),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _prepared(
    folder: Path, debs: tuple[Deb, ...], base: BaseImage, image: Image, store: Store
) -> Work:
    """Write the files that the installation reads; return it."""
    files = make_folder(folder / "files")
    fill(make_folder(files / "repository"), debs, suite=base.suite or "base", store=store)
    settings = "".join(f'{name} "{value}";\n' for name, value in _SETTINGS)
    write_atomic(files / "apt.conf", settings.encode())
    source = f"deb [trusted=yes] file:{FILES}/repository ./\n"
    write_atomic(files / "sources.list", source.encode())
    with local_errors(_SCRIPT):
        write_atomic(files / "install", _SCRIPT.read_bytes(), 0o755)
    wanted = "".join(f"{deb.name}={deb.version}\n" for deb in debs)
    write_atomic(files / "packages", wanted.encode())
    return Work(
        image=image,
        argv=("/bin/sh", f"{FILES}/install", base.interpreter),
        files=files,
        log=folder / "log",
        env=_ENVIRONMENT,
        timeout=TIMEOUT,
    )


def _failure(
    code: int, work: Work, debs: tuple[Deb, ...], base: BaseImage, store: Store
) -> ReproError:
    with local_errors(work.log), open_regular(work.log) as file:
        text = file.read().decode(errors="replace")
    lines = [line for line in text.strip().splitlines() if not line.startswith(_NOISE)]
    if code == _NO_APT:
        return EngineError(
            f"{base.reference} has no apt-get, which installs its packages",
            hint="take an image that has it, or leave the apt packages out",
        )
    if code == _INTERPRETER:
        return interpreter_changed(base, lines[-1] if lines else "it is gone")
    if (damaged := damaged_package(text, debs, store)) is not None:
        return damaged
    said = "\n".join(f"  {line}" for line in lines[-_SAID:])
    return EngineError(
        f"apt could not install the locked packages on {base.reference} (exit {code})\n{said}",
        hint="the last lines above say why; a package's own script may not work in this image",
    )


def _check(before: Merged, worked: Worked, after: tuple[Entry, ...], debs: tuple[Deb, ...]) -> None:
    """Compare dpkg's records before and after with the lock. Raises LockError."""
    found = [entry for entry in after if entry.path.removeprefix("./").strip("/") == STATUS]
    if not found or STATUS not in worked.touched:
        raise LockError(f"apt left no {STATUS} behind", hint="nothing was kept; run it again")
    with found[-1].open() as file:
        require_added(before.read(STATUS) or b"", file.read(), debs)
