"""A project's lock in the formats of others, written beside it or where its user says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from repro.errors import UsageError
from repro.export.facts import MARK, conda_platform
from repro.files import (
    local_errors,
    open_regular,
    replace_folder,
    replacing,
    write_atomic,
    write_together,
)
from repro.models.image import Image
from repro.models.lock import Lock, PipArtifact
from repro.models.outcome import ExportResult
from repro.models.project import VENDOR, Project
from repro.store.fetch import places_of
from repro.workflows.lockfiles import fresh_lock
from repro.workflows.state import fresh_turn, staging
from repro.workflows.tools import Tools

FORMATS = {
    "dockerfile": "Dockerfile",
    "oci": ".repro/image.oci.tar",  # no run copies it, and git ignores it
    "pylock": "pylock.toml",
    "sbom": "sbom.cdx.json",
    "devcontainer": ".devcontainer/",
    "binder": "binder/",
    "explicit": "conda-{platform}.lock",
}
"""Each format, and where it is written in the project; a folder has a slash."""

STDOUT = "-"

_HEAD = 4096  # bytes of a text in which its mark is
_UNMARKED = re.compile(rb"python-\d+\.\d+\n")  # runtime.txt has no comments


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """`format` is a key of FORMATS. `output`: where to, relative to the working directory.

    None: the format's own place in the project. `force`: replace what others wrote. `stream` is
    written to, and nothing else, where it is given.
    """

    format: str
    output: Path | None = None
    force: bool = False
    stream: BinaryIO | None = None


def export(project: Project, tools: Tools, options: ExportOptions) -> ExportResult:
    """Write the project's lock in another format; an image is built first where it is needed.

    Raises UsageError where a file is in the way that `repro export` did not write, and for a
    format that this environment has nothing for.
    """
    fresh_lock(project)
    with fresh_turn(project, tools) as lock:
        target = _target(project, lock, options)
        if options.format == "oci":
            written = _export_image(project, lock, tools, target, options)
        else:
            files = _texts(project, lock, options.format, target)
            written = _export_texts(project, files, target, options)
    return ExportResult(
        format=options.format,
        files=tuple(_shown(project, path) for path in written),
        notes=tuple(_notes(project, lock, options.format)),
    )


def _target(project: Project, lock: Lock, options: ExportOptions) -> Path:
    """Where the format's file or folder goes, absolute."""
    usual = FORMATS[options.format].format(platform=conda_platform(lock))
    if options.output is None:
        return project.root / usual
    chosen = Path(os.path.abspath(options.output))  # noqa: PTH100 - a link in it stays as it is
    is_folder = usual.endswith("/") or options.format == "oci"
    return chosen / usual if not is_folder and chosen.is_dir() else chosen


def _texts(project: Project, lock: Lock, name: str, target: Path) -> dict[str, str]:
    """Return {file name: text} of a format; one of one file has "" for its name."""
    from repro.export import binder, devcontainer, pylock, sbom
    from repro.workflows.execute import run_environment_of

    if name == "dockerfile":
        return {"": _dockerfile(project, lock)}
    if name == "devcontainer":
        return devcontainer.render(
            lock,
            name=project.name,
            dockerfile=_dockerfile(project, lock),
            env=run_environment_of(project, image_env=()),
        )
    if name == "binder":
        apt = (request.name for request in project.environment.apt)
        return binder.render(lock, name=project.name, apt=apt)
    if name == "sbom":
        return {"": sbom.render(lock, name=project.name)}
    if name == "pylock":
        return {"": pylock.render(lock, place=_vendored_from(project, target.parent))}
    return {"": _explicit(project, lock)}


def _vendored_from(project: Project, start: Path) -> Callable[[str, str], PurePosixPath]:
    """Return what says where the vendored folder has a file, as seen from the folder `start`."""

    def place(filename: str, sha256: str) -> PurePosixPath:
        places = places_of(project.vendor_folder or project.root / VENDOR, filename, sha256)
        found = next((path for path in places if path.is_file()), places[0])
        return PurePosixPath(os.path.relpath(found, start))

    return place


def _dockerfile(project: Project, lock: Lock) -> str:
    from repro.ecosystems.conda import explicit
    from repro.export import dockerfile
    from repro.workflows.assemble import image_environment

    packages = explicit.render(lock.conda, conda_platform(lock), sha256=True)
    return dockerfile.render(
        lock, name=project.name, env=image_environment(lock), explicit=packages
    )


def _explicit(project: Project, lock: Lock) -> str:
    from repro.ecosystems.conda import explicit
    from repro.export.facts import head

    if not lock.conda:
        raise UsageError(
            f"{project.name} has no conda packages: there is nothing for conda to install",
            hint="pip's packages: repro export pylock; all of them: repro export dockerfile",
        )
    text = explicit.render(lock.conda, conda_platform(lock))
    return f"# {head('explicit', lock)}.\n{text}"


# ---------------------------------------------------------------------- writing


def _export_texts(
    project: Project, files: Mapping[str, str], target: Path, options: ExportOptions
) -> tuple[Path, ...]:
    data = {name: text.encode() for name, text in files.items()}
    if options.stream is not None:
        if list(data) != [""]:
            raise UsageError(
                f"{options.format} is several files ({', '.join(data)}): standard output takes one",
                hint=f"name a folder: repro export {options.format} --output DIR",
            )
        with local_errors(Path("standard output")):
            options.stream.write(data[""])
            options.stream.flush()
        return ()
    paths = [target / name if name else target for name in data]
    _require_no_input(project, paths)
    _require_free(paths, data, force=options.force)
    if "" in data:
        write_atomic(target, data[""], staging=staging(project))
    else:
        write_together(target, data, staging=staging(project))
    return tuple(paths)


def _require_free(paths: list[Path], data: Mapping[str, bytes], *, force: bool) -> None:
    """Refuse to replace what `repro export` did not write, unless that is wished."""
    ours = any(_is_marked(path) for path in paths)
    for path, new in zip(paths, data.values(), strict=True):
        if path.is_dir() and not path.is_symlink():
            raise UsageError(f"{path} is a folder", hint="name a file: --output FILE")
        if force or not os.path.lexists(path) or _is_marked(path):
            continue
        old = _head(path, len(new) + 1)
        if old != new and not (ours and old is not None and _UNMARKED.fullmatch(old)):
            raise UsageError(
                f"{path} is there already, and repro export did not write it",
                hint="name another place with --output; or, to replace it: --force",
            )


def _require_no_input(project: Project, paths: list[Path]) -> None:
    """Refuse to replace what the project is made of, whatever is wished."""
    environment = project.environment
    inputs = {one.path for one in environment.pip} | {environment.apt_source}
    if environment.conda is not None:
        inputs.add(environment.conda.path)
    if project.config is not None:
        inputs.add(project.config)
    kept = {"lockfiles", "baseline", ".git"}
    if project.analysis is not None:
        kept |= set(project.analysis.data)
    for path in paths:
        place = Path(os.path.realpath(path))
        for name in sorted(inputs | kept):
            taken = Path(os.path.realpath(project.root / name))
            if place == taken or (name in kept and place.is_relative_to(taken)):
                what = "is an input of this project's lock" if name in inputs else f"is in {name}"
                raise UsageError(
                    f"{path} {what}: it is not for exports",
                    hint="name another place: --output PATH",
                )


def _is_marked(path: Path) -> bool:
    return MARK.encode() in (_head(path, _HEAD) or b"")


def _head(path: Path, size: int) -> bytes | None:
    """The first bytes of a regular file; None for what is none, or may not be read."""
    try:
        with open_regular(path) as file:
            return file.read(size)
    except OSError:
        return None


def _export_image(
    project: Project, lock: Lock, tools: Tools, target: Path, options: ExportOptions
) -> tuple[Path, ...]:
    """Build the image and write it: as one tar, or as a folder where its name is no tar's."""
    from repro.image.archive import write_archive
    from repro.image.layout import MARKER, write_layout
    from repro.workflows.build import build_image

    as_tar = target.suffix == ".tar"
    if options.stream is None:
        _require_no_input(project, [target])
        _require_room_for_image(target, as_tar=as_tar, force=options.force, marker=MARKER)
    image: Image = build_image(project, lock, tools)
    with tools.progress.task("writing the image"):
        if options.stream is not None:
            with local_errors(Path("standard output")):
                write_archive(options.stream, image, tools.store, omit=frozenset())
                options.stream.flush()
            return ()
        if as_tar:
            with replacing(target) as file:
                write_archive(file, image, tools.store, omit=frozenset())
        else:
            replace_folder(target, lambda folder: write_layout(folder, image, tools.store))
    return (target,)


def _require_room_for_image(target: Path, *, as_tar: bool, force: bool, marker: str) -> None:
    """Refuse to replace anything but an image, and that only where it is wished."""
    if not os.path.lexists(target) or (not as_tar and _is_empty(target)):
        return
    replaceable = target.is_file() if as_tar else (target / marker).is_file()
    if target.is_symlink() or not replaceable:
        raise UsageError(
            f"{target} is there already, and is no image",
            hint="name another place: --output FILE.tar, or --output FOLDER",
        )
    if not force:
        raise UsageError(
            f"{target} is there already",
            hint="name another place with --output; or, to replace it: --force",
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _notes(project: Project, lock: Lock, name: str) -> Iterator[str]:
    """Yield what its user should know of what was written."""
    from repro.ecosystems.pip.pin import VENDOR as IN_NO_INDEX

    sources = [item.name for item in lock.pip if item.build is not None]
    if name in ("dockerfile", "devcontainer", "binder") and sources:
        yield (
            f"{', '.join(sources)}: built from source there, with whatever builds it then; only "
            "repro build uses the locked wheel"
        )
    if name == "binder" and lock.debs:
        yield "repro2docker has a base of its own: apt's packages are named without versions"
    only = [item.name for item in lock.pip if item.index == IN_NO_INDEX]
    if name in ("dockerfile", "devcontainer", "binder") and only:
        yield (
            f"{', '.join(only)}: no index has what is locked; only the vendored folder has it, "
            "which pip does not know there: serve it as an index, or use the image of repro build"
        )
    vendored = project.vendor_folder or project.root / VENDOR
    if name == "pylock" and not all(_has_artifact(vendored, item) for item in lock.pip):
        yield (
            "pylock.toml names no index; its files are looked for in "
            f"{_shown(project, vendored)}/: to put them there: repro vendor"
        )
    if name != "oci" and lock.seal.base is not None and name == "sbom":
        yield "what the base image itself holds is not listed: only its digest is known"


def _has_artifact(vendored: Path, item: PipArtifact) -> bool:
    """Whether the vendored folder has a file in the place of this one; it is not read."""
    if item.build is not None:
        return any(
            path.is_file() for path in places_of(vendored, item.build.wheel, item.build.sha256)
        )
    return any(path.is_file() for path in places_of(vendored, item.filename, item.sha256))


def _shown(project: Project, path: Path) -> str:
    inside = path.is_relative_to(project.root)
    return str(path.relative_to(project.root)) if inside else str(path)
