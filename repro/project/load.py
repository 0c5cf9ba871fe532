"""From a folder to its Project: configuration first, detection where it is silent."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from repro.errors import LocalError, UsageError
from repro.files import local_errors
from repro.locks.conda_names import SUBDIRS
from repro.locks.names import python_name
from repro.models.project import (
    PLATFORM,
    PLATFORMS,
    VENDOR,
    AptRequest,
    Environment,
    Project,
    Sources,
)
from repro.project import detect, source, toml
from repro.project.config import FILE, Settings, parse_settings, refuse_data_overlap
from repro.project.environment_yml import EnvironmentFile, read_environment
from repro.project.interpreter import Asked, Interpreter, choose, choose_suite, of_image
from repro.project.judging import output_path
from repro.project.match_spec import spec_name
from repro.project.pip_inputs import Collected, PipInputs, collect_requirements
from repro.project.pyproject import NAME as PYPROJECT
from repro.project.pyproject import Pyproject, read_pyproject

_TOOL = ("tool", "repro")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A project, and what its user should know about how it was read."""

    project: Project
    notes: tuple[str, ...] = ()


def load_project(folder: Path) -> Loaded:
    """Read the project that `folder` lies in. Writes nothing, starts nothing.

    Raises UsageError naming file, line or key for everything in the project that is not valid,
    LocalError when the disk refuses.
    """
    root = find_root(folder)
    settings, seen = _with_dvc_metrics(root, read_settings(root))
    _check_links(root, settings)
    pyproject = read_pyproject(root) if detect.present(root, PYPROJECT) else None
    conda = _conda(root, settings)
    environment, notes = _environment(root, settings, pyproject, conda)
    project = Project(
        root=root,
        name=_name(root, settings, pyproject, conda),
        config=settings.file,
        environment=environment,
        analysis=settings.analysis,
        metrics=settings.metrics,
        tables=settings.tables,
        sources=_with_vendored(root, settings.sources),
    )
    return Loaded(project=project, notes=(*notes, *seen))


def _with_vendored(root: Path, sources: Sources) -> Sources:
    """Have `vendor/` searched where no other folder is named, and `repro vendor` wrote it."""
    if sources.vendor is not None or not detect.is_vendored(root / VENDOR):
        return sources
    return replace(sources, vendor=VENDOR)


def find_root(folder: Path) -> Path:
    """Return the first folder upwards that is configured, else the folder itself; absolute.

    The search does not go above a version control work tree, nor into a folder that everybody
    may write to: a repro.toml there is somebody else's. Raises UsageError for no folder.
    """
    with local_errors(folder):
        start = folder.resolve()
        if not start.is_dir():
            raise UsageError(f"{folder} is not a folder", hint="name the project's folder")
        for place in (start, *start.parents):
            if place != start and place.stat().st_mode & stat.S_IWOTH:
                break
            if detect.present(place, FILE) or _is_configured(place, start):
                return place
            if (place / ".git").exists():
                break
    return start


def _is_configured(folder: Path, start: Path) -> bool:
    """Whether pyproject.toml has [tool.repro]; a parent's that cannot be read has not."""
    try:
        return _tool_table(folder) is not None
    except (UsageError, LocalError):
        if folder == start:
            raise
        return False


def _tool_table(folder: Path) -> object | None:
    """Read [tool.repro] of pyproject.toml; None when it has none. Raises UsageError."""
    if not detect.present(folder, PYPROJECT):
        return None
    if "repro" not in source.read_text(folder, PYPROJECT, limit=toml.LIMIT):
        return None
    return read_pyproject(folder).table("tool").get("repro")


def read_settings(root: Path) -> Settings:
    """Read repro.toml or [tool.repro]; empty settings when there is neither. Raises UsageError."""
    own = detect.present(root, FILE)
    tool = _tool_table(root)
    if own and tool is not None:
        raise UsageError(
            f"{FILE} and [tool.repro] in {PYPROJECT} both configure this project",
            hint="keep one of the two",
        )
    if own:
        text = source.read_text(root, FILE, limit=toml.LIMIT)
        return parse_settings(toml.parse(text, where=FILE), file=FILE)
    if tool is not None:
        if not isinstance(tool, dict):
            raise UsageError(f"{PYPROJECT}: tool.repro must be a table")
        return parse_settings(tool, file=PYPROJECT, path=_TOOL)
    return Settings()


def _check_links(root: Path, settings: Settings) -> None:
    """Follow every declared path that exists: none may lead out of the project."""
    vendor = settings.sources.vendor
    rows = [("vendor", vendor)] if vendor is not None else []
    if settings.analysis is not None:
        rows += [(f"analysis.data[{i}]", p) for i, p in enumerate(settings.analysis.data)]
        rows += [(f"analysis.outputs[{i}]", p) for i, p in enumerate(settings.analysis.outputs)]
    rows += [(f"metrics.files[{i}]", p) for i, p in enumerate(settings.metrics.files)]
    rows += [(f"tables[{i}].file", table.file) for i, table in enumerate(settings.tables)]
    for key, path in rows:
        source.inside(root, path, settings.where(key))


def _environment(
    root: Path, settings: Settings, pyproject: Pyproject | None, conda: EnvironmentFile | None
) -> tuple[Environment, tuple[str, ...]]:
    collected = _pip(root, settings, pyproject, conda)
    apt_source, apt = _apt(root, settings)
    interpreter = _interpreter(root, settings, pyproject, conda)
    environment = Environment(
        suite=interpreter.suite,
        image=settings.image or "",
        python=interpreter.python,
        conda=conda.conda if conda is not None else None,
        conda_resolver=settings.conda_resolver,
        apt=apt,
        apt_source=apt_source,
        pip=collected.sets,
        resolver=settings.resolver,
        system_site_packages=settings.system_site_packages,
        allow_overlap=settings.allow_overlap,
        as_of=settings.as_of,
        platforms=_platforms(settings, conda),
    )
    notes = [*collected.notes, *(conda.notes if conda is not None else ()), *interpreter.notes]
    if not environment.system_site_packages:
        names = [item.name for item in apt if item.name.startswith("python3-")]
        notes += [
            _unseen(
                apt_source, name, conda=environment.conda is not None and not environment.python
            )
            for name in names
        ]
    return environment, tuple(notes)


def _platforms(settings: Settings, conda: EnvironmentFile | None) -> tuple[str, ...]:
    """Return the platforms to lock: the configuration's, else environment.yml's, else this one."""
    named = conda.conda.platforms if conda is not None and conda.conda is not None else ()
    of_conda = tuple(name for name, subdir in SUBDIRS.items() if subdir in named)
    found = settings.platforms or of_conda or (PLATFORM,)
    known = {platform.name: platform.docker for platform in PLATFORMS}
    if not set(found) <= set(known):
        raise UsageError(
            f"this host is {PLATFORM}, for which nothing is locked",
            hint=f'lock for others: platforms = ["{known["linux-amd64"]}"] under [environment]',
        )
    return found


def _interpreter(
    root: Path, settings: Settings, pyproject: Pyproject | None, conda: EnvironmentFile | None
) -> Interpreter:
    """Choose suite and Python; conda's packages decide the Python unless another is asked for.

    An image has its own.
    """
    python, suite = _asked(settings, "python"), _asked(settings, "suite")
    if settings.image is not None:
        return of_image(python)
    if conda is None or conda.conda is None:
        return choose(python or detect.find_python(root), suite, _requires(pyproject))
    if python is None:
        return choose_suite(suite)
    if any(spec_name(spec) == "python" for spec in conda.conda.specs):
        raise UsageError(
            f"{python.where}: {conda.path} lists python too, and an environment has one",
            hint=f"keep one of the two: the version that {conda.path} asks for is conda's",
        )
    return choose(python, suite, _requires(pyproject))


def _unseen(where: str, name: str, *, conda: bool) -> str:
    if conda:
        return (
            f"{where}: {name} is installed, but conda's Python does not see it: list its Python "
            "package in environment.yml"
        )
    return (
        f"{where}: {name} is installed, but the analysis does not see it: the virtual environment "
        "has pip's packages alone; list it under pip, or set system-site-packages = true"
    )


def _asked(settings: Settings, key: str) -> Asked | None:
    value = {"python": settings.python, "suite": settings.suite}[key]
    if value is None:
        return None
    return Asked(value=value, where=settings.where(f"environment.{key}"))


def _requires(pyproject: Pyproject | None) -> Asked | None:
    value = pyproject.table("project").get("requires-python") if pyproject is not None else None
    if value is None:
        return None
    where = f"{PYPROJECT}: project.requires-python"
    if not isinstance(value, str):
        raise UsageError(f"{where} must be a string")
    return Asked(value=value, where=where)


def _pip(
    root: Path, settings: Settings, pyproject: Pyproject | None, conda: EnvironmentFile | None
) -> Collected:
    chosen = bool(settings.extras or settings.groups)
    unread: str | None = None
    if settings.pip is not None:
        key = settings.where("environment.pip")
        paths = tuple((path, f"{key}[{i}]") for i, path in enumerate(settings.pip))
        notes: tuple[str, ...] = ()
    else:
        found = detect.find_pip(root, pyproject)
        if conda is not None:
            unread, found = found.path, _beside_conda(found, conda)
        paths = ((found.path, found.path),) if found.path is not None else ()
        notes = found.notes
        if chosen and PYPROJECT not in (found.path,):
            paths = (*paths, (PYPROJECT, settings.where("environment.groups")))
            notes = ()
    if chosen and not any(path.rpartition("/")[2] == PYPROJECT for path, _ in paths):
        raise UsageError(
            f"{settings.where('environment.pip')}: extras and groups are those of {PYPROJECT}, "
            "which is not listed",
            hint=f'add "{PYPROJECT}" to pip',
        )
    part = conda.pip if conda is not None else None
    inputs = PipInputs(
        paths=paths,
        parsed=((conda.path, part),) if conda is not None and part is not None else (),
        extras=settings.extras,
        groups=settings.groups,
    )
    collected = collect_requirements(root, inputs)
    if conda is not None and any(item.path == unread for item in collected.sets):
        notes = ()  # environment.yml includes it
    return replace(collected, notes=(*notes, *collected.notes))


def _beside_conda(found: detect.Found, conda: EnvironmentFile) -> detect.Found:
    """An environment.yml names pip's packages itself: another file of them is not read."""
    if found.path is None:
        return detect.Found(path=None)
    both = f'conda = "{conda.path}", pip = ["{found.path}"]'
    said = f"{found.path}: not read, {conda.path} is; to read both: {both}"
    return detect.Found(path=None, notes=(said,))


def _conda(root: Path, settings: Settings) -> EnvironmentFile | None:
    """Read the environment.yml that is configured, else found where pip is not configured."""
    if settings.conda is not None:
        where = settings.where("environment.conda")
        return read_environment(root, settings.conda, where=where)
    if settings.pip is not None:
        return None
    path = detect.find_conda(root)
    return read_environment(root, path) if path is not None else None


def _apt(root: Path, settings: Settings) -> tuple[str, tuple[AptRequest, ...]]:
    if settings.apt is None:
        found = detect.find_apt(root)
        return found if found is not None else (settings.file or FILE, ())
    if isinstance(settings.apt, str):
        where = settings.where("environment.apt")
        return settings.apt, detect.read_apt(root, settings.apt, where)
    assert settings.file is not None
    return settings.file, settings.apt


def _with_dvc_metrics(root: Path, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Take the metrics files of dvc.yaml where the configuration names none."""
    if settings.metrics.files or settings.analysis is None:
        return settings, ()
    files, notes = detect.dvc_metrics(root)
    files = tuple(output_path(path, "dvc.yaml: metrics") for path in files)
    settings = replace(settings, metrics=replace(settings.metrics, files=files))
    refuse_data_overlap(settings)
    return settings, notes


def _name(
    root: Path, settings: Settings, pyproject: Pyproject | None, conda: EnvironmentFile | None
) -> str:
    """Return the configured name, the package's, the conda environment's, or the folder's."""
    own = pyproject.table("project").get("name") if pyproject is not None else None
    if settings.name is not None:
        return python_name(settings.name, settings.where("name"), UsageError)
    if isinstance(own, str):
        return python_name(own, f"{PYPROJECT}: project.name", UsageError)
    named = (conda.name if conda is not None else "", root.name)
    slugs = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in named)
    return next((slug for slug in slugs if slug), "project")
