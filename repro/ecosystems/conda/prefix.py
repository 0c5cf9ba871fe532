"""What a conda prefix will hold: every path, whose it is, and what must be found there."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.ecosystems.conda.archive import Contents, Packed
from repro.ecosystems.conda.bytecode import source_of
from repro.ecosystems.conda.layout import META, PREFIX
from repro.errors import LockError
from repro.locks import names

_RECORDED = (
    "arch", "build", "build_number", "constrains", "depends", "features", "license",
    "license_family", "name", "noarch", "platform", "python_site_packages_path", "subdir",
    "timestamp", "track_features", "version",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """One archive of the job: where it lies, what the lock says of it but for its channel."""

    name: str
    version: str
    build: str
    subdir: str
    filename: str
    sha256: str
    path: str

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"conda {self.name} {self.version}"

    @property
    def record(self) -> str:
        """Name of its record below conda-meta."""
        return f"{self.name}-{self.version}-{self.build}.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacked:
    """An archive, what the guards found in it, and what channels list: md5 (hex), size (bytes)."""

    archive: Archive
    contents: Contents
    md5: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One path of the prefix; `packed` is None for a command that the installation makes.

    `link` is the path in the prefix that a hard link shares, `source` what a file would be the
    bytecode of.
    """

    path: str
    owner: Archive
    packed: Packed | None = None
    link: str = ""
    source: Packed | None = None


def check_identity(package: Unpacked) -> None:
    """Compare what a package says inside with the lock. Raises LockError."""
    archive, inside = package.archive, package.contents.metadata
    said = (inside.name, inside.version, inside.build)
    subdir = inside.index.get("subdir", archive.subdir)
    if (*said, subdir) != (archive.name, archive.version, archive.build, archive.subdir):
        shown = " ".join(names.shown(str(word)) for word in (*said, subdir))
        raise LockError(
            f"{archive.label}: {archive.filename} says inside that it is {shown}",
            hint="the lock and the package disagree; restore the lock, or run: repro snapshot",
        )


def site_packages(packages: Iterable[Unpacked]) -> str | None:
    """Return where the interpreter among the packages looks; None where there is none."""
    for package in packages:
        if package.archive.name == "python":
            said = package.contents.metadata.index.get("python_site_packages_path")
            minor = ".".join(package.archive.version.split(".")[:2])
            return str(said or f"lib/python{minor}/site-packages")
    return None


def targets(package: Unpacked, site: str | None) -> tuple[Target, ...]:
    """Return every path that a package takes, sorted. Raises LockError where Python is missing."""
    archive, contents = package.archive, package.contents
    files = {item.path: item for item in contents.files}
    found = [
        Target(
            path=placed(package, item.path, site),
            owner=archive,
            packed=item,
            link=placed(package, item.link, site) if item.kind == "hardlink" else "",
            source=files.get(source_of(item.path) or ""),
        )
        for item in contents.files
    ]
    found += [
        Target(path=f"bin/{command}", owner=archive) for command in contents.metadata.commands
    ]
    for target in found:
        if target.path == META or target.path.startswith(f"{META}/"):
            raise LockError(
                f"{archive.label}: {archive.filename} writes {names.shown(target.path)}, "
                "which is the prefix's own",
                hint=f"lock another version of {archive.name}",
            )
    return tuple(sorted(found, key=lambda target: target.path))


def placed(package: Unpacked, path: str, site: str | None) -> str:
    """Return where a path of a package lies in the prefix."""
    if package.contents.metadata.python:
        if site is None:
            raise LockError(
                f"{package.archive.label}: needs conda's python, which is not locked",
                hint="add python to environment.yml, then run: repro snapshot",
            )
        for top, real in (("site-packages/", f"{site}/"), ("python-scripts/", "bin/")):
            if path.startswith(top):
                return real + path.removeprefix(top)
    return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """Whose each path is, and what each package has lost to another one: (name, path)."""

    targets: Mapping[str, Target]
    lost: frozenset[tuple[str, str]]
    paths: Mapping[str, frozenset[str]]
    """All that each package would write, by its name."""

    def of(self, archive: Archive) -> frozenset[str]:
        """Return the paths that are as this package has them, its own or another's."""
        whole = self.paths.get(archive.name, frozenset())
        return whole - {path for name, path in self.lost if name == archive.name}


def without_overlap(found: Sequence[Target], allowed: Sequence[str]) -> Owned:
    """Return whose each path is. One file of two packages is both's; of two files the last wins.

    `allowed` are paths or package names: only there may two files differ. Raises LockError naming
    both packages and the path, also where one writes below another's file or link.
    """
    owners: dict[str, Target] = {}
    lost: set[tuple[str, str]] = set()
    for target in found:
        other = owners.get(target.path)
        if other is not None and not _same(other, target):
            if not _is_allowed(target.path, (other.owner, target.owner), allowed):
                raise _clash(other.owner, target.owner, target.path)
            lost.add((other.owner.name, target.path))
        owners[target.path] = target
    for path, target in owners.items():
        parent = posixpath.dirname(path)
        while parent:
            if parent in owners:
                raise _clash(owners[parent].owner, target.owner, parent)
            parent = posixpath.dirname(parent)
    mine: dict[str, set[str]] = {}
    for target in found:
        mine.setdefault(target.owner.name, set()).add(target.path)
    return Owned(
        targets=owners,
        lost=frozenset(lost),
        paths={name: frozenset(paths) for name, paths in mine.items()},
    )


def _same(one: Target, other: Target) -> bool:
    a, b = one.packed, other.packed
    if a is None or b is None or a.replaced or b.replaced:
        return False
    both = (a, b)
    return len({(item.sha256, item.link if item.kind == "symlink" else "") for item in both}) == 1


def _is_allowed(path: str, owners: tuple[Archive, Archive], allowed: Sequence[str]) -> bool:
    whole = f"{PREFIX}/{path}"
    return bool({path, whole, whole[1:], *(owner.name for owner in owners)} & set(allowed))


def _clash(one: Archive, other: Archive, path: str) -> LockError:
    return LockError(
        f"{one.label} and {other.label.removeprefix('conda ')} both write {PREFIX}/{path}, "
        "differently",
        hint="drop one of the two, or say that the later may win: "
        f'[environment] allow-overlap = ["{other.name}"]',
    )


def record(package: Unpacked, written: Mapping[str, Any], digests: Mapping[str, str | None]) -> str:
    """Return a package's record below conda-meta, with nothing of any host.

    No channel: one package of two mirrors is one layer.

    `written` is rattler's own; `digests` are the sha256 (hex) of the paths that are kept as this
    package's, None for a link.
    """
    archive = package.archive
    paths = []
    for item in written["paths_data"]["paths"]:
        path = item.get("original_path") or item["_path"]
        if path not in digests:
            continue  # another package's file is there, and may be
        kept = {key: value for key, value in item.items() if value is not None}
        kept.pop("original_path", None)
        kept.pop("sha256_in_prefix", None)
        kept["_path"] = path
        if (found := digests[path]) is not None and found != kept.get("sha256"):
            kept["sha256_in_prefix"] = found
        paths.append(kept)
    paths.sort(key=lambda item: str(item["_path"]))
    index = package.contents.metadata.index
    whole = {key: index[key] for key in _RECORDED if index.get(key) is not None}
    whole |= {
        "files": [item["_path"] for item in paths],
        "fn": archive.filename,
        "md5": package.md5,
        "paths_data": {"paths": paths, "paths_version": 1},
        "requested_specs": [],
        "sha256": archive.sha256,
        "size": package.size,
        "url": f"file://{PREFIX}/pkgs/{archive.filename}",
    }
    return json.dumps(whole, sort_keys=True) + "\n"
