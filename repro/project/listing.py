"""Which files a project has: those that git tracks or does not ignore, else all but caches."""

from __future__ import annotations

import os
from pathlib import Path

from repro import process
from repro.errors import LocalError, UsageError
from repro.files import local_errors, walk

_NEVER = frozenset({".git", ".hg", ".svn", ".repro"})
_CACHES = frozenset(
    {"__pycache__", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".pytest_cache",
     ".ruff_cache", ".ipynb_checkpoints", "node_modules", ".hypothesis"}
)  # fmt: skip


def listed(root: Path) -> list[str]:
    """Return relative POSIX paths of files and links, submodules' and nested repositories' too.

    Outside of a git work tree, and in a folder that the repository around it ignores (a home
    under version control), all but caches and virtual environments. Raises UsageError when git
    fails, LocalError for a folder that cannot be read: what is left out in silence could
    neither be run nor be seen to change.
    """
    names = _git_files(root)
    if names is None:
        return _all_files(root)
    found: dict[str, None] = {}
    for name in _present(root, names):
        path = root / name
        if path.is_dir() and not path.is_symlink():  # a repository of its own: git names it only
            found |= dict.fromkeys(f"{name}/{inner}" for inner in listed(path))
        else:
            found[name] = None
    return list(found)


def git_keeps(folder: Path) -> bool:
    """Whether git would keep the files of a folder itself: not ignored, and not in LFS."""
    if process.which("git") is None:
        return False
    inside = _git(folder, "rev-parse", "--is-inside-work-tree")
    if inside.text.strip() != "true" or not _git(folder, "check-ignore", "-q", ".").code:
        return False
    return ": filter: lfs" not in _git(folder, "check-attr", "filter", "--", "sha256/00/0").text


def _git_files(root: Path) -> list[str] | None:
    """What git lists, each name once (a merge conflict has three); None: it is not git's."""
    if process.which("git") is None:
        return None
    inside = _git(root, "rev-parse", "--is-inside-work-tree")
    if inside.code and b"not a git repository" not in inside.stderr:
        raise _failed(root, inside)
    if inside.text.strip() != "true":
        return None
    done = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if done.code:
        raise _failed(root, done)
    if b"could not open directory" in done.stderr:
        raise LocalError(
            f"{root}: git cannot list all files:\n{done.tail(3)}",
            hint="check that folder's owner and permissions",
        )
    names = os.fsdecode(done.stdout).split("\0")
    found = list(dict.fromkeys(name.rstrip("/") for name in names if name))
    if not found and not _git(root, "check-ignore", "-q", ".").code:
        return None
    return found


def _git(root: Path, *arguments: str) -> process.Done:
    """Ask git about this folder, whoever owns it, and whatever repository a hook is run for.

    No setting of the repository may start a program.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    options = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
    return process.run(
        ["git", *options, "-C", root.absolute(), *arguments], env={**env, "LC_ALL": "C"}
    )


def _failed(root: Path, done: process.Done) -> UsageError:
    return UsageError(
        f"{root}: git cannot list its files: {done.tail(3)}", hint=f"mend it: git -C {root} status"
    )


def _present(root: Path, names: list[str]) -> list[str]:
    """Those that exist, and not behind a link that took the place of a folder."""
    links: dict[str, bool] = {"": False}

    def linked(folder: str) -> bool:
        if folder not in links:
            links[folder] = linked(folder.rpartition("/")[0]) or (root / folder).is_symlink()
        return links[folder]

    with local_errors(root):
        return [name for name in names if not linked(name.rpartition("/")[0]) and _is(root / name)]


def _is(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _all_files(root: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, files in walk(root):
        with local_errors(folder):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _NEVER | _CACHES and not (folder / name / "pyvenv.cfg").exists()
            )
        links = [name for name in folders if (folder / name).is_symlink()]
        for name in (*(name for name in files if name not in _NEVER), *links):
            found.append((folder / name).relative_to(root).as_posix())
    return found
