"""Install conda packages into a staging prefix: a program of its own.

rattler crashes where an interpreter that used it ends, so this one ends before (DESIGN.md §6).
Called with a job, it writes its answer beside it; see `repro.ecosystems.conda.install`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from repro.ecosystems.conda.archive import inspect
from repro.ecosystems.conda.bytecode import renewed
from repro.ecosystems.conda.layout import META, PREFIX
from repro.ecosystems.conda.prefix import (
    Archive,
    Owned,
    Target,
    Unpacked,
    check_identity,
    placed,
    record,
    site_packages,
    targets,
    without_overlap,
)
from repro.errors import LocalError, LockError, ReproError
from repro.files import digest_file, make_folder, replacing, walk, write_atomic
from repro.locks import names

_OWN = {f"{META}/history", "CACHEDIR.TAG"}
"""What rattler writes beside packages' files."""


def main(job: Path) -> None:
    """Do the job; write the answer."""
    folder = job.parent
    asked = json.loads(job.read_bytes())
    try:
        answer = _installed(asked, folder)
    except ReproError as error:
        answer = {
            "error": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
        }
    write_atomic(folder / "answer.json", json.dumps(answer).encode())


def _installed(asked: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    packages = [_inspected(Archive(**item)) for item in asked["packages"]]
    site = site_packages(packages)
    found = [target for package in packages for target in targets(package, site)]
    owned = without_overlap(found, asked["allow_overlap"])
    stage = folder / "prefix"
    asyncio.run(_install(packages, stage, folder))
    entries = _Staged(folder=folder, packages=packages, owned=owned).entries()
    entries += [[path, "dir", 0o755, 0, ""] for path in _folders(packages, site)]
    return {"entries": entries, "notes": [note for one in packages for note in _notes(one)]}


def _inspected(archive: Archive) -> Unpacked:
    path = Path(archive.path)
    contents = inspect(path, archive.filename, f"{archive.label}: {archive.filename}")
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
    found = Unpacked(archive=archive, contents=contents, md5=md5, size=path.stat().st_size)
    check_identity(found)
    return found


def _folders(packages: Sequence[Unpacked], site: str | None) -> list[str]:
    return sorted({placed(one, path, site) for one in packages for path in one.contents.folders})


def _notes(package: Unpacked) -> Iterator[str]:
    """Say what conda would run and an image has not run."""
    label = package.archive.label
    for script in package.contents.scripts:
        yield (
            f"warning: {label}: its script {names.path_shown(script)} is not run: nothing of a "
            "package runs while an image is made; what it would have done is missing"
        )
    for file in package.contents.activation:
        yield (
            f"note: {label}: {names.path_shown(file)} sets variables where an environment is "
            "activated, which an image's is not: what the analysis needs of them belongs into "
            "[analysis] env"
        )


async def _install(packages: Sequence[Unpacked], stage: Path, folder: Path) -> None:
    """Have rattler link the packages. Raises LockError for what it does not take."""
    import rattler

    records = []
    for package in packages:
        archive, index = package.archive, package.contents.metadata.index
        place = folder / "pkgs" / archive.subdir / archive.filename  # its name tells its format
        make_folder(place.parent)
        place.symlink_to(archive.path)
        site = index.get("python_site_packages_path")
        details = rattler.PackageRecord(
            name=archive.name,
            version=archive.version,
            build=rattler.BuildString(archive.build),
            build_number=int(index.get("build_number") or 0),
            subdir=archive.subdir,
            noarch=_noarch(index.get("noarch")),
            sha256=bytes.fromhex(archive.sha256),
            size=package.size,
            python_site_packages_path=site,
        )
        records.append(
            rattler.RepoDataRecord(
                package_record=details,
                file_name=archive.filename,
                url=place.as_uri(),
                channel=place.parent.parent.as_uri(),
            )
        )
    try:
        await rattler.install(
            records,
            target_prefix=stage,
            cache_dir=folder / "cache",
            installed_packages=[],
            execute_link_scripts=False,
            show_progress=False,
            alternative_target_prefix=PREFIX,
        )
    except Exception as error:  # rattler's own classes share no parent
        said = names.said(error)
        if "os error 28" in said or "os error 122" in said:
            raise LocalError(
                f"{stage}: {said}", hint="free some space on that file system"
            ) from error
        raise LockError(
            f"the locked conda packages cannot be installed: {said}",
            hint="lock other versions of them: repro snapshot --upgrade",
        ) from error


def _noarch(said: object) -> Any:
    return {"python": "python", "generic": "generic", True: "generic"}.get(said)


@dataclass(kw_only=True)
class _Staged:
    """A staged prefix: what is there is exactly what the guards found in the packages."""

    folder: Path
    packages: Sequence[Unpacked]
    owned: Owned
    digests: dict[str, str | None] = field(default_factory=dict)
    """sha256 (hex) of every file as it is in the prefix, None for a link."""

    @cached_property
    def stage(self) -> Path:
        """The prefix."""
        return self.folder / "prefix"

    def entries(self) -> list[list[Any]]:
        """Return [path, kind, mode, size, file or link's text] of all. Raises LockError."""
        written = {one.archive.name: self._written(one) for one in self.packages}
        staged = {
            (name, item.get("original_path") or item["_path"]): item["_path"]
            for name, said in written.items()
            for item in said["paths_data"]["paths"]
        }
        self._require_known(set(staged.values()))
        found = []
        for path, target in sorted(self.owned.targets.items()):
            place = staged.get((target.owner.name, path))
            if place is None:
                raise self._wrong(target, "was not installed")
            found.append(self._entry(target, self.stage / place))
        found += [self._record(one, written[one.archive.name]) for one in self.packages]
        found.append(self._file(f"{META}/history", 0o644, self.stage / META / "history"))
        return found

    def _require_known(self, installed: set[str]) -> None:
        """Refuse a file that is there and in no package."""
        known = installed | _OWN | {f"{META}/{one.archive.record}" for one in self.packages}
        top = len(str(self.stage)) + 1
        for folder, folders, files in walk(self.stage):
            links = [name for name in folders if (folder / name).is_symlink()]
            for name in (*files, *links):
                path = f"{folder}/{name}"[top:]
                if path not in known:
                    raise LockError(
                        f"{PREFIX}/{names.path_shown(path)} was installed, and is in no package",
                        hint="run it again; if it stays so, this is a bug in repro",
                    )

    def _written(self, package: Unpacked) -> dict[str, Any]:
        path = self.stage / META / package.archive.record
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    def _record(self, package: Unpacked, written: Mapping[str, Any]) -> list[Any]:
        mine = {path: self.digests[path] for path in self.owned.of(package.archive)}
        return self._new(
            f"{META}/{package.archive.record}", record(package, written, mine).encode()
        )

    def _entry(self, target: Target, place: Path) -> list[Any]:
        packed = target.packed
        if packed is None:
            return self._changed(target, place, 0o755)
        if packed.kind == "symlink":
            if not place.is_symlink() or str(place.readlink()) != packed.link:
                raise self._wrong(target, "is another link than in its package")
            self.digests[target.path] = None
            return [target.path, "symlink", 0o777, 0, packed.link]
        mode = 0o755 if packed.mode & 0o111 else 0o644
        if packed.replaced:
            return self._changed(target, place, mode)
        self._require_file(target, place)
        size, digest = digest_file(place)
        if digest != packed.sha256:
            raise self._wrong(target, f"has sha256 {digest}, in its package it has {packed.sha256}")
        self.digests[target.path] = digest
        if target.source is not None and (new := renewed(place.read_bytes(), target.source)):
            self.digests[target.path] = hashlib.sha256(new).hexdigest()
            return self._new(target.path, new)
        if target.link and self._is_shared(target):
            return [target.path, "hardlink", mode, 0, target.link]
        return [target.path, "file", mode, size, str(place)]

    def _is_shared(self, target: Target) -> bool:
        """Whether what a hard link links to is there, unchanged, as its package has it."""
        other = self.owned.targets[target.link]
        same = other.owner is target.owner and other.packed is not None
        return same and other.packed is not None and not other.packed.replaced

    def _changed(self, target: Target, place: Path, mode: int) -> list[Any]:
        """A file that the installation changed or made: nothing in it may tell of this host."""
        self._require_file(target, place)
        data = place.read_bytes()
        if os.fsencode(self.folder) in data:
            raise self._wrong(target, f"names {self.folder}")
        self.digests[target.path] = hashlib.sha256(data).hexdigest()
        return self._file(target.path, mode, place)

    def _require_file(self, target: Target, place: Path) -> None:
        if not stat.S_ISREG(place.lstat().st_mode):
            raise self._wrong(target, "is no file")

    def _new(self, path: str, data: bytes) -> list[Any]:
        place = self.folder / "made" / path
        with replacing(place, durable=False) as file:
            file.write(data)
        return self._file(path, 0o644, place)

    def _file(self, path: str, mode: int, place: Path) -> list[Any]:
        return [path, "file", mode, place.stat().st_size, str(place)]

    def _wrong(self, target: Target, why: str) -> LockError:
        return LockError(
            f"{target.owner.label}: {PREFIX}/{names.path_shown(target.path)} {why}",
            hint="run it again; if it stays so, lock another version: repro snapshot --upgrade "
            + target.owner.name,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)
