"""Build the pinned image of a project's lock, and hold it against its record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

from repro.errors import LockError
from repro.files import local_errors, make_folder
from repro.models.image import Image
from repro.models.lock import Lock
from repro.models.outcome import BuildResult
from repro.models.project import Project, Sources
from repro.store.artifacts import Store
from repro.workflows.assemble import assemble
from repro.workflows.image_record import enforce
from repro.workflows.lockfiles import fresh_lock
from repro.workflows.tools import Tools, engine


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """`check`: build twice in two empty caches and compare, and read all of the own one again.

    `record`: write image.toml anew.
    """

    check: bool = False
    record: bool = False


def build(project: Project, tools: Tools, options: BuildOptions) -> BuildResult:
    """Build the image of the project's lock and put it into every engine that answers.

    Raises LockError when the same recipe gave another image than image.toml says, naming the
    layer and the first file that differs.
    """
    start = time.monotonic()
    lock = fresh_lock(project)
    tools.store.thorough = options.check
    image, built = assemble(project, lock, tools)
    if options.check:
        _check_twice(project, lock, tools, image)
    record, recorded = enforce(project, lock, image, tools, record=options.record)
    loaded = _load_everywhere(image, tools)
    return BuildResult(
        image=image,
        record=record,
        layers_built=built,
        loaded=loaded,
        recorded=recorded,
        checked=options.check,
        seconds=time.monotonic() - start,
    )


def _load_everywhere(image: Image, tools: Tools) -> tuple[str, ...]:
    """Put the image into every engine that answers, side by side; return their names."""

    def load(name: str) -> bool:
        candidate = engine(name, tools.store, tools.progress)
        if candidate.probe() is not None:
            return False
        with tools.progress.task(f"loading into {name}"):
            candidate.load(image)
        return True

    pool = ThreadPoolExecutor(1)
    try:
        # docker in the background: it leaves nothing half done here when this is interrupted
        docker = pool.submit(load, "docker")
        sandbox = load("sandbox")
        answered = {"sandbox": sandbox, "docker": docker.result()}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return tuple(name for name, there in answered.items() if there)


def build_image(project: Project, lock: Lock, tools: Tools) -> Image:
    """Return the image of a lock, built where it is not cached, checked against image.toml."""
    image, _ = assemble(project, lock, tools)
    record, recorded = enforce(project, lock, image, tools, record=False)
    if recorded:
        tools.progress.note(
            f"note: there was no image.toml for this lock; recorded the image {record.image_id}"
        )
    return image


def _check_twice(project: Project, lock: Lock, tools: Tools, image: Image) -> None:
    """Build in two empty caches, and compare every layer with the first build's."""
    from repro.image.difference import differences

    for _ in range(2):
        with _empty_cache(tools, lock) as other:
            again, _ = assemble(project, lock, other)
            for layer, expected in zip(again.layers, image.layers, strict=True):
                if layer.digest == expected.digest:
                    continue
                old = tools.store.layer_path(expected)
                differing = list(differences(old, other.store.layer_path(layer)))
                raise LockError(
                    f"layer {layer.name!r} is not the same from two builds:\n  "
                    + "\n  ".join(differing[:20]),
                    hint="please report it: every byte of an image must follow from its lock",
                )


@contextmanager
def _empty_cache(tools: Tools, lock: Lock) -> Iterator[Tools]:
    """Yield tools over a store that holds this lock's artifacts and no layer."""
    from repro.workflows.artifacts import wanted_of

    with tools.store.scratch() as folder:
        store = Store(folder, progress=tools.progress)
        wanted = wanted_of(lock, Sources(), tools.http).needed()
        for item in {one.sha256: one for one in wanted}.values():
            if tools.store.has(item.sha256, label=item.label):
                target = store.path(item.sha256)
                make_folder(target.parent)
                with local_errors(target):
                    target.hardlink_to(tools.store.path(item.sha256))
        build_engine = cache(lambda: engine(tools.build_engine().name, store, tools.progress))
        yield replace(tools, store=store, build_engine=build_engine)
