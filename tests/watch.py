"""What every row of FAULTS.md asserts whatever its fault, in one place.

`faulted` wraps a command of which the exit code is known; `watching` wraps anything else (a
terminal, several processes). Both plant secrets where users have them, and afterwards look at
what was said, the project, the store, temporary files, processes and containers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from repro.engines.docker.address import DEFAULT
from repro.locks import seal
from repro.workflows.baselines import read_baseline
from repro.workflows.lockfiles import lock_path
from tests.support import Answer, Cli, assert_refused, test_cache, unquoted

TEMPORARY = ".repro-tmp-"
_MARK = "REPRO_TEST_MARK"
_PLACES = (".netrc", ".config/pip/pip.conf", ".pip/pip.conf")


def faulted(
    cli: Cli,
    *words: str,
    code: int,
    says: Sequence[str] = (),
    changes: Sequence[str] = (),
    evicts: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> Answer:
    """Run `repro WORDS` over a fault and assert what every row does; return what it said.

    `says` are texts of the message. `changes` are paths of the project (with all below them)
    that may be other than before: those of lock and baseline must be whole again. `evicts` are
    digests of store objects that may be gone afterwards.
    """
    with watching(cli, changes=changes, evicts=evicts) as watch:
        answer = watch.cli(*words, env=env)
        watch.said(answer.out + answer.err)
        assert_refused(answer, code, *says)
    return answer


@dataclass
class Watch:
    """What is watched. `cli` is the command with the secrets in its surroundings."""

    cli: Cli
    secrets: tuple[str, ...]
    mark: str
    temporary: Path
    _said: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """The whole environment for a command that is not started by `cli`."""
        return self.cli.env

    def said(self, text: str) -> None:
        """Add what a command wrote to its terminal."""
        self._said.append(text)

    def assert_nothing_told(self) -> None:
        """No traceback, no secret in what was said."""
        text = "".join(self._said)
        assert "Traceback" not in unquoted(text), text
        assert "bug in repro" not in text, text
        for secret in self.secrets:
            assert secret not in text, f"the secret {secret!r} was said"


@contextmanager
def watching(
    cli: Cli, *, changes: Sequence[str] = (), evicts: Sequence[str] = ()
) -> Iterator[Watch]:
    """Yield the command with planted secrets; at the end assert that all is as it must be.

    Nothing is asserted when the block itself fails: its own error is the one to see.
    """
    canary = f"canary-{uuid.uuid4().hex}"
    folder = Path(tempfile.mkdtemp(prefix="repro-watch-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        temporary = folder / "tmp"
        temporary.mkdir()
        temporary.chmod(0o1777)
        planted = {
            **_home_with(folder / "home", canary),
            "TMPDIR": str(temporary),
            "CANARY_TOKEN": canary,
            _MARK: canary,
        }
        watch = Watch(
            cli=replace(cli, extra={**cli.extra, **planted}, started=[]),
            secrets=(canary, *cli.secrets),
            mark=canary,
            temporary=temporary,
        )
        tree, runs, store = project_tree(cli.folder), _runs(cli.folder), _objects(cli.cache)
        yield watch
        watch.assert_nothing_told()
        _assert_project(cli.folder, tree, runs, changes)
        _assert_store(cli.folder, cli.cache, store, set(evicts))
        assert_nothing_left(watch)
        _assert_no_secret(watch, tree, store)
    finally:
        shutil.rmtree(folder)


# --------------------------------------------------------------------- secrets


def _home_with(home: Path, canary: str) -> dict[str, str]:
    """Make a home with the user's own files in it, and a secret in each that may hold one."""
    real = Path.home()
    for place in _PLACES:
        path = home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        own = (real / place).read_text() if (real / place).is_file() else ""
        more = f"machine canary.example.org login canary password {canary}\n"
        if place.endswith("pip.conf"):
            more = f"[canary]\nextra-index-url = https://canary:{canary}@example.org/simple\n"
        path.write_text(f"{own.rstrip()}\n{more}" if own else more)
        path.chmod(0o600)
    for folder in (home, home / ".config"):
        below = real / folder.relative_to(home)
        for entry in below.iterdir() if below.is_dir() else ():
            if not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return {"HOME": str(home)}


def _assert_no_secret(watch: Watch, tree: dict[str, str], store: dict[str, _Stamp]) -> None:
    """No secret in any file that is new or changed, artifacts and layers among them."""
    folder, cache = watch.cli.folder, watch.cli.cache
    fresh = [folder / name for name, was in project_tree(folder).items() if tree.get(name) != was]
    fresh += (folder / ".repro").rglob("*")
    fresh += [cache / name for name, was in _objects(cache).items() if store.get(name) != was]
    if not _shared(cache):
        seen = ("sha256", "layers", "unpacked")  # what is new there is in already
        fresh += [p for p in cache.rglob("*") if p.relative_to(cache).parts[0] not in seen]
    for path in fresh:
        data = b"" if path.is_symlink() or not path.is_file() else _content(path, cache)
        for secret in watch.secrets:
            assert secret.encode() not in data, f"the secret {secret!r} is in {path}"


# --------------------------------------------------------------- the project


def project_tree(folder: Path) -> dict[str, str]:
    """Every path below the project, `.repro` apart: its mode, and its content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")
        if name.split("/")[0] in (".repro", ".git"):
            continue
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fsencode(path.readlink()).decode(errors="backslashreplace")
        found[name] = f"{status.st_mode:o} {content}"
    return found


def _runs(folder: Path) -> dict[str, str]:
    """The recorded runs: what is recorded once is never written again."""
    runs = folder / ".repro" / "runs"
    return project_tree(runs) if runs.is_dir() and not runs.is_symlink() else {}


def _assert_project(
    folder: Path, before: dict[str, str], runs: dict[str, str], changes: Sequence[str]
) -> None:
    """What may not change is the same; a lock and a baseline that did are whole."""
    after = project_tree(folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    allowed = tuple(path.rstrip("/") for path in changes)
    wrong = [n for n in changed if not any(f"{n}/".startswith(f"{path}/") for path in allowed)]
    assert not wrong, f"the command changed {sorted(wrong)}"
    kept = _runs(folder)
    assert {name: kept.get(name) for name in runs} == runs, "a recorded run was changed"
    if any(name.startswith("lockfiles/") for name in changed):  # conda's lock is all platforms'
        for path in sorted(folder.glob("lockfiles/*/")):
            _assert_whole_lock(path)
    for name in {name.split("/")[1] for name in changed if name.startswith("baseline/")}:
        assert read_baseline(folder / "baseline" / name, where=name) is not None


def _assert_whole_lock(folder: Path) -> None:
    """The lock fits its seal: not half of one and half of another."""
    sealed = seal.parse((folder / seal.SEAL).read_bytes(), where=seal.SEAL)
    for name, digest in sealed.locks:
        data = lock_path(folder, name).read_bytes()
        assert seal.digest(data) == digest, f"{name} is torn"


# ----------------------------------------------------------------- the store

_Stamp = tuple[int, int, int]


def _objects(cache: Path) -> dict[str, _Stamp]:
    """Every artifact and layer record: inode, size and time of change."""
    found = {}
    for top in ("sha256", "layers"):
        for path in sorted((cache / top).rglob("*")):
            with suppress(FileNotFoundError):  # another test's, that is gone again
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode) and TEMPORARY not in path.name:
                    name = path.relative_to(cache).as_posix()
                    found[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _assert_store(folder: Path, cache: Path, before: dict[str, _Stamp], evicts: set[str]) -> None:
    """No object is lost; every new one is what its name says; every new layer is there."""
    after = _objects(cache)
    gone = {name for name in before.keys() - after.keys() if Path(name).name not in evicts}
    if _shared(cache):  # of what other tests put there and take away, nothing is known
        locks = b"".join(
            path.read_bytes() for path in folder.glob("lockfiles/**/*") if path.is_file()
        )
        gone = {name for name in gone if Path(name).name.encode() in locks}
    assert not gone, f"the store lost {sorted(gone)}"
    for name, stamp in after.items():
        if before.get(name) == stamp:
            continue
        path = cache / name
        data = _content(path, cache)
        if name.startswith("sha256/"):
            digest = hashlib.sha256(data).hexdigest()
            assert path.name == digest or not path.exists(), f"{path} holds {digest}"
        else:
            layer = json.loads(data or b'{"digest": ""}')["digest"].removeprefix("sha256:")
            there = (cache / "sha256" / layer[:2] / layer).is_file()
            assert there or not path.exists(), f"{path} names no object"


def _content(path: Path, cache: Path) -> bytes:
    """The bytes of a file; none where another test, which uses the same store, took it away."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if not _shared(cache):
            raise
        return b""


# ------------------------------------------------------------- left behind


def assert_nothing_left(watch: Watch) -> None:
    """No temporary file, no process and no container of the command is there any more."""
    folder, cache = watch.cli.folder, watch.cli.cache
    assert list(watch.temporary.iterdir()) == [], "files in TMPDIR"
    assert temporary(folder) == []
    scratch = folder / ".repro" / "tmp"
    assert not scratch.is_dir() or list(scratch.iterdir()) == []
    assert processes_with(watch.mark) == [], "a process of the command lives on"
    assert processes_over(folder) == []
    assert containers_over(folder) == []
    assert groups_of(watch.cli.started) == [], "a control group of a command that has ended"
    if not _shared(cache):
        assert temporary(cache) == []
    else:  # those that nobody holds, now and a moment later, when no other command works there
        dead = {path for path in temporary(cache) if is_abandoned(path)}
        if dead:
            time.sleep(1)
        assert _in_use(cache) or not [path for path in dead if is_abandoned(path)], dead


def temporary(folder: Path) -> list[Path]:
    """Half-written files and scratch folders below `folder`."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        found += [Path(parent) / name for name in (*folders, *files) if TEMPORARY in name]
        if "unpacked" in folders:  # whole trees, moved there when they are complete
            folders.remove("unpacked")
            inside = Path(parent) / "unpacked"
            found += [path for path in inside.iterdir() if TEMPORARY in path.name]
    return found


def _processes(file: str, holds: Callable[[bytes], bool]) -> list[str]:
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            if holds(path.read_bytes()):
                found.append(path.parent.name)
    return found


def processes_with(mark: str) -> list[str]:
    """Processes that inherited the mark in their environment."""
    return _processes("environ", lambda data: mark.encode() in data)


def processes_over(folder: Path) -> list[str]:
    """Processes in whose file system something of `folder` is mounted."""
    places = [os.fsencode(f"{path}/") for path in (folder, _in_its_file_system(folder))]
    return _processes("mountinfo", lambda data: any(place in data for place in places))


def _in_its_file_system(folder: Path) -> Path:
    """The path of a folder from the root of its file system: by that its mounts are named.

    Format: proc(5), mountinfo.
    """
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    roots = {words[4]: words[3] for words in mounts}  # the last one mounted there counts
    at = next(path for path in (folder, *folder.parents) if str(path) in roots)
    return Path(roots[str(at)], folder.relative_to(at))


def containers_over(folder: Path) -> list[str]:
    """Docker's containers, running or not, that hold something of `folder`."""
    if not Path(DEFAULT.removeprefix("unix://")).exists():
        return []
    import docker
    from docker.errors import DockerException

    try:
        with docker.APIClient(base_url=DEFAULT, timeout=30) as client:
            listed = client.containers(all=True)
    except DockerException:  # a socket on which nobody listens
        return []
    return [
        item["Id"]
        for item in listed
        if any(mount.get("Source", "").startswith(f"{folder}/") for mount in item["Mounts"])
    ]


def is_abandoned(path: Path) -> bool:
    """Whether a temporary is there and no process holds its lock (`repro.files`)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def groups_of(processes: Sequence[int]) -> list[Path]:
    """The sandbox's control groups of these commands: their names hold a command's number."""
    groups = Path("/sys/fs/cgroup").glob("**/repro-*-*")
    return [path for path in groups if path.name.split("-")[1] in map(str, processes)]


def _shared(cache: Path) -> bool:
    """Whether other tests use the store too."""
    return cache.is_relative_to(test_cache())


def _in_use(cache: Path) -> bool:
    """Whether another command works in the shared store just now: its files are its own."""
    wanted = f"REPRO_CACHE={cache}".encode()
    return _shared(cache) and bool(_processes("environ", lambda data: wanted in data.split(b"\0")))
