"""What a conda package says of itself: the files below its `info/`.

Formats: conda's `info/index.json`, `info/paths.json` (version 1), `info/link.json`, and the lists
that stood in place of the second: `info/files`, `info/has_prefix`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from repro.ecosystems.archives import HINT, MOST_ENTRIES
from repro.errors import LockError
from repro.locks import names

_MOST_PARTS = 20 * MOST_ENTRIES
"""Members and elements of one JSON text: an entry of paths.json has at most six."""

_ENTRY_POINT = re.compile(
    r"\s*([A-Za-z0-9_][A-Za-z0-9_.+-]*)\s*=\s*(\w+(?:\.\w+)*)\s*:\s*(\w+(?:\.\w+)*)\s*", re.ASCII
)
UNSAID = "unsaid"
"""The kind of a path in a list that says none."""

_KINDS = ("hardlink", "softlink", "directory")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One entry of `paths.json`; `size` and `sha256` are None where it does not say them."""

    path: str
    kind: str
    size: int | None = None
    sha256: str | None = None
    replaced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """A package's own account: `index` is its record as a channel would list it."""

    name: str
    version: str
    build: str
    python: bool
    """Whether it is a noarch package of Python: its files go where the interpreter looks."""
    commands: tuple[str, ...]
    """Names of the entry points that are made when it is installed."""
    paths: tuple[Listed, ...]
    index: Mapping[str, Any] = field(hash=False)


def parse(info: Mapping[str, bytes], where: str) -> Metadata:
    """Return what the files of `info/` say, by path. Raises LockError naming file and value."""
    at = f"{where}: info/index.json"
    index = _object(info, "info/index.json", where)
    noarch = index.get("noarch")
    if noarch not in (None, False, True, "generic", "python"):
        raise _refused(f"{at}: noarch is {names.shown(str(noarch))}")
    folder = index.get("python_site_packages_path")
    if folder is not None:
        names.relative_path(_text(folder, f"{at}: python_site_packages_path"), at)
    return Metadata(
        name=_text(index.get("name"), f"{at}: name"),
        version=_text(index.get("version"), f"{at}: version"),
        build=_text(index.get("build"), f"{at}: build"),
        python=noarch == "python",
        commands=_commands(info, where) if noarch == "python" else (),
        paths=_paths(info, where) if "info/paths.json" in info else _files(info, where),
        index=index,
    )


def loaded(data: bytes, where: str) -> Any:
    """Read JSON without duplicate keys, of bounded memory. Raises LockError."""
    if sum(data.count(mark) for mark in b'[{,:"') > 4 * _MOST_PARTS:
        raise _refused(f"{where}: holds too many values")
    try:
        return json.loads(data, object_pairs_hook=lambda pairs: _unique(pairs, where))
    except (ValueError, RecursionError) as error:
        raise _refused(f"{where}: is no JSON: {names.said(error)}") from error


def _unique(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _refused(f"{where}: says one thing twice")
    return found


def _paths(info: Mapping[str, bytes], where: str) -> tuple[Listed, ...]:
    at = f"{where}: info/paths.json"
    whole = _object(info, "info/paths.json", where)
    if whole.get("paths_version") != 1:
        raise _refused(f"{at}: paths_version is {names.shown(str(whole.get('paths_version')))}")
    items = whole.get("paths")
    if not isinstance(items, list):
        raise _refused(f"{at}: holds no list of paths")
    found = [_listed(item, f"{at}: paths[{number}]") for number, item in enumerate(items)]
    if len({item.path for item in found}) != len(found):
        raise _refused(f"{at}: lists one path twice")
    return tuple(found)


def _listed(item: object, at: str) -> Listed:
    if not isinstance(item, dict):
        raise _refused(f"{at}: is no object")
    path = names.relative_path(_text(item.get("_path"), f"{at}._path"), at)
    kind = item.get("path_type", "hardlink")
    if kind not in _KINDS:
        raise _refused(f"{at}: {names.shown(path)} is a {names.shown(str(kind))}")
    size, sha256 = item.get("size_in_bytes"), item.get("sha256")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
        raise _refused(f"{at}.size_in_bytes: is no number")
    placeholder, mode = item.get("prefix_placeholder"), item.get("file_mode")
    if placeholder is not None:
        _check_placeholder(placeholder, mode, f"{at}: {names.shown(path)}")
    return Listed(
        path=path,
        kind=kind,
        size=size,
        sha256=names.sha256(_text(sha256, f"{at}.sha256"), at) if sha256 is not None else None,
        replaced=placeholder is not None,
    )


def _check_placeholder(text: object, mode: object, at: str) -> None:
    """Refuse a placeholder that is no path of a prefix, or a way to replace it that is none."""
    if mode not in ("text", "binary"):
        raise _refused(f"{at}: file_mode is {names.shown(str(mode))}")
    if not isinstance(text, str) or len(text) < 2 or not re.fullmatch(r"[!-~]+", text):
        raise _refused(f"{at}: prefix_placeholder is {names.shown(str(text))}")


def _files(info: Mapping[str, bytes], where: str) -> tuple[Listed, ...]:
    """Read the lists of packages from before `paths.json`: names, and where the prefix stands."""
    if "info/files" not in info:
        raise _refused(f"{where}: has neither info/paths.json nor info/files")
    replaced = set()
    for line in _lines(info.get("info/has_prefix", b""), f"{where}: info/has_prefix"):
        try:
            words = shlex.split(line, posix=False)
        except ValueError as error:
            raise _refused(f"{where}: info/has_prefix: {names.said(error)}") from error
        replaced.add((words[-1] if words else line).strip("\"'"))
    paths = _lines(info["info/files"], f"{where}: info/files")
    if len(set(paths)) != len(paths):
        raise _refused(f"{where}: info/files lists one path twice")
    return tuple(
        Listed(
            path=names.relative_path(path, f"{where}: info/files"),
            kind=UNSAID,
            replaced=path in replaced,
        )
        for path in paths
    )


def _lines(data: bytes, at: str) -> list[str]:
    try:
        return [line for line in data.decode().split("\n") if line]
    except UnicodeDecodeError:
        raise _refused(f"{at}: is not UTF-8") from None


def _commands(info: Mapping[str, bytes], where: str) -> tuple[str, ...]:
    """Return the commands of a noarch package of Python, each by the grammar of its entry point."""
    if "info/link.json" not in info:
        return ()
    at = f"{where}: info/link.json"
    noarch = _object(info, "info/link.json", where).get("noarch")
    points = noarch.get("entry_points") if isinstance(noarch, dict) else None
    found = []
    for point in points if isinstance(points, list) else ():
        match = _ENTRY_POINT.fullmatch(_text(point, f"{at}: entry_points"))
        if match is None:
            raise _refused(f"{at}: {names.shown(str(point))} is no `name = module:attribute`")
        found.append(match[1])
    return tuple(found)


def _object(info: Mapping[str, bytes], name: str, where: str) -> dict[str, Any]:
    if name not in info:
        raise _refused(f"{where}: has no {name}")
    found = loaded(info[name], f"{where}: {name}")
    if not isinstance(found, dict):
        raise _refused(f"{where}: {name}: is no object")
    return found


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise _refused(f"{at}: is no text")
    return names.single_line(value, at)


def _refused(why: str) -> LockError:
    return LockError(why, hint=HINT)
