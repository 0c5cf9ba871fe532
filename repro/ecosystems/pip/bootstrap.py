"""pip, pip-tools and their like for use inside an image, pinned by content in bootstrap.toml."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from repro.ecosystems.pip.fetch import want
from repro.ecosystems.pip.layout import beside, skeleton
from repro.ecosystems.pip.pages import Catalogue
from repro.ecosystems.pip.wheel import wheel_of
from repro.ecosystems.pip.wheels import opened, plan
from repro.files import local_errors, make_folder
from repro.image.layer import Entry
from repro.models.execution import PROJECT
from repro.models.lock import Interpreter, PipArtifact
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher

FOLDER = "env"
"""Where a stage holds them."""


def tools(python: str) -> tuple[PipArtifact, ...]:
    """Return the pinned set for this interpreter, `major.minor`."""
    data = files("repro.ecosystems.pip").joinpath("bootstrap.toml").read_text()
    kind = "two" if python.startswith("2.") else "three"
    return tuple(PipArtifact(**item) for item in tomllib.loads(data)[kind])


def some(python: str, *names: str) -> tuple[PipArtifact, ...]:
    """Return these of the pinned tools."""
    return tuple(item for item in tools(python) if item.name in names)


def put_tools(
    interpreter: Interpreter, stage: Path, *, fetcher: Fetcher, catalogue: Catalogue
) -> ToolEnvironment:
    """Have the set in the store and lay it out in the stage. Raises NetworkError, LockError."""
    chosen = tools(interpreter.version)
    fetcher.fetch([want(item, catalogue) for item in chosen], what="resolver tool")
    return lay_out(chosen, fetcher.store, interpreter, stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolEnvironment:
    """Packages in a stage: the interpreter that sees them, and the variables that it needs."""

    python: str
    env: tuple[tuple[str, str], ...]


def lay_out(
    artifacts: Iterable[PipArtifact], store: Store, interpreter: Interpreter, stage: Path
) -> ToolEnvironment:
    """Write stored wheels to `env` in a stage, which is /project/env for the step that runs there.

    Raises LockError for a damaged one, and as `wheels.plan` does.
    """
    layout = beside(interpreter, f"{PROJECT}/{FOLDER}".removeprefix("/"))
    _write(skeleton(layout, system_site_packages=False), stage)
    for artifact in artifacts:
        wheel = wheel_of(artifact, store)
        store.checked(wheel.sha256, label=wheel.label)
        with opened(wheel, plan(wheel, layout)) as entries:
            _write(entries, stage)
    path = f"/{layout.scripts}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    env = [("PATH", path)]
    if layout.is_two:  # no pyvenv.cfg in Python 2
        env.append(("PYTHONPATH", f"/{layout.site}"))
    return ToolEnvironment(python=layout.interpreter, env=tuple(env))


def _write(entries: Iterable[Entry], stage: Path) -> None:
    """Write entries that all lie below /project into the stage; two of one path: the first."""
    for entry in entries:
        path = stage / Path(f"/{entry.path}").relative_to(PROJECT)
        with local_errors(path):
            make_folder(path.parent)
            if entry.kind == "dir":
                make_folder(path)
            elif entry.kind == "symlink":
                path.symlink_to(entry.link)
            elif not path.exists():
                with path.open("xb") as file, entry.open() as source:
                    shutil.copyfileobj(source, file)
                path.chmod(entry.mode)
