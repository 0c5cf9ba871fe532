"""From a lock to the pinned image: fetch, layers, configuration, and the record of it."""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from repro.ecosystems.apt import fetch as apt_fetch
from repro.ecosystems.apt import layer as apt_layer
from repro.ecosystems.base import LayerRecipe
from repro.ecosystems.pip import fetch as pip_fetch
from repro.ecosystems.pip import layers as pip_layers
from repro.ecosystems.pip.builder import Builder
from repro.errors import LockError
from repro.files import local_errors, make_folder, write_atomic
from repro.image.config import compose
from repro.locks import seal
from repro.locks.records import render_image
from repro.models.image import RECIPE, Image, ImageRecord, Layer
from repro.models.lock import Lock
from repro.models.outcome import BuildResult
from repro.models.project import Project
from repro.store.artifacts import Store
from repro.workflows.lockfiles import fresh_lock, read_image_record
from repro.workflows.tools import Tools, engine

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """`check`: build twice in two empty caches and compare. `record`: write image.toml anew."""

    check: bool = False
    record: bool = False


def build(project: Project, tools: Tools, options: BuildOptions) -> BuildResult:
    """Build the image of the project's lock and put it into every engine that answers.

    Raises LockError when the same recipe gave another image than image.toml says, naming the
    layer and the first file that differs.
    """
    start = time.monotonic()
    lock = fresh_lock(project)
    image, built = assemble(project, lock, tools)
    if options.check:
        _check_twice(project, lock, tools, image)
    record, recorded = _enforce(project, lock, image, tools, record=options.record)
    loaded = []
    for name in ("sandbox", "docker"):
        candidate = engine(name, tools.store)
        if candidate.probe() is None:
            with tools.progress.task(f"loading into {name}"):
                candidate.load(image)
            loaded.append(name)
    return BuildResult(
        image=image,
        record=record,
        layers_built=built,
        loaded=tuple(loaded),
        recorded=recorded,
        checked=options.check,
        seconds=time.monotonic() - start,
    )


def build_image(project: Project, lock: Lock, tools: Tools) -> Image:
    """Return the image of a lock, built where it is not cached, checked against image.toml."""
    image, _ = assemble(project, lock, tools)
    _enforce(project, lock, image, tools, record=False)
    return image


def assemble(project: Project, lock: Lock, tools: Tools) -> tuple[Image, int]:
    """Make every layer that the store lacks; return the image and how many were made."""
    store = tools.store
    base = base_recipe(lock, tools)
    builder = Builder(
        engine=tools.build_engine, image=cache(lambda: base_image(project, lock, tools))
    )
    recipes = (base, *pip_recipes(lock, store, builder))
    missing = [recipe for recipe in recipes if store.layer(recipe.key) is None]
    if missing:
        with store.lock(f"build-{base.key}", what="building this environment"):
            _fetch(project, lock, tools, missing, base)
            _make(missing, base, tools)
    layers = [_require(store, recipe) for recipe in recipes]
    return _image(lock, tuple(layers)), len(missing)


def base_recipe(lock: Lock, tools: Tools) -> LayerRecipe:
    """The recipe of the base layer."""
    return apt_layer.recipe(
        lock.debs,
        suite=lock.seal.suite,
        python=lock.seal.python,
        store=tools.store,
        progress=tools.progress,
    )


def pip_recipes(lock: Lock, store: Store, builder: Builder) -> tuple[LayerRecipe, ...]:
    """The recipes of the layers above the base."""
    return pip_layers.recipes(
        lock.pip,
        target=pip_layers.LayerTarget.of(lock),
        store=store,
        builder=builder,
    )


def base_image(project: Project, lock: Lock, tools: Tools) -> Image:
    """The image of the base layer alone, loaded where builds and resolvers run in it."""
    recipe = base_recipe(lock, tools)
    layer = tools.store.layer(recipe.key)
    if layer is None:
        _fetch(project, replace(lock, pip=()), tools, [recipe], recipe)
        with tools.progress.task("building the base"):
            layer = tools.store.keep_layer(recipe.name, recipe.key, recipe.write)
    image = _image(lock, (layer,))
    tools.build_engine().load(image)
    return image


def _fetch(
    project: Project, lock: Lock, tools: Tools, missing: Sequence[LayerRecipe], base: LayerRecipe
) -> None:
    vendor = project.root / project.sources.vendor if project.sources.vendor else None
    fetcher = tools.fetcher(vendor)
    if base in missing:
        fetcher.fetch(
            apt_fetch.wanted(lock.debs, project.sources, lock.seal, tools.http), what="apt packages"
        )
    if any(recipe is not base for recipe in missing):
        wanted = pip_fetch.wanted(lock.pip, project.sources, tools.http)
        fetcher.fetch(wanted, what="pip packages")


def _make(missing: Sequence[LayerRecipe], base: LayerRecipe, tools: Tools) -> None:
    """Build the base first, then the others side by side."""
    store = tools.store
    with tools.progress.task("building layers", len(missing)) as task:

        def make(recipe: LayerRecipe) -> None:
            if store.layer(recipe.key) is None:
                store.keep_layer(recipe.name, recipe.key, recipe.write)
            task.advance()

        if base in missing:
            make(base)
        pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        try:
            for _ in pool.map(make, [recipe for recipe in missing if recipe is not base]):
                pass
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _require(store: Store, recipe: LayerRecipe) -> Layer:
    layer = store.layer(recipe.key)
    if layer is None:
        raise LockError(f"the layer {recipe.name} vanished from {store.root}", hint="run it again")
    return layer


def _image(lock: Lock, layers: tuple[Layer, ...]) -> Image:
    path = f"/opt/venv/bin:{SYSTEM_PATH}" if lock.seal.python != "2.7" else SYSTEM_PATH
    return compose(
        layers,
        env=(("LANG", "C.UTF-8"), ("PATH", path)),
        command=(f"python{lock.seal.python}",),
        labels=(("repro.environment", lock.key), ("repro.recipe", str(RECIPE))),
    )


def _enforce(
    project: Project, lock: Lock, image: Image, tools: Tools, *, record: bool
) -> tuple[ImageRecord, bool]:
    """Check the image against image.toml, or write that file; say whether it was written."""
    old = read_image_record(project)
    same_subject = old is not None and old.environment_key == lock.key and old.recipe == RECIPE
    if old is not None and same_subject and not record:
        if old.image_id != image.id:
            raise _other_image(old, image, tools)
        if (old.manifest_digest, old.layers) != (image.manifest_digest, _named_layers(image)):
            raise LockError(
                f"{seal.IMAGE_RECORD}: the image ID {old.image_id} is that of this build, but the "
                "manifest or the layers beside it are not: it was edited",
                hint="restore it from version control, or record it anew: repro build --record",
            )
        return old, False
    if old is not None and old.environment_key == lock.key and old.recipe != RECIPE and not record:
        tools.progress.note(
            f"image.toml is of recipe {old.recipe}, this repro builds recipe {RECIPE}: "
            "record the new image with repro build --record"
        )
        return old, False
    new = ImageRecord(
        recipe=RECIPE,
        environment_key=lock.key,
        image_id=image.id,
        manifest_digest=image.manifest_digest,
        layers=_named_layers(image),
        tools=apt_layer.tool_versions(),
    )
    write_atomic(project.lock_folder / seal.IMAGE_RECORD, render_image(new))
    return new, True


def _named_layers(image: Image) -> tuple[tuple[str, str], ...]:
    return tuple((layer.name, layer.digest) for layer in image.layers)


def _other_image(old: ImageRecord, image: Image, tools: Tools) -> LockError:
    lines = [
        f"this lock built another image than image.toml records: {image.id}, "
        f"recorded {old.image_id}"
    ]
    recorded = dict(old.layers)
    for layer in image.layers:
        expected = recorded.get(layer.name)
        if expected == layer.digest:
            continue
        lines.append(f"layer {layer.name!r}: {layer.digest}, recorded {expected or 'none'}")
        kept = tools.store.path(expected.removeprefix("sha256:")) if expected else None
        if kept is not None and kept.is_file():
            lines.append(f"first difference: {first_difference(kept, tools.store, layer)}")
        break
    now = dict(apt_layer.tool_versions())
    for tool, version in old.tools:
        if now.get(tool) != version:
            lines.append(f"{tool} is {now.get(tool, 'absent')}, it was {version}")
    return LockError(
        "\n  ".join(lines),
        hint="if image.toml is wrong, restore it from version control; if the new image is "
        "meant: repro build --record",
    )


def first_difference(old: Path, store: Store, layer: Layer) -> str:
    """Name the first file that differs between two layers, and how."""
    try:
        differences = _differences(old, store.layer_path(layer))
        return next(differences, "only in the order of entries")
    except (OSError, tarfile.TarError) as error:
        return f"unknown: {old} cannot be read ({error})"


def _differences(old: Path, new: Path) -> Iterator[str]:
    with tarfile.open(old) as left, tarfile.open(new) as right:
        before = {member.name: member for member in left}
        after = {member.name: member for member in right}
        for name in sorted(before.keys() | after.keys()):
            if name not in after:
                yield f"/{name} is gone"
            elif name not in before:
                yield f"/{name} is new"
            elif before[name].get_info() != after[name].get_info():
                yield f"/{name}: type, mode, owner, size or link"
            elif before[name].isreg():
                one, two = left.extractfile(before[name]), right.extractfile(after[name])
                if one is not None and two is not None and one.read() != two.read():
                    yield f"/{name}: content"


def _check_twice(project: Project, lock: Lock, tools: Tools, image: Image) -> None:
    """Build in two empty caches, and compare every layer with the first build's."""
    for _ in range(2):
        with _empty_cache(tools, lock) as other:
            again, _ = assemble(project, lock, other)
            for layer, expected in zip(again.layers, image.layers, strict=True):
                if layer.digest == expected.digest:
                    continue
                old = tools.store.layer_path(expected)
                differing = list(_differences(old, other.store.layer_path(layer)))
                raise LockError(
                    f"layer {layer.name!r} is not the same from two builds:\n  "
                    + "\n  ".join(differing[:20]),
                    hint="please report it: every byte of an image must follow from its lock",
                )


@contextmanager
def _empty_cache(tools: Tools, lock: Lock) -> Iterator[Tools]:
    """Yield tools over a store that holds this lock's artifacts and no layer."""
    with tools.store.scratch() as folder:
        store = Store(folder)
        wanted = [deb.sha256 for deb in lock.debs]
        for artifact in lock.pip:
            wanted.append(artifact.sha256)
            wanted += [item.sha256 for item in artifact.build.requires] if artifact.build else []
        for sha256 in wanted:
            if tools.store.has(sha256):
                target = store.path(sha256)
                make_folder(target.parent)
                with local_errors(target):
                    target.hardlink_to(tools.store.path(sha256))
        build_engine = cache(lambda: engine(tools.build_engine().name, store))
        yield replace(tools, store=store, build_engine=build_engine)
