"""J75: repro.toml, or another input, is a symbolic link to outside: exit 2, target named."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.project.load import load_project

INPUTS = (
    "repro.toml", "pyproject.toml", "requirements.in", "requirements.txt", "apt.txt",
    ".python-version", "runtime.txt", "environment.yml", "binder/requirements.txt",
)  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_a_link_to_outside_is_refused_unread(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    (root / name).parent.mkdir(parents=True)
    outside = tmp_path / "secret"
    outside.write_text("hunter2\n")
    (root / name).symlink_to(outside)
    with pytest.raises(UsageError) as caught:
        load_project(root)
    assert caught.value.exit_code == 2
    assert name in caught.value.message
    assert str(outside) in caught.value.message
    assert "copy" in str(caught.value.hint)
    assert "hunter2" not in str(caught.value)


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/repro.toml").write_text('[environment]\nsuite = "trixie"\n')
    (tmp_path / "repro.toml").symlink_to("conf/repro.toml")
    assert load_project(tmp_path).project.environment.suite == "trixie"


@pytest.mark.parametrize("target", ["absent", "repro.toml", "."])
def test_a_link_to_nothing_itself_or_a_folder_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "repro.toml").symlink_to(target)
    with pytest.raises(UsageError, match=r"repro\.toml"):
        load_project(tmp_path)


def test_a_link_through_a_folder_to_outside_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/requirements.txt").write_text("six\n")
    (root / "binder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError) as caught:
        load_project(root)
    assert str(tmp_path / "elsewhere/requirements.txt") in caught.value.message
