"""What a project has where its configuration is silent. Never reads `lockfiles/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from repro.errors import UsageError
from repro.files import local_errors, open_regular
from repro.locks import yaml
from repro.locks.names import shown
from repro.models.measurement import METRICS_SUFFIXES
from repro.models.project import VENDOR_MANIFEST, VENDOR_MARK, AptRequest
from repro.project import source
from repro.project.apt import parse_apt_text
from repro.project.environment_yml import NAMES
from repro.project.interpreter import Asked, parse_python_version
from repro.project.pyproject import NAME as PYPROJECT
from repro.project.pyproject import Pyproject

FOLDERS = ("", "binder/", ".binder/")
"""Where input files are looked for, the first that has one wins."""

_APT_LIMIT = 256 << 10
_VERSION_LIMIT = 4 << 10
_PIP = ("requirements.in", "requirements.txt")
_LOCKS = ("uv.lock", "pylock.toml", "pixi.lock", "conda-lock.yml")
_VENVS = (".venv", "venv", "env")
_UNREAD = ("setup.py", "setup.cfg", "Pipfile", "pixi.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The name of an input, and what the user should know about others like it."""

    path: str | None
    notes: tuple[str, ...] = ()


def present(root: Path, path: str) -> bool:
    """Whether there is something at that path; a link that leads nowhere counts."""
    place = root / path
    return place.exists() or place.is_symlink()


def is_vendored(folder: Path) -> bool:
    """Whether `repro vendor` wrote this folder; nothing is a link. Raises LocalError."""
    path = folder / VENDOR_MANIFEST
    if folder.is_symlink() or path.is_symlink() or not path.is_file():
        return False
    with local_errors(path), open_regular(path) as file:
        return file.read(len(VENDOR_MARK)) == VENDOR_MARK


def _first(root: Path, names: tuple[str, ...]) -> str | None:
    places = [folder + name for folder in FOLDERS for name in names]
    return next((path for path in places if present(root, path)), None)


def find_pip(root: Path, pyproject: Pyproject | None) -> Found:
    """Return the requirement file to read: requirements.in, .txt, pyproject.toml, binder/'s."""
    declares = pyproject is not None and pyproject.declares
    for folder in FOLDERS:
        for name in _PIP:
            if present(root, folder + name):
                said = f"{PYPROJECT}: its dependencies are not read, {folder + name} is; "
                both = f'{said}to read both: pip = ["{folder + name}", "{PYPROJECT}"]'
                return Found(path=folder + name, notes=(both,) if declares else ())
        if declares and not folder:
            return Found(path=PYPROJECT)
    return Found(path=None, notes=tuple(_unread(root, pyproject)))


def _unread(root: Path, pyproject: Pyproject | None) -> list[str]:
    """Name what holds dependencies in a form that is not read, so that none is lost silently."""
    found = [name for name in _UNREAD if present(root, name)]
    if pyproject is not None:
        if pyproject.dynamic:
            found.append(f"{PYPROJECT} (dynamic dependencies)")
        tools = pyproject.table("tool")
        found += [f"{PYPROJECT} [tool.{name}]" for name in ("poetry", "pdm") if name in tools]
        if pyproject.table("dependency-groups"):
            found.append(f"{PYPROJECT} [dependency-groups] (choose: groups = [...])")
    return [f"{name}: not read; list what the analysis needs in requirements.in" for name in found]


def read_apt(root: Path, path: str, where: str) -> tuple[AptRequest, ...]:
    """Read an apt.txt that `where` names. Raises UsageError."""
    text = source.read_text(root, path, where=where, limit=_APT_LIMIT)
    return parse_apt_text(text, where=path)


def find_apt(root: Path) -> tuple[str, tuple[AptRequest, ...]] | None:
    """Read apt.txt where there is one: (path, packages). Raises UsageError."""
    path = _first(root, ("apt.txt",))
    if path is None:
        return None
    return path, read_apt(root, path, path)


def find_python(root: Path) -> Asked | None:
    """Read `.python-version` or `runtime.txt` where there is one. Raises UsageError."""
    path = _first(root, (".python-version", "runtime.txt"))
    if path is None:
        return None
    return parse_python_version(source.read_text(root, path, limit=_VERSION_LIMIT), path)


def find_conda(root: Path) -> str | None:
    """Return the environment.yml to read, where there is one."""
    return _first(root, NAMES)


def lockable_as_is(root: Path, *, has_inputs: bool) -> tuple[str, ...]:
    """Say which pins are there that nobody reads unasked, and how each is locked as it is.

    Those are other tools' locks; without inputs also a virtual environment.
    """
    locks = [name for name in _LOCKS if (root / name).is_file()]
    venvs = [name for name in _VENVS if (root / name / "pyvenv.cfg").is_file()]
    return (
        *(f"to keep the pins of {name}: repro snapshot --adopt {name}" for name in locks),
        *(
            f"to lock what is installed in {name}: repro snapshot --from venv:{name}"
            for name in venvs[: 0 if has_inputs else 1]
        ),
    )


def dvc_metrics(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the metrics files that dvc.yaml declares: (paths, notes). Raises UsageError.

    Both forms count: top level `metrics:`, and `metrics:` of each stage (below its `wdir`).
    """
    if not present(root, "dvc.yaml"):
        return (), ()
    text = source.read_text(root, "dvc.yaml", limit=yaml.LIMIT)
    value = yaml.parse(text, where="dvc.yaml")
    if not isinstance(value, dict):
        return (), ()
    rows = [("", item) for item in _items(value.get("metrics"))]
    stages = value.get("stages")
    for stage in stages.values() if isinstance(stages, dict) else ():
        if isinstance(stage, Mapping):
            folder = stage.get("wdir")
            prefix = f"{folder}/" if isinstance(folder, str) and folder not in ("", ".") else ""
            rows += [(prefix, item) for item in _items(stage.get("metrics"))]
    files: list[str] = []
    notes: list[str] = []
    for prefix, item in rows:
        try:
            path = source.project_path(prefix + item, "dvc.yaml: metrics")
        except UsageError:
            path = ""
        readable = PurePosixPath(path).suffix.lower() in METRICS_SUFFIXES
        if not readable or "${" in path:
            notes.append(f"dvc.yaml: the metrics file {shown(prefix + item)} is not read")
        elif path not in files:
            files.append(path)
    return tuple(files), tuple(notes)


def _items(value: yaml.Value | None) -> list[str]:
    """Read DVC's list of paths: each a string, or a mapping of one path to its options."""
    found: list[str] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            found += list(item)
        elif isinstance(item, str):
            found.append(item)
    return found
