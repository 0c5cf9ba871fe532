"""`conda-lock.yml`: conda's packages of all platforms, in conda-lock's format, version 1.

What is written is accepted by conda-lock (`install`, `render`), and what conda-lock wrote is read.
Schema: https://github.com/conda/conda-lock, `conda_lock/lockfile/v1/models.py`.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from repro.errors import LockError, UsageError
from repro.locks import conda_names, names, yaml
from repro.models.lock import CondaPackage
from repro.models.project import CondaRequest

HINT = "restore it from version control, or run: repro snapshot"

_HEAD = """\
# conda packages by content, written by repro snapshot in the format of conda-lock.
# It can be installed without repro: conda-lock install -n NAME conda-lock.yml
"""
_TOP = ("version", "metadata", "package")
_PACKAGE = (
    "name", "version", "manager", "platform", "dependencies", "url", "hash", "source", "build",
    "category", "optional",
)  # fmt: skip
_PRINTABLE = re.compile(r"[ -~]*")
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaPip:
    """A Python distribution that conda-lock has pip install; `category` as in `CondaLock`."""

    name: str
    version: str
    address: str
    sha256: str
    category: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaLock:
    """A whole conda-lock.yml. Platforms have conda's names (`linux-64`) and are sorted.

    `packages` are the conda packages of each platform, by name; `channels` names or addresses in
    order of priority, without credentials; `content_hash` says for each platform what was locked.
    `pip` and `categories`, those besides `main`, are found only in what conda-lock wrote.
    """

    channels: tuple[str, ...]
    packages: tuple[tuple[str, tuple[CondaPackage, ...]], ...]
    content_hash: tuple[tuple[str, str], ...] = ()
    sources: tuple[str, ...] = ()
    pip: tuple[tuple[str, tuple[CondaPip, ...]], ...] = ()
    categories: tuple[str, ...] = ()

    def of(self, platform: str) -> tuple[CondaPackage, ...]:
        """Return the packages of a platform by either name; none where it is not locked."""
        return dict(self.packages).get(conda_names.SUBDIRS.get(platform, platform), ())


def make(request: CondaRequest, packages: Mapping[str, Iterable[CondaPackage]]) -> CondaLock:
    """Join what was resolved for each platform (by either name) with what was asked for."""
    found = {conda_names.SUBDIRS.get(key, key): tuple(value) for key, value in packages.items()}
    asked = json.dumps([request.channels, sorted(request.specs)], separators=(",", ":"))
    return CondaLock(
        channels=request.channels,
        packages=tuple((key, tuple(sorted(found[key], key=_order))) for key in sorted(found)),
        content_hash=tuple(
            (key, hashlib.sha256(f"{key} {asked}".encode()).hexdigest()) for key in sorted(found)
        ),
        sources=(posixpath.join("..", request.path),),
    )


def _order(package: CondaPackage) -> str:
    return package.name


def canonical_depends(depends: Iterable[str]) -> tuple[str, ...]:
    """Return match specifications as a lock holds them: one a name, sorted, constraints joined."""
    found: dict[str, list[str]] = {}
    for text in depends:
        name, _, constraint = " ".join(text.split()).partition(" ")
        found.setdefault(name, [])
        if constraint and constraint != "*":
            found[name].append(constraint)
    return tuple(f"{name} {','.join(found[name])}".strip() for name in sorted(found))


def render(lock: CondaLock) -> str:
    """Write a lock: the same one is the same text. Only conda's packages are written."""
    lines = [_HEAD + "version: 1", "metadata:"]
    lines += ["  content_hash:" if lock.content_hash else "  content_hash: {}"]
    lines += [f"    {platform}: {_quoted(text)}" for platform, text in lock.content_hash]
    lines += ["  channels:" if lock.channels else "  channels: []"]
    for channel in lock.channels:
        lines += [f"  - url: {_quoted(channel)}", "    used_env_vars: []"]
    lines += ["  platforms:" if lock.packages else "  platforms: []"]
    lines += [f"  - {platform}" for platform, _ in lock.packages]
    lines += ["  sources:" if lock.sources else "  sources: []"]
    lines += [f"  - {_quoted(path)}" for path in lock.sources]
    rows = [(one.name, platform, one) for platform, found in lock.packages for one in found]
    lines += ["package:" if rows else "package: []"]
    for _, platform, package in sorted(rows, key=lambda row: row[:2]):
        lines += _entry(package, platform)
    return "\n".join(lines) + "\n"


def _entry(package: CondaPackage, platform: str) -> list[str]:
    pairs = [text.partition(" ") for text in canonical_depends(package.depends)]
    return [
        f"- name: {_quoted(package.name)}",
        f"  version: {_quoted(package.version)}",
        "  manager: conda",
        f"  platform: {platform}",
        "  dependencies:" if pairs else "  dependencies: {}",
        *(f"    {_quoted(name)}: {_quoted(constraint)}" for name, _, constraint in pairs),
        f"  url: {_quoted(package.address)}",
        "  hash:",
        f"    md5: {_quoted(package.md5)}",
        f"    sha256: {_quoted(package.sha256)}",
        "  category: main",
        "  optional: false",
    ]


def _quoted(text: str) -> str:
    """Write a YAML scalar that no reader takes for a number, a date or a truth value."""
    return "'" + text.replace("'", "''") + "'"


def parse(text: str, *, where: str, foreign: bool = False) -> CondaLock:
    """Read a conda-lock.yml of ours, or one that conda-lock wrote (`foreign`).

    Ours holds neither packages of pip nor categories. Raises LockError naming `where` and the
    entry: another version or format, an unknown key, no sha256, an address that is none, a
    package twice. Credentials in addresses are cut out.
    """
    top = _document(text, where)
    metadata = _Entry(f"{where}: metadata", _mapping(top.get("metadata", ""), where, "metadata"))
    platforms = [
        conda_names.subdir(name, f"{where}: metadata.platforms")
        for name in metadata.texts("platforms")
    ]
    reading = _Reading(platforms)
    for number, item in enumerate(_list(top.get("package", ""), where, "package")):
        values = _mapping(item, where, f"package[{number}]")
        name = values.get("name")
        said = f" {names.shown(name)}" if isinstance(name, str) else ""
        reading.take(_Entry(f"{where}: package[{number}]{said}", values))
    if not foreign and (reading.categories or any(reading.pip.values())):
        raise LockError(
            f"{where}: holds packages of pip, or categories besides main, which no lock of repro's "
            "does",
            hint="to take over what conda-lock wrote, copy it elsewhere and run: repro snapshot "
            "--adopt FILE",
        )
    hashes = _mapping(metadata.values.get("content_hash", {}), where, "metadata.content_hash")
    return CondaLock(
        channels=_channels(metadata, where),
        packages=tuple((key, tuple(reading.conda[key].values())) for key in sorted(platforms)),
        content_hash=tuple(
            (key, _line(hashes[key], f"{where}: metadata.content_hash")) for key in sorted(hashes)
        ),
        sources=tuple(metadata.texts("sources")),
        pip=tuple((key, tuple(reading.pip[key])) for key in sorted(platforms) if reading.pip[key]),
        categories=tuple(sorted(reading.categories)),
    )


def _document(text: str, where: str) -> dict[str, yaml.Value]:
    try:
        value = yaml.parse(text, where=where, bounds=yaml.LOCK)
    except UsageError as error:
        raise LockError(error.message, hint=HINT) from None
    top = _mapping(value, where, "")
    version = top.get("version", "")
    if version != "1":
        said = names.shown(version) if isinstance(version, str) and version else "missing"
        raise LockError(f"{where}: version is {said}, and must be 1", hint=HINT)
    if unknown := sorted(top.keys() - set(_TOP)):
        raise LockError(f"{where}: {names.shown(unknown[0])}: unknown key", hint=HINT)
    return top


def _mapping(value: yaml.Value, where: str, what: str) -> dict[str, yaml.Value]:
    if not isinstance(value, dict):
        raise LockError(f"{where}: {what or 'it'} is no mapping", hint=HINT)
    return value


def _list(value: yaml.Value, where: str, what: str) -> list[yaml.Value]:
    if not isinstance(value, list):
        raise LockError(f"{where}: {what} is no list", hint=HINT)
    return value


def _line(value: yaml.Value, where: str) -> str:
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise LockError(f"{where}: not a line of plain text", hint=HINT)
    return value


def _channels(metadata: _Entry, where: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for number, item in enumerate(_list(metadata.values.get("channels", ""), where, "channels")):
        place = f"{where}: metadata.channels[{number}]"
        value = item if isinstance(item, str) else _mapping(item, place, "it").get("url", "")
        text = _line(value, place)
        if "://" in text:
            text = conda_names.without_credential(text)
        found[conda_names.channel(text, place)] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A mapping of the file; getters raise LockError naming it."""

    where: str
    values: Mapping[str, yaml.Value]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if value is None:
            raise LockError(f"{self.where}: {key} is missing", hint=HINT)
        return _line(value, f"{self.where}: {key}")

    def texts(self, key: str) -> list[str]:
        where = f"{self.where}: {key}"
        found = [_line(item, where) for item in _list(self.values.get(key, ""), self.where, key)]
        if len(set(found)) < len(found):
            raise LockError(f"{self.where}: {key} lists one twice", hint=HINT)
        return found


class _Reading:
    """What is collected of the list of packages, by platform."""

    def __init__(self, platforms: Sequence[str]) -> None:
        self.conda: dict[str, dict[str, CondaPackage]] = {key: {} for key in platforms}
        self.pip: dict[str, list[CondaPip]] = {key: [] for key in platforms}
        self.categories: set[str] = set()

    def take(self, entry: _Entry) -> None:
        """Keep one entry. A package of another category than main is named, and not kept."""
        if unknown := sorted(entry.values.keys() - set(_PACKAGE)):
            raise LockError(f"{entry.where}: {names.shown(unknown[0])}: unknown key", hint=HINT)
        platform, manager = entry.text("platform"), entry.text("manager")
        if platform not in self.conda:
            raise LockError(
                f"{entry.where}: the platform {names.shown(platform)} is not one of the file's",
                hint=HINT,
            )
        category = entry.text("category", "main")
        if manager == "pip":
            self.pip[platform].append(_pip(entry, category))
        elif manager != "conda":
            raise LockError(f"{entry.where}: the manager is neither conda nor pip", hint=HINT)
        elif category != "main":
            self.categories.add(category)
        else:
            found = _package(entry, platform)
            if self.conda[platform].setdefault(found.name, found) is not found:
                raise LockError(f"{entry.where}: is there twice for {platform}", hint=HINT)


def _hashes(entry: _Entry) -> tuple[str, str]:
    """The sha256 and the md5, "" where there is none of the latter."""
    hashes = _mapping(entry.values.get("hash", {}), entry.where, "hash")
    md5 = _line(hashes.get("md5", ""), f"{entry.where}: md5")
    if not hashes.get("sha256"):
        said = "only an md5, which others can make too" if md5 else "no hash"
        raise LockError(f"{entry.where}: has {said}: its sha256 is missing", hint=HINT)
    if md5 and not _MD5.fullmatch(md5):
        raise LockError(f"{entry.where}: {names.shown(md5)} is not an md5", hint=HINT)
    return names.sha256(_line(hashes["sha256"], entry.where), entry.where), md5


def _package(entry: _Entry, platform: str) -> CondaPackage:
    address = conda_names.without_credential(entry.text("url"))
    above, _, filename = address.rpartition("/")
    channel, _, subdir = above.rpartition("/")
    sha256, md5 = _hashes(entry)
    name = conda_names.package_name(entry.text("name"), entry.where)
    version = conda_names.package_version(entry.text("version"), entry.where)
    found = conda_names.archive_name(unquote(filename), entry.where)
    if found[:2] != (name, version) or entry.text("build", found[2]) != found[2]:
        raise LockError(
            f"{entry.where}: is {names.shown(f'{name} {version}')}, and its address that of "
            f"{names.shown(filename)}",
            hint=HINT,
        )
    if subdir not in (platform, "noarch"):
        raise LockError(
            f"{entry.where}: is for {platform}, and its address for {names.shown(subdir)}",
            hint=HINT,
        )
    dependencies = _mapping(entry.values.get("dependencies", {}), entry.where, "dependencies")
    depends = [f"{key} {_line(value, entry.where)}" for key, value in dependencies.items()]
    return CondaPackage(
        name=name,
        version=version,
        build=found[2],
        subdir=subdir,
        channel=conda_names.address(channel, f"{entry.where}: the channel"),
        filename=names.file_name(filename, entry.where),
        sha256=sha256,
        md5=md5,
        depends=canonical_depends(_line(text, entry.where) for text in depends),
    )


def _pip(entry: _Entry, category: str) -> CondaPip:
    return CondaPip(
        name=names.python_name(entry.text("name"), entry.where),
        version=names.python_version(entry.text("version"), entry.where),
        address=conda_names.without_credential(entry.text("url")),
        sha256=_hashes(entry)[0],
        category=category,
    )
