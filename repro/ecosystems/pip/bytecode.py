"""Bytecode for the sources of wheels, made in the image by its own interpreter.

Importing a stack of scientific packages takes 5.2 s without it and 1.6 s with it; compiling
costs 12-20 s once (BUILD.md §4), so the result is kept in the store for each wheel.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, cast

from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.jobs import Step, run_step
from repro.ecosystems.pip.layout import Layout
from repro.ecosystems.pip.wheel import Wheel
from repro.ecosystems.pip.wheels import Planned
from repro.errors import EngineError
from repro.files import local_errors, make_folder, open_regular, write_atomic
from repro.image.layer import Entry
from repro.models.execution import PROJECT, Mount
from repro.store.artifacts import Store

RECIPE = 1
"""Version of what bytecode looks like; part of its key."""

_SCRIPT = "bytecode_in_image.py"


def key(wheel: Wheel, layout: Layout, interpreter_id: str) -> str:
    """Return the key of a wheel's bytecode: all that decides its bytes."""
    parts = ["bytecode", RECIPE, wheel.sha256, layout.site, layout.python, interpreter_id]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def sources(planned: Sequence[Planned], layout: Layout) -> tuple[tuple[str, str, str], ...]:
    """Return (member, path, path of the bytecode) of what is imported from site-packages."""
    below = layout.site + "/"
    return tuple(
        (item.member, item.path, layout.compiled(item.path))
        for item in planned
        if item.member is not None and item.path.startswith(below) and item.path.endswith(".py")
    )


def have_bytecode(
    wheels: Sequence[tuple[Wheel, Sequence[Planned]]],
    layout: Layout,
    *,
    interpreter_id: str,
    store: Store,
    builder: Builder,
) -> None:
    """Have the bytecode of every wheel in the store; one job for all that is missing.

    Raises EngineError when the job fails.
    """
    missing = [
        (wheel, found)
        for wheel, planned in wheels
        if (found := sources(planned, layout))
        and store.layer(key(wheel, layout, interpreter_id)) is None
    ]
    if not missing:
        return
    # the largest first: a long one that starts last would run alone
    missing.sort(key=lambda item: (-item[0].path.stat().st_size, item[0].name))
    with store.scratch() as work:
        stage = make_folder(work / "stage")
        manifest, mounts = _prepare(missing, stage)
        write_atomic(stage / "manifest.json", json.dumps(manifest).encode())
        write_atomic(stage / _SCRIPT, files("repro.ecosystems.pip").joinpath(_SCRIPT).read_bytes())
        done = run_step(
            replace(builder, image=builder.compiler or builder.image),
            Step(
                argv=(layout.base, "-S", "-s", _SCRIPT, "manifest.json"),
                stage=stage,
                mounts=mounts,
            ),
            work / "log",
        )
        if not done.execution.succeeded:
            raise EngineError(
                f"compiling Python sources ended with {done.execution.ending} "
                f"{done.execution.code}:\n{done.tail}",
                hint="run the build again; if it fails again, this is a bug in repro",
            )
        for number, (wheel, _) in enumerate(missing):
            _keep(store, wheel, key(wheel, layout, interpreter_id), stage / f"out/{number}.zip")


def _prepare(
    missing: Sequence[tuple[Wheel, Sequence[tuple[str, str, str]]]], stage: Path
) -> tuple[list[dict[str, object]], tuple[Mount, ...]]:
    """Make the stage's folders; return the manifest and the wheels to bind."""
    mounts: list[Mount] = []
    manifest: list[dict[str, object]] = []
    for name in ("wheels", "out", "scratch"):
        make_folder(stage / name)
    for number, (wheel, found) in enumerate(missing):
        target = f"{PROJECT}/wheels/{number}.whl"
        write_atomic(stage / f"wheels/{number}.whl", b"")  # the mount point
        mounts.append(Mount(source=wheel.path, target=target))
        manifest.append(
            {
                "wheel": target,
                "output": f"{PROJECT}/out/{number}.zip",
                "sources": [[member, f"/{path}", target] for member, path, target in found],
            }
        )
    return manifest, tuple(mounts)


def _keep(store: Store, wheel: Wheel, wheel_key: str, output: Path) -> None:
    def write(file: BinaryIO) -> None:
        with local_errors(output), open_regular(output) as made:
            while chunk := made.read(1 << 20):
                file.write(chunk)

    store.keep_layer(f"bytecode {wheel.name} {wheel.version}", wheel_key, write)


@contextmanager
def opened_bytecode(
    wheel: Wheel,
    planned: Sequence[Planned],
    layout: Layout,
    *,
    interpreter_id: str,
    store: Store,
) -> Iterator[tuple[Entry, ...]]:
    """Yield a wheel's bytecode as layer entries, readable inside the block.

    Only what belongs to a planned source counts, whatever else the job wrote.
    """
    expected = {target for _, _, target in sources(planned, layout)}
    kept = store.layer(key(wheel, layout, interpreter_id))
    if not expected or kept is None:
        assert not expected, f"{wheel.label}: no bytecode in the store"
        yield ()
        return
    label = f"{wheel.label}: its bytecode"
    path = store.checked(kept.digest.removeprefix("sha256:"), label=label)
    with zipfile.ZipFile(path) as archive:
        found = {info.filename: info for info in archive.infolist()}
        yield tuple(
            _entry(archive, found[target]) for target in sorted(expected) if target in found
        )


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    return Entry(
        path=info.filename,
        mode=0o644,
        kind="file",
        data=lambda: cast("BinaryIO", archive.open(info)),
        size=info.file_size,
    )
