"""Locks of several platforms side by side, as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.apt.resolve import AptResolution
from repro.errors import LockError, UsageError
from repro.files import write_together
from repro.models.lock import Deb, Lock
from repro.models.project import PLATFORM, PLATFORMS, Environment, Project, platform_of
from repro.workflows.lockfiles import fresh_lock, lock_state, read_lock
from repro.workflows.locking import Resolution, all_files, sealed
from repro.workflows.snapshot import left_over
from repro.workflows.vendor import all_locks

[OTHER] = [platform.name for platform in PLATFORMS if platform.name != PLATFORM]


def project(root: Path, *platforms: str) -> Project:
    environment = Environment(suite="bookworm", python="3.11", platforms=platforms)
    return Project(root=root, name="p", config="repro.toml", environment=environment)


def written(found: Project) -> tuple[Lock, ...]:
    """Write a lock of one package for each platform; return them."""
    resolutions = [
        Resolution(
            platform=name,
            python="3.11",
            debs=AptResolution(debs=(libc(platform_of(name).architecture),), provenance=()),
        )
        for name in found.environment.platforms
    ]
    locks = sealed(found.environment, resolutions)
    write_together(found.root / "lockfiles", all_files(found.environment, locks))
    return locks


def libc(architecture: str) -> Deb:
    return Deb(
        name="libc6",
        version="2.36-9",
        architecture=architecture,
        filename=f"pool/main/g/glibc/libc6_2.36-9_{architecture}.deb",
        size=1,
        sha256=architecture.encode().hex().ljust(64, "0"),
        archive="debian",
    )


def test_each_platform_has_its_own_lock(tmp_path: Path) -> None:
    both = project(tmp_path, PLATFORM, OTHER)
    own, other = written(both)
    assert own.key != other.key
    assert fresh_lock(both) == own
    assert tuple(all_locks(both, own)) == (own, other)
    for name in (PLATFORM, OTHER):
        state = lock_state(replace(both, platform=name))
        assert state is not None
        assert state.fresh


def test_a_lock_is_read_for_its_own_platform_alone(tmp_path: Path) -> None:
    both = project(tmp_path, PLATFORM, OTHER)
    written(both)
    folder = replace(both, platform=OTHER).lock_folder
    with pytest.raises(LockError, match=f"not {platform_of(PLATFORM).architecture} or all"):
        read_lock(folder, root=tmp_path)
    text = (folder / "apt.lock").read_text()
    own = platform_of(PLATFORM).architecture
    (folder / "apt.lock").write_text(
        text.replace("Architecture: " + _arch(), f"Architecture: {own}")
    )
    with pytest.raises(LockError, match=f"is for {OTHER}, not {PLATFORM}"):
        read_lock(folder, root=tmp_path)


def _arch() -> str:
    return platform_of(OTHER).architecture


def test_a_project_for_others_alone_has_no_lock_of_this_host(tmp_path: Path) -> None:
    alone = project(tmp_path, OTHER)
    written(alone)
    with pytest.raises(UsageError, match=f"platforms has {OTHER}, and this host is {PLATFORM}"):
        fresh_lock(alone)
    assert lock_state(alone) is None


def test_vendoring_asks_for_every_platforms_lock(tmp_path: Path) -> None:
    [own] = written(project(tmp_path, PLATFORM))
    with pytest.raises(LockError, match=f"lockfiles/{OTHER}: no lock yet"):
        tuple(all_locks(project(tmp_path, PLATFORM, OTHER), own))


def test_the_lock_of_a_platform_that_was_taken_away_is_named(tmp_path: Path) -> None:
    both = project(tmp_path, PLATFORM, OTHER)
    written(both)
    assert list(left_over(both)) == []
    [note] = left_over(project(tmp_path, PLATFORM))
    assert note.startswith(f"lockfiles/{OTHER} is of no platform")
