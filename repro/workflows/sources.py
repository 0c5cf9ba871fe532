"""`--from SOURCE`: where something is installed, opened for reading."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro.ecosystems.apt.installed import read_debs, require_dpkg
from repro.ecosystems.conda.installed import META, read_prefix
from repro.ecosystems.pip.installed import find_python, read_environment
from repro.ecosystems.tree import FileTree, Folder, Layered, read
from repro.errors import UsageError
from repro.locks.names import shown
from repro.models.installed import CondaEnvironment, InstalledDeb, PythonEnvironment
from repro.models.project import PLATFORM
from repro.workflows.tools import Tools

KINDS = ("venv", "conda", "container", "image", "host")
_FORMS = "venv:DIR, conda:PREFIX, container:NAME, image:REF or host"
_SEARCH = ("/usr/local/bin", "/usr/bin")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What `--from` names: a kind, and the folder, container or image."""

    kind: str
    name: str = ""

    @property
    def described(self) -> str:
        """What it is, without a path of this machine: for files that are shared."""
        what = {"venv": "a virtual environment", "conda": "a conda environment", "host": "a host"}
        return what.get(self.kind) or str(self)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """What was found there. `debs` is None where system packages are not asked about.

    `distribution` and `release` are os-release's ID and code name, "" where there is none.
    """

    source: Source
    tree: FileTree
    python: PythonEnvironment | None = None
    debs: tuple[InstalledDeb, ...] | None = None
    conda: CondaEnvironment | None = None
    distribution: str = ""
    release: str = ""


def parse_source(text: str) -> Source:
    """Read what `--from` was given. Raises UsageError."""
    kind, colon, name = text.partition(":")
    if kind not in KINDS or (kind == "host") is bool(colon) or (colon and not name):
        raise UsageError(f"--from {shown(text)}: names nothing", hint=f"write {_FORMS}")
    return Source(kind=kind, name=name)


@contextmanager
def opened(source: Source, tools: Tools) -> Iterator[Installed]:
    """Read what is installed there; its tree can be read inside the block.

    Raises UsageError where there is no such thing, EngineError, LockError, LocalError.
    """
    if source.kind == "venv":
        yield _virtual(source)
    elif source.kind == "host":
        yield _system(source, Folder(), _search(os.environ))
    elif source.kind == "image":
        with _image(source, tools) as installed:
            yield installed
    elif source.kind == "container":
        with _container(source, tools) as installed:
            yield installed
    else:
        yield _conda(source)


def _virtual(source: Source) -> Installed:
    place = Path(source.name).expanduser().absolute()
    if not place.is_dir():
        raise UsageError(
            f"--from {source}: {place} is not a folder",
            hint="name the folder that has bin/python in it: --from venv:.venv",
        )
    tree = Folder()
    if tree.names(f"{place}/conda-meta"):
        raise UsageError(
            f"--from {source}: {place} is a conda environment", hint=f"write conda:{source.name}"
        )
    python = read_environment(tree, str(place))
    return Installed(source=source, tree=tree, python=python)


@contextmanager
def _image(source: Source, tools: Tools) -> Iterator[Installed]:
    """An image, by its own layers: out of the registry, or of the docker engine."""
    from repro.image.merged import merged
    from repro.workflows.base import base_layers, pin_base

    base = pin_base(source.name, PLATFORM, tools, keep=None, upgrade=False)
    layers = base_layers(base, tools)
    with (
        tools.progress.task(f"reading {source.name}"),
        merged(tools.store.layer_path(layer) for layer in layers) as files,
    ):
        yield _system(source, Layered(files), _search(dict(base.env)))


@contextmanager
def _container(source: Source, tools: Tools) -> Iterator[Installed]:
    """A container of the docker engine, running or not, as its files are at this moment."""
    from repro.engines.docker.address import current_address
    from repro.engines.docker.api import connect
    from repro.engines.docker.export import export_container
    from repro.image.merged import merged

    daemon = connect(current_address(os.environ))
    with tools.store.scratch() as folder:
        tar = folder / "container.tar"
        with tools.progress.task(f"reading the container {source.name}"):
            env = export_container(daemon, source.name, tar)
        if env is None:
            raise UsageError(
                f"--from {source}: docker has no container {shown(source.name)}",
                hint="see: docker ps --all; an image is named image:REF",
            )
        with merged([tar]) as files:
            yield _system(source, Layered(files), _search(env))


def _search(env: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(env.get("PATH", "").split(":"))


def _conda(source: Source) -> Installed:
    tree, prefix = Folder(), str(Path(source.name).expanduser().absolute())
    conda = read_prefix(tree, prefix)
    has_python = any(one.name == "python" for one in conda.packages)
    python = read_environment(tree, prefix) if has_python else None
    return Installed(source=source, tree=tree, python=python, conda=conda)


def _system(source: Source, tree: FileTree, search: tuple[str, ...]) -> Installed:
    """A whole system: dpkg's packages, and the Python that its search path finds."""
    debs = read_debs(tree)
    require_dpkg(debs, f"--from {source}")
    prefix = find_python(tree, (*search, *_SEARCH))
    facts = _os_release(read(tree, "/etc/os-release") or read(tree, "/usr/lib/os-release") or b"")
    has_conda = prefix is not None and bool(tree.names(f"{prefix}/{META}"))
    return Installed(
        source=source,
        tree=tree,
        python=read_environment(tree, prefix) if prefix is not None else None,
        debs=debs,
        conda=read_prefix(tree, prefix) if prefix is not None and has_conda else None,
        distribution=facts.get("ID", ""),
        release=facts.get("VERSION_CODENAME", ""),
    )


def _os_release(data: bytes) -> dict[str, str]:
    """Read an os-release file (os-release(5)), quotes removed."""
    found = {}
    for line in data.decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip()] = value.strip().strip("\"'")
    return found
