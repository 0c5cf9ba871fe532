"""What is torn and what is held after a command was killed; see `tests.watch` for the rest."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from pathlib import Path

from repro.locks import seal
from repro.project.load import load_project
from repro.workflows.baselines import find_baseline
from repro.workflows.lockfiles import lock_state, read_image_record, read_lock
from tests.watch import temporary


def in_sight(project: Path) -> list[Path]:
    """Temporaries where git sees them: outside of `.repro`, which ignores itself."""
    state = project / ".repro"
    return [path for path in temporary(project) if not path.is_relative_to(state)]


def gone(pid: int) -> bool:
    """Whether there is no such process."""
    return not Path(f"/proc/{pid}").exists()


def held_locks(*folders: Path) -> list[Path]:
    """Lock files that some process holds."""
    held = []
    for path in (p for f in folders for p in (*f.glob("locks/*"), *f.glob("lock"))):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path)
    return held


def torn_objects(store: Path) -> list[str]:
    """What in a store is not what its name says: objects, and layers without their tar."""
    torn = [
        path.name
        for path in store.glob("sha256/??/*")
        if not re.fullmatch(r"[0-9a-f]{64}", path.name) or _digest(path) != path.name
    ]
    for path in store.glob("layers/*"):
        digest = json.loads(path.read_bytes())["digest"].removeprefix("sha256:")
        if not (store / "sha256" / digest[:2] / digest).is_file():
            torn.append(path.name)
    return torn


_known: dict[tuple[int, ...], str] = {}


def _digest(path: Path) -> str:
    """The sha256 of a file, a large one's kept by its stamp: the loops come by a base often."""
    state = path.stat()
    if state.st_size < 1 << 20:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    stamp = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    if stamp not in _known:
        _known[stamp] = hashlib.sha256(path.read_bytes()).hexdigest()
    return _known[stamp]


def require_readable(folder: Path) -> None:
    """Read a project's locks and baseline as a command does; whatever is torn raises."""
    project = load_project(folder).project
    state = lock_state(project)
    if state is not None:
        assert not state.edited, state
        assert not state.stale, state
        read_lock(project.lock_folder, root=project.root)
    else:
        assert not (project.lock_folder / seal.APT_LOCK).exists()
    read_image_record(project)
    find_baseline(project)
