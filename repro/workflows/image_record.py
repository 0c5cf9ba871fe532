"""`image.toml`: what the first build of a lock records, and every later one must match."""

from __future__ import annotations

import os

from repro.errors import LockError
from repro.files import local_errors, write_atomic
from repro.locks import seal
from repro.locks.records import render_image
from repro.models.image import RECIPE, Image, ImageRecord
from repro.models.lock import Lock
from repro.models.project import Project
from repro.workflows.lockfiles import read_image_record, require_locks
from repro.workflows.state import staging
from repro.workflows.tools import Tools


def enforce(
    project: Project, lock: Lock, image: Image, tools: Tools, *, record: bool
) -> tuple[ImageRecord, bool]:
    """Check the image against image.toml, or write that file; say whether it was written.

    Raises LockError when the record is of another image, or of another lock: a snapshot that
    changes the lock removes the record, so it was edited or is from elsewhere.
    """
    old = read_image_record(project)
    if old is not None and old.environment_key != lock.key and not record:
        require_locks(project.lock_folder, lock, root=project.root)
        raise LockError(
            f"{seal.IMAGE_RECORD} is the record of another lock: its environment is "
            f"{old.environment_key}, this one is {lock.key}",
            hint="restore it and the locks together from version control; if the locks are "
            "right, record it anew: repro build --record",
        )
    if old is not None and old.recipe == RECIPE and not record:
        if old.image_id != image.id:
            raise _other_image(old, image, tools)
        if (old.manifest_digest, old.layers) != (image.manifest_digest, _named_layers(image)):
            raise LockError(
                f"{seal.IMAGE_RECORD}: the image ID {old.image_id} is that of this build, but the "
                "manifest or the layers beside it are not: it was edited",
                hint="restore it from version control, or record it anew: repro build --record",
            )
        return old, False
    if old is not None and not record:
        tools.progress.note(
            f"image.toml is of recipe {old.recipe}, this repro builds recipe {RECIPE}: "
            "record the new image with repro build --record"
        )
        return old, False
    from repro.ecosystems.apt.bootstrap import tool_versions  # most builds record nothing

    new = ImageRecord(
        recipe=RECIPE,
        environment_key=lock.key,
        image_id=image.id,
        manifest_digest=image.manifest_digest,
        layers=_named_layers(image),
        tools=tool_versions(),
    )
    require_locks(project.lock_folder, lock, root=project.root)
    path = project.lock_folder / seal.IMAGE_RECORD
    write_atomic(path, render_image(new), staging=staging(project))
    return new, True


def drop_obsolete(project: Project, lock: Lock) -> bool:
    """Remove image.toml when it is another lock's; say whether it was.

    Called before that lock is written: whoever is killed in between has a lock without a
    record, which the next build writes anew. One that cannot be read is no record of this lock.
    """
    path = project.lock_folder / seal.IMAGE_RECORD
    if not os.path.lexists(path) or _is_of(project, lock):
        return False
    with local_errors(path):
        path.unlink(missing_ok=True)
    return True


def _is_of(project: Project, lock: Lock) -> bool:
    try:
        old = read_image_record(project)
    except LockError:
        return False
    return old is not None and old.environment_key == lock.key


def _named_layers(image: Image) -> tuple[tuple[str, str], ...]:
    return tuple((layer.name, layer.digest) for layer in image.layers)


def _other_image(old: ImageRecord, image: Image, tools: Tools) -> LockError:
    from repro.ecosystems.apt.bootstrap import tool_versions
    from repro.image.difference import first_difference

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
            lines.append(
                f"first difference: {first_difference(kept, tools.store.layer_path(layer))}"
            )
        break
    now = dict(tool_versions())
    for tool, version in old.tools:
        if now.get(tool) != version:
            lines.append(f"{tool} is {now.get(tool, 'absent')}, it was {version}")
    return LockError(
        "\n  ".join(lines),
        hint="if image.toml is wrong, restore it from version control; if the new image is "
        "meant: repro build --record",
    )
