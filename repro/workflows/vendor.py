"""Put every artifact that the locks need into a folder: a build from it needs no network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from repro.errors import UsageError
from repro.files import local_errors
from repro.locks.names import path_shown
from repro.models.lock import Lock
from repro.models.outcome import VendorResult
from repro.models.project import PLATFORM, VENDOR, Project
from repro.project.detect import is_vendored
from repro.project.listing import git_keeps
from repro.store.fetch import Wanted
from repro.store.vendored import Vendored
from repro.workflows.baselines import read_baseline
from repro.workflows.lockfiles import fresh_lock, read_lock
from repro.workflows.state import fresh_turn, staging
from repro.workflows.tools import Tools

LARGE = 25 << 20
"""Bytes that git alone should not keep."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VendorOptions:
    """`folder`: where to (None: as configured). `prune`: remove what is no longer needed."""

    folder: Path | None = None
    prune: bool = False


def vendor(project: Project, tools: Tools, options: VendorOptions) -> VendorResult:
    """Have all artifacts of the project's locks, and of its baseline's, in the vendored folder.

    Only what is missing there is fetched, into the store first. Raises NetworkError naming what
    no source has: what did arrive stays.
    """
    fresh_lock(project)
    folder = destination(project, options.folder)
    with fresh_turn(project, tools) as lock:
        made = Vendored(root=folder, staging=staging(project))
        wanted: dict[str, Wanted] = {}
        placed: dict[str, Path] = {}
        added = 0
        for each in all_locks(project, lock):
            items = _everything(project, each, tools)
            wanted |= {item.sha256: item for item in items}
            added += _fill(project, each, tools, made, items, placed)
            made.write_manifest((wanted[sha256], path) for sha256, path in placed.items())
        obsolete = made.obsolete(wanted.values())
        names = tuple(path.relative_to(folder).as_posix() for path in obsolete)
        if options.prune:
            made.remove(obsolete)
        size = sum(path.stat().st_size for path in placed.values())
    return VendorResult(
        folder=_shown(project, folder),
        files=len(placed),
        added=added,
        size=size,
        obsolete=names,
        pruned=options.prune,
        notes=tuple(_notes(project, folder, size)),
    )


def destination(project: Project, asked: Path | None) -> Path:
    """Return where to write. Raises UsageError for a folder that is for something else.

    No run sees a vendored folder: what else lies in it would be gone from the analysis.
    """
    configured = project.vendor_folder
    folder = (asked.absolute() if asked is not None else configured) or project.root / VENDOR
    top = Path(os.path.realpath(folder))
    for name in (*_TAKEN, *_used(project)):
        taken = Path(os.path.realpath(project.root / name))
        if taken.is_relative_to(top) or (name and top.is_relative_to(taken)):
            raise UsageError(
                f"{folder}: is no folder for artifacts: {name or 'it'} is the project's own",
                hint="name one for nothing else: repro vendor vendored",
            )
    if configured is not None and top == Path(os.path.realpath(configured)):
        return folder
    if not is_vendored(top) and (other := _first_name(top)) is not None:
        raise UsageError(
            f"{folder}: has other files than artifacts: {path_shown(other)}",
            hint="name one for nothing else: repro vendor vendored; or, if it is for nothing "
            'else, name it in repro.toml: vendor = "…"',
        )
    return folder


def _used(project: Project) -> Iterator[str]:
    """Yield the paths that the analysis reads and writes."""
    if project.analysis is not None:
        yield from (*project.analysis.data, *project.analysis.outputs)
    yield from (table.file for table in project.tables)
    yield from project.metrics.files


def _first_name(folder: Path) -> str | None:
    """The first name in a folder; None for an empty one, or for none."""
    if not folder.is_dir():
        return None
    with local_errors(folder):
        return min((path.name for path in folder.iterdir()), default=None)


_TAKEN = ("", "lockfiles", "baseline", ".git", ".repro")
"""What a project is made of: itself, and what is in it."""


def all_locks(project: Project, lock: Lock) -> Iterator[Lock]:
    """Yield the locks whose artifacts must last: each platform's, with its baseline's.

    `lock` is that of the project's own platform. Raises LockError.
    """
    for platform in project.environment.platforms:
        there = replace(project, platform=platform)
        current = lock if platform == lock.seal.platform else fresh_lock(there)
        yield current
        baseline = read_baseline(there.baseline_folder, where=f"baseline/{platform}")
        if baseline is not None and baseline.environment_key != current.key:
            yield read_lock(baseline.folder / "locks", root=project.root, platform=platform)


def _everything(project: Project, lock: Lock, tools: Tools) -> tuple[Wanted, ...]:
    """Return a lock's artifacts and the wheels that are built from them, each content once.

    What another platform builds cannot be built here: its wheels are taken where they are.
    """
    from repro.workflows.artifacts import wanted_of

    found = wanted_of(lock, project.sources, tools.http)
    built = found.built
    if lock.seal.platform != PLATFORM:
        built = tuple(item for item in built if tools.store.has(item.sha256, label=item.label))
    return tuple({item.sha256: item for item in (*found.needed(), *built)}.values())


def _fill(
    project: Project,
    lock: Lock,
    tools: Tools,
    made: Vendored,
    items: Sequence[Wanted],
    placed: dict[str, Path],
) -> int:
    """Put what is missing into the folder, note in `placed` where all is; return how many."""
    new = [item for item in items if item.sha256 not in placed]
    with (
        tools.progress.task("looking through the vendored folder", len(new)) as task,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):

        def find(item: Wanted) -> Path | None:
            found = made.find(item, tools.store)
            task.advance()
            return found

        there = list(pool.map(find, new))
    missing = [item for item, path in zip(new, there, strict=True) if path is None]
    placed |= {item.sha256: path for item, path in zip(new, there, strict=True) if path}
    if not placed:  # from now on it is a vendored folder, whatever stops this
        made.write_manifest(())
    _have(project, lock, tools, missing)
    with tools.progress.task("vendoring", len(missing)) as task:
        for item, path in made.add(missing, tools.store):
            placed[item.sha256] = path
            task.advance()
    return len(missing)


def _have(project: Project, lock: Lock, tools: Tools, missing: Sequence[Wanted]) -> None:
    """Have these artifacts of a lock in the store; a wheel that can be built again is built."""
    from repro.ecosystems.pip.builder import Builder
    from repro.ecosystems.pip.layers import LayerTarget
    from repro.ecosystems.pip.sdist import have_built
    from repro.workflows.artifacts import wanted_of
    from repro.workflows.assemble import environment_below_pip
    from repro.workflows.base import base_layers

    needed = {item.sha256 for item in missing}
    found = wanted_of(lock, project.sources, tools.http)
    fetcher = tools.fetcher(project.vendor_folder)
    if lock.seal.base is not None and any(item.sha256 in needed for item in found.base):
        base_layers(lock.seal.base, tools, vendor=project.vendor_folder)
    for what, part in (*found.fetched(), ("built wheel", found.kept)):
        fetcher.fetch([item for item in part if item.sha256 in needed], what=what)
    fetcher.take(item for item in found.built if item.sha256 in needed)
    sources = [item for item in lock.pip if item.build and item.build.sha256 in needed]
    absent = [s for s in sources if s.build and not tools.store.has(s.build.sha256)]
    if absent:
        fetcher.fetch(found.pip, what="pip package")
        builder = Builder(
            engine=tools.build_engine,
            image=cache(lambda: environment_below_pip(project, lock, tools)),
        )
        target = LayerTarget.of(lock)
        have_built(absent, interpreter=target.interpreter, builder=builder, store=tools.store)


def _shown(project: Project, folder: Path) -> str:
    if folder.is_relative_to(project.root):
        return str(folder.relative_to(project.root))
    return str(folder)


def _notes(project: Project, folder: Path, size: int) -> Iterator[str]:
    """Yield what its user should do that `repro` does not."""
    shown = _shown(project, folder)
    if not folder.is_relative_to(project.root):
        yield (
            f"{folder} lies outside of the project: a build looks there when it is copied into "
            f"it, as {VENDOR}/ or as repro.toml says"
        )
    elif folder != (project.vendor_folder or project.root / VENDOR):
        yield f'builds do not look there yet: say in repro.toml: vendor = "{shown}"'
    if size >= LARGE and git_keeps(folder):
        yield (
            f"{shown} has {size / 1e6:.0f} MB, and git would keep every version of it for ever: "
            f"ignore it (echo '/{shown}/' >> .gitignore), or keep it in LFS "
            f"(git lfs track '{shown}/sha256/**')"
        )
