"""From a lock to its image: fetch what is missing, make the layers, compose them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from repro.ecosystems import base_image
from repro.ecosystems.apt import layer as apt_layer
from repro.ecosystems.base import LayerRecipe
from repro.ecosystems.conda import layer as conda_layer
from repro.ecosystems.pip import layers as pip_layers
from repro.ecosystems.pip.builder import Builder
from repro.errors import LockError, NetworkError
from repro.image.config import SYSTEM_PATH, compose
from repro.models.image import RECIPE, Image, Layer
from repro.models.lock import CONDA_PREFIX, VENV, BaseImage, Lock
from repro.models.project import Project
from repro.store.artifacts import Store
from repro.workflows.base import image_of
from repro.workflows.tools import Tools


def assemble(project: Project, lock: Lock, tools: Tools) -> tuple[Image, int]:
    """Make every layer that the store lacks; return the image and how many were made."""
    store = tools.store
    below = below_pip(lock, tools, vendor=project.vendor_folder)
    builder = Builder(
        engine=tools.build_engine,
        image=cache(lambda: environment_below_pip(project, lock, tools)),
        compiler=cache(lambda: _compiler_image(lock, tools))
        if _beside(lock, below, tools)
        else None,
    )
    recipes = (*below, *pip_recipes(lock, store, builder))
    missing = [recipe for recipe in recipes if store.layer(recipe.key) is None]
    made: dict[str, Layer] = {}
    if missing:
        with store.lock(build_lock(below), what="building the environment's layers"):
            # another process may have made them meanwhile
            missing = [recipe for recipe in missing if store.layer(recipe.key) is None]
            try:
                _fetch(project, lock, tools, missing, below)
            except NetworkError as error:
                if (lost := _lost(store, missing, error)) is not None:
                    raise lost from error
                raise
            _require_disjoint(lock, store)
            made = _make(missing, below, lock, tools, beside=builder.compiler is not None)
    layers = [made.get(recipe.key) or _require(store, recipe) for recipe in recipes]
    return _image(lock, tuple(layers)), len(made)


def build_lock(below: Sequence[LayerRecipe]) -> str:
    """Return the name of the lock for making these layers: others need not wait for it."""
    keys = "\n".join(recipe.key for recipe in below)
    return f"build-{hashlib.sha256(keys.encode()).hexdigest()}"


def _lost(store: Store, missing: Sequence[LayerRecipe], error: NetworkError) -> LockError | None:
    """The error for a layer that was damaged and cannot be made again; None where none was."""
    for recipe in missing:
        if (kept := store.lost_layer(recipe.key)) is not None:
            return LockError(
                f"layer {recipe.name}: the store's copy is damaged and kept aside: {kept}; and "
                f"what it is made from {error.message}",
                hint=error.hint,
            )
    return None


def below_pip(lock: Lock, tools: Tools, *, vendor: Path | None = None) -> tuple[LayerRecipe, ...]:
    """The recipes of all that pip's layers stand on, in this order; each may use those before.

    What an image has itself where locked packages go is hidden: the two must not mix.

    `vendor` is a folder that is searched for the layers of a base image.
    """
    base = _suite_base(lock, tools)
    if lock.seal.base is not None:
        base = _image_base(lock.seal.base, lock, tools, vendor)
        if taken := lock.prefixes:
            base = (*base, base_image.hiding(taken))
    if not lock.conda:
        return base
    conda = conda_layer.recipe(
        lock.conda,
        store=tools.store,
        progress=tools.progress,
        allow_overlap=lock.seal.allow_overlap,
    )
    return *base, conda


def _suite_base(lock: Lock, tools: Tools) -> tuple[LayerRecipe, ...]:
    """The recipe of a suite's one layer."""
    recipe = apt_layer.recipe(
        lock.debs,
        suite=lock.seal.suite,
        python="" if lock.conda else lock.seal.python,
        store=tools.store,
        progress=tools.progress,
    )
    return (recipe,)


def _image_base(
    base: BaseImage, lock: Lock, tools: Tools, vendor: Path | None
) -> tuple[LayerRecipe, ...]:
    """The recipes of a base image's layers, and of what apt lays on top of them."""
    layers = base_image.recipes(
        base,
        store=tools.store,
        http=tools.http,
        progress=tools.progress,
        vendor=vendor,
        offline=tools.offline,
    )
    if not lock.debs:
        return layers
    from repro.ecosystems.apt import ontop

    above = ontop.recipe(
        lock.debs,
        base=base,
        image=lambda: image_of(base, tools),
        store=tools.store,
        workshop=tools.workshop,
        progress=tools.progress,
    )
    return *layers, above


def pip_recipes(lock: Lock, store: Store, builder: Builder) -> tuple[LayerRecipe, ...]:
    """The recipes of pip's layers; none for an environment without Python and its packages."""
    if lock.interpreter is None and not lock.pip:
        return ()
    return pip_layers.recipes(
        lock.pip,
        target=pip_layers.LayerTarget.of(lock),
        store=store,
        builder=builder,
        occupied=_occupied(lock, store),
    )


def _require_disjoint(lock: Lock, store: Store) -> None:
    """Refuse a lock in which conda and pip both bring a package: edited, or taken over."""
    if lock.interpreter is not None and lock.interpreter.conda and lock.pip:
        from repro.ecosystems.conda.overlap import require_disjoint

        require_disjoint(lock.conda, lock.pip, store)


def _occupied(lock: Lock, store: Store) -> pip_layers.Occupied | None:
    """What conda has put into the prefix that pip's packages join; None: they have their own."""
    if lock.interpreter is None or not lock.interpreter.conda:
        return None
    key = conda_layer.key(lock.conda, lock.seal.allow_overlap)

    def owners() -> Mapping[str, str]:
        from repro.ecosystems.conda import overlap

        layer = store.layer(key)
        if layer is None:
            raise LockError(f"the layer {conda_layer.NAME} vanished from {store.root}")
        return overlap.owners(layer, store)

    return pip_layers.Occupied(key=key, owners=owners)


def environment_below_pip(project: Project, lock: Lock, tools: Tools) -> Image:
    """The image without pip's layers, loaded where builds and resolvers run in it."""
    recipes = below_pip(lock, tools, vendor=project.vendor_folder)
    missing = [recipe for recipe in recipes if tools.store.layer(recipe.key) is None]
    if missing:
        _fetch(project, replace(lock, pip=()), tools, missing, recipes)
        with tools.progress.task("building the base"):
            for recipe in missing:
                tools.store.keep_layer(recipe.name, recipe.key, recipe.write)
    image = _image(lock, tuple(_require(tools.store, recipe) for recipe in recipes))
    tools.build_engine().load(image)
    return image


def _beside(lock: Lock, below: Sequence[LayerRecipe], tools: Tools) -> bool:
    """Whether pip's layers need not wait for the base: the locked interpreter compiles alone.

    A source distribution is built in the base. A daemon would keep the image of the interpreter.
    """
    if not lock.pip or any(item.build for item in lock.pip):
        return False
    if lock.seal.base is not None or lock.conda:
        return False
    return tools.store.layer(below[0].key) is None and tools.build_engine().name == "sandbox"


def _compiler_image(lock: Lock, tools: Tools) -> Image:
    """The image of the locked interpreter alone, loaded where wheels are compiled in it."""
    from repro.ecosystems.apt import interpreter

    recipe = interpreter.recipe(lock.debs, python=lock.seal.python, store=tools.store)
    layer = tools.store.layer(recipe.key)
    if layer is None:
        layer = tools.store.keep_layer(recipe.name, recipe.key, recipe.write)
    image = _image(lock, (layer,))
    tools.build_engine().load(image)
    return image


def _fetch(
    project: Project,
    lock: Lock,
    tools: Tools,
    missing: Sequence[LayerRecipe],
    below: Sequence[LayerRecipe],
) -> None:
    from repro.workflows.artifacts import unbuilt, wanted_of

    fetcher = tools.fetcher(project.vendor_folder)
    wanted = wanted_of(lock, project.sources, tools.http)
    lost = {recipe.name for recipe in missing if recipe in below}
    if lost & {apt_layer.NAME, apt_layer.ON_TOP}:
        fetcher.fetch(wanted.apt, what="apt package")
    if conda_layer.NAME in lost:
        fetcher.fetch(wanted.conda, what="conda package")
    if any(recipe not in below for recipe in missing):
        fetcher.take(wanted.built)
        fetcher.fetch(wanted.kept, what="built wheel")
        sources = unbuilt(lock, tools.store)  # what is built already needs no source
        fetcher.fetch(wanted_of(sources, project.sources, tools.http).pip, what="pip package")


def _make(
    missing: Sequence[LayerRecipe],
    below: Sequence[LayerRecipe],
    lock: Lock,
    tools: Tools,
    *,
    beside: bool,
) -> dict[str, Layer]:
    """Make what pip's layers stand on, one by one, and these side by side: after, or `beside` it.

    Return all by key.
    """
    first = [recipe for recipe in missing if recipe in below]
    rest = [recipe for recipe in missing if recipe not in below]
    store = tools.store
    made: dict[str, Layer] = {}
    with tools.progress.task("building layers", len(missing)) as task:

        def make(recipe: LayerRecipe) -> None:
            layer = store.layer(recipe.key)  # the base: a source that was built needed it
            if layer is None:
                layer = store.keep_layer(recipe.name, recipe.key, recipe.write)
            made[recipe.key] = layer
            if beside and recipe in rest:  # a processor is free until the base is made
                tools.build_engine().load(_image(lock, (layer,)))
            task.advance()

        for recipe in () if beside else first:
            make(recipe)
        pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        wait = True
        try:
            others = pool.map(make, rest)
            for recipe in first if beside else ():
                make(recipe)
            for _ in others:
                pass
        except KeyboardInterrupt:
            wait = False  # a person is waiting; what is still being made ends with this process
            raise
        finally:
            pool.shutdown(wait=wait, cancel_futures=True)
    return made


def _require(store: Store, recipe: LayerRecipe) -> Layer:
    layer = store.layer(recipe.key)
    if layer is None:
        raise LockError(f"the layer {recipe.name} vanished from {store.root}", hint="run it again")
    return layer


def _image(lock: Lock, layers: tuple[Layer, ...]) -> Image:
    return compose(
        layers,
        env=image_environment(lock),
        command=(f"python{lock.seal.python}",) if lock.seal.python else ("/bin/sh",),
        labels=(("repro.environment", lock.key), ("repro.recipe", str(RECIPE))),
        below=len(lock.seal.base.layers) if lock.seal.base is not None else 0,
    )


def image_environment(lock: Lock) -> tuple[tuple[str, str], ...]:
    """Return the environment that the image sets: its base's own, and where the packages are."""
    base = dict(lock.seal.base.env) if lock.seal.base is not None else {}
    interpreter = lock.interpreter
    first: list[str] = []
    if not (interpreter is None or interpreter.conda or interpreter.version.startswith("2.")):
        first.append(f"{VENV}/bin")  # before conda's tools: it has the lock's Python
    if lock.conda:
        first.append(f"{CONDA_PREFIX}/bin")
        base["CONDA_PREFIX"] = CONDA_PREFIX
    path = ":".join([*first, base.get("PATH", SYSTEM_PATH)])
    return tuple(sorted({"LANG": "C.UTF-8", **base, "PATH": path}.items()))
