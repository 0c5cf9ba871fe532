"""Looking around in an unconfigured project: what its scripts seem to read and to write.

Guesses for a proposal that a person reads before it counts; nothing here decides a result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repro.errors import ReproError, UsageError
from repro.project import source
from repro.project.judging import output_path

FILES = 5000
DEPTH = 4
SCRIPTS = 200
_SCRIPT_LIMIT = 256 << 10

DATA_FOLDERS = ("data", "input", "inputs", "raw", "dataset", "datasets")
OUTPUT_FOLDERS = ("out", "output", "outputs", "results", "figures", "plots", "reports")
_SKIPPED = frozenset(
    {"lockfiles", "baseline", "binder", "node_modules", "venv", "env", "__pycache__"}
)
_NOT_ANALYSIS = re.compile(
    r"(setup|conftest|noxfile|tasks|fabfile|__init__|__main__|test_.*|.*_test)\.py"
)
_DATA = (r"csv|tsv|parquet|feather|arrow|jsonl|ndjson|json|xlsx?|h5|hdf5|npy|npz|sqlite3?|db|dta|"
         r"sav|sas7bdat|geojson|shp|gz|zip|pkl|pickle|txt")  # fmt: skip
_DATA_FILE = re.compile(
    r".+\.(csv|tsv|parquet|feather|arrow|jsonl|ndjson|xlsx?|h5|hdf5|npy|npz|sqlite3?|dta|sav)"
)
_OUTPUT = rf"{_DATA}|ya?ml|toml|png|svg|pdf|html|md|joblib|model"
METRICS_FILE = re.compile(
    r"(?:.*[-_.])?(?:metrics?|scores?|results?)\.(?:json|ya?ml|toml|csv)", re.IGNORECASE
)
_LITERAL = re.compile(
    rf"""(?P<joined>/\s*)?(?P<quote>["'])(?P<path>[\w./ -]{{1,120}}\.(?:{_OUTPUT}))(?P=quote)"""
)
_FOLDER = re.compile(
    rf"""["'](?:\./)?(?P<name>{"|".join(OUTPUT_FOLDERS)})(?:/[^"'\n]{{0,120}})?["']"""
)
# The call that a literal stands in, and what follows the literal: `to_csv("x.csv"`,
# `open("x.json", "w"`, `Path("x.json").write_text(`.
_CALL = re.compile(r"(\w+)\((?:[^()'\"]*,)?\s*$")
_WRITING_CALL = re.compile(r"to_\w+|save\w*|write\w*|dump")
_WRITING_AFTER = re.compile(
    r"""\s*,\s*(?:mode\s*=\s*)?["'][wax][bt+]*["']|\)\.(?:write\w*\(|open\(\s*["'][wax])"""
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What was seen; all paths relative, sorted. `written` ends folders with `/`."""

    scripts: tuple[str, ...]
    data: tuple[str, ...]
    written: tuple[str, ...]
    metrics: tuple[str, ...]


def scan(root: Path, known_metrics: tuple[str, ...] = ()) -> Scan:
    """Look at the first files of a project and at the text of its scripts. Starts nothing."""
    files = sorted(_files(root))
    scripts = tuple(path for path in files if _is_script(path))
    modules = [path for path in files if path.endswith(".py")][:SCRIPTS]
    written, joined = _written(root, modules)
    outputs = _existing_folders(files, OUTPUT_FOLDERS) | written
    metrics = _metrics(files, outputs, joined, known_metrics)
    outputs |= {path for path in metrics if not _below(path, outputs)}
    outputs = {path for path in outputs if not _below(path, outputs - {path})}
    return Scan(
        scripts=scripts,
        data=tuple(sorted(_data(files, outputs))),
        written=tuple(sorted(outputs)),
        metrics=tuple(sorted(metrics)),
    )


def _files(root: Path) -> Iterator[str]:
    """Yield the relative paths of at most FILES files that a configuration could name."""
    count = 0
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and len(here.parts) < DEPTH
            and not (Path(folder) / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            path = (here / name).as_posix()
            if name.startswith(".") or not may_be_named(path) or _leads_out(root, path):
                continue
            count += 1
            if count > FILES:
                return
            yield path


def may_be_named(path: str) -> bool:
    """Whether a configuration may declare that path as an output."""
    try:
        output_path(path, path)
    except UsageError:
        return False
    return True


def _leads_out(root: Path, path: str) -> bool:
    if not (root / path).is_symlink():
        return False
    try:
        source.inside(root, path, path)
    except UsageError:
        return True
    return False


def _is_script(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder in ("", "scripts") and name.endswith(".py") and not _NOT_ANALYSIS.fullmatch(name)


def _written(root: Path, modules: list[str]) -> tuple[set[str], set[str]]:
    """Find paths that scripts write, and file names that they join to some folder."""
    written: set[str] = set()
    joined: set[str] = set()
    for path in modules:
        for line in _lines(root, path):
            for found in _FOLDER.finditer(line):
                written.add(found["name"] + "/")
            for found in _LITERAL.finditer(line):
                name = found["path"].removeprefix("./")
                if found["joined"]:
                    joined.add(name)
                elif _is_written(line, found) and may_be_named(name):
                    written.add(name)
    return written, joined


def _is_written(line: str, literal: re.Match[str]) -> bool:
    call = _CALL.search(line, max(0, literal.start() - 120), literal.start())
    if call is not None and _WRITING_CALL.fullmatch(call[1]):
        return True
    return _WRITING_AFTER.match(line, literal.end()) is not None


def _lines(root: Path, path: str) -> list[str]:
    try:
        data = source.read_bytes(root, path, where=path, limit=_SCRIPT_LIMIT)
    except ReproError:  # a script that cannot be read gives no hints, and the run will tell
        return []
    return [line for line in data.decode(errors="replace").split("\n") if len(line) < 2000]


def _existing_folders(files: list[str], names: tuple[str, ...]) -> set[str]:
    tops = {path.partition("/")[0] for path in files if "/" in path}
    return {f"{name}/" for name in names if name in tops}


def _metrics(
    files: list[str], outputs: set[str], joined: set[str], known: tuple[str, ...]
) -> set[str]:
    """Name the metrics files: dvc.yaml's, else written ones, else existing ones, by their names."""
    if known:
        return set(known)
    found = {path for path in outputs if METRICS_FILE.fullmatch(path.rpartition("/")[2])}
    folders = [path for path in outputs if path.endswith("/")]
    if len(folders) == 1:
        found |= {folders[0] + name for name in joined
                  if METRICS_FILE.fullmatch(name) and "/" not in name}  # fmt: skip
    if found:
        return found
    return {
        path
        for path in files
        if METRICS_FILE.fullmatch(path.rpartition("/")[2])
        and path.partition("/")[0] not in DATA_FOLDERS
    }


def _data(files: list[str], outputs: set[str]) -> set[str]:
    """Name data folders whole, or their members where a run writes beside them; data files else."""
    found: set[str] = set()
    for folder in _existing_folders(files, DATA_FOLDERS):
        if not any(path.startswith(folder) for path in outputs):
            found.add(folder)
            continue
        for path in (path for path in files if path.startswith(folder)):
            part = path.removeprefix(folder).partition("/")
            child = folder + part[0] + part[1]
            if not any(child.startswith(o) or o.startswith(child) for o in outputs):
                found.add(child)
    for path in files:
        if _DATA_FILE.fullmatch(path) and not _below(path, outputs | found):
            found.add(path)
    return found


def _below(path: str, others: set[str]) -> bool:
    return any(
        path == other or (other.endswith("/") and path.startswith(other)) for other in others
    )
