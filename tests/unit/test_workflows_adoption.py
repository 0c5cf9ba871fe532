"""From another tool's lock to the inputs that a project is given with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import LockError, UsageError
from repro.models.project import Project
from repro.project.load import load_project
from repro.workflows.adoption import Adoption, read_adoption, write_inputs

FOREIGN = Path(__file__).parent / "data/foreign"
HASH = f"--hash=sha256:{'a' * 64}"


def project(folder: Path, config: str = "") -> Project:
    if config:
        (folder / "repro.toml").write_text(config)
    return load_project(folder).project


def adoption(folder: Path, sample: str, name: str, config: str = "") -> Adoption:
    (folder / name).write_bytes((FOREIGN / sample).read_bytes())
    return read_adoption(project(folder, config), folder / name)


def require_read_as_said(found: Adoption) -> None:
    """Once written, the project is the one that the lock is sealed for."""
    write_inputs(found)
    assert load_project(found.project.root).project.environment == found.project.environment


def test_a_uv_lock_names_what_its_project_required(tmp_path: Path) -> None:
    found = adoption(tmp_path, "uv/0.13.9.lock", "uv.lock")
    assert [name for name, _ in found.inputs] == ["requirements.in"]
    assert found.inputs[0][1].splitlines()[2:] == [
        'colorama; sys_platform == "win32"',
        'importlib-metadata>=4; python_full_version < "3.10"',
        "iniconfig",
        "python-dateutil>=2.8",
    ]
    require_read_as_said(found)


def test_a_pixi_lock_is_asked_for_in_an_environment_yml(tmp_path: Path) -> None:
    found = adoption(tmp_path, "pixi/6.lock", "pixi.lock", '[environment]\nsuite = "trixie"\n')
    [(name, text)] = found.inputs
    assert name == "environment.yml"
    assert text.splitlines()[2:] == [
        "channels:",
        "  - 'https://conda.example.org/forge'",
        "dependencies:",
        "  - python=3.11",
        "  - six",
        "  - pip:",
        "      - python-dateutil",
        "      - requests",
    ]
    require_read_as_said(found)


def test_the_lock_s_own_python_is_written_where_nothing_names_one(tmp_path: Path) -> None:
    text = (FOREIGN / "uv/0.13.9.lock").read_text().replace(">=3.9", ">=3.12", 1)
    (tmp_path / "uv.lock").write_text(text)
    found = read_adoption(project(tmp_path), tmp_path / "uv.lock")
    assert dict(found.inputs)[".python-version"] == "3.13\n"
    assert (found.project.environment.suite, found.project.environment.python) == (
        "trixie",
        "3.13",
    )
    require_read_as_said(found)
    asked = adoption(tmp_path, "uv/0.13.9.lock", "uv.lock", '[environment]\npython = "3.11"\n')
    assert asked.inputs == (), "now the project has its inputs"


def test_a_project_that_asks_for_nothing_is_not_overruled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"names no requirements, and uv.lock is a lock of some"):
        adoption(tmp_path, "uv/0.13.9.lock", "uv.lock", "[environment]\npip = []\n")
    with pytest.raises(UsageError, match="the project asks conda for none") as caught:
        adoption(tmp_path, "pixi/6.lock", "pixi.lock")
    assert "six" in str(caught.value.hint)


def test_each_platform_has_its_own_packages(tmp_path: Path) -> None:
    plain = project(tmp_path)
    both = replace(plain.environment, platforms=("linux-arm64", "linux-amd64"))
    lock = tmp_path / "pixi.lock"
    text = (FOREIGN / "pixi/6.lock").read_text()
    lock.write_text(text)
    with pytest.raises(LockError, match="no platform linux-aarch64"):
        read_adoption(replace(plain, environment=both), lock)
    lock.write_text(text.replace("osx-arm64", "linux-aarch64"))
    found = read_adoption(replace(plain, environment=both), lock)
    assert [one.subdir for one in found.of("linux-arm64").conda] == ["linux-aarch64", "noarch"]
    assert [one.subdir for one in found.of("linux-amd64").conda][:1] == ["linux-64"]


def test_a_file_elsewhere_is_named_without_its_folders(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    place = tmp_path / "forged\nerror: name.txt"
    place.write_text(f"six==1 {HASH}\n")
    link = tmp_path / "link.txt"
    link.symlink_to(place)
    asked = project(tmp_path / "p")
    assert read_adoption(asked, tmp_path / "p/../link.txt").path == "link.txt"
    assert read_adoption(asked, place).path == repr(place.name)
    with pytest.raises(UsageError, match="does not exist"):
        read_adoption(asked, tmp_path / "p/absent.txt")
    with pytest.raises(UsageError, match="not a regular file"):
        read_adoption(asked, tmp_path)


def test_a_lock_of_which_nothing_can_be_taken_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("six==1\nidna==2\n")
    with pytest.raises(LockError, match=r"r.txt:1: six: has no hash"):
        read_adoption(project(tmp_path), tmp_path / "r.txt")
