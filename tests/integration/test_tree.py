"""The project's files as a run sees them (asks git, so no unit test)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import AnalysisError
from repro.models.project import Analysis, Environment, MetricSettings, Project
from repro.project import tree


def project(root: Path) -> Project:
    return Project(
        root=root,
        name="p",
        config="repro.toml",
        environment=Environment(suite="bookworm", python="3.11"),
        analysis=Analysis(steps=(("true",),), data=("data/",), outputs=("out/",)),
        metrics=MetricSettings(files=("metrics.json",)),
    )


def fill(root: Path) -> None:
    for name in ("a.py", "data/x.csv", "out/old.txt", "metrics.json", "baseline/l/s",
                 ".venv/pyvenv.cfg", "ignored.log", "sub dir/é\n.py", "lockfiles/l/apt.lock",
                 "repro.toml"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


def test_without_git(tmp_path: Path) -> None:
    fill(tmp_path)
    assert tree.project_files(project(tmp_path)) == (
        "a.py", "ignored.log", "lockfiles/l/apt.lock", "repro.toml", "sub dir/é\n.py",
    )  # fmt: skip


def test_with_git_tracked_and_unignored(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / ".gitignore").write_text("*.log\n.venv/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "a.py")
    assert tree.project_files(project(tmp_path)) == (
        ".gitignore", "a.py", "lockfiles/l/apt.lock", "repro.toml", "sub dir/é\n.py",
    )  # fmt: skip


def test_a_stage_holds_no_output_and_no_data(tmp_path: Path) -> None:
    root, stage = tmp_path / "p", tmp_path / "s"
    fill(root)
    (root / "a.py").chmod(0o750)
    stage.mkdir()
    staged = tree.fill_stage(project(root), stage)
    assert not (stage / "metrics.json").exists()
    assert list((stage / "out").iterdir()) == []
    assert list((stage / "data").iterdir()) == []
    assert [(m.source, m.target) for m in staged.mounts] == [(root / "data", "/project/data")]
    assert (stage / "a.py").stat().st_mode & 0o777 == 0o755
    assert (stage / "a.py").stat().st_mtime == (stage / "repro.toml").stat().st_mtime


def test_outputs_are_collected_and_the_rest_listed(tmp_path: Path) -> None:
    root, stage, kept = tmp_path / "p", tmp_path / "s", tmp_path / "k"
    fill(root)
    stage.mkdir()
    staged = tree.fill_stage(project(root), stage)
    (stage / "out/deep").mkdir()
    (stage / "out/deep/r.csv").write_text("1")
    (stage / "metrics.json").write_text("{}")
    (stage / "a.py").write_text("changed")
    (stage / "repro.toml").unlink()
    (stage / "new").write_text("")
    collected = tree.collect(project(root), staged, kept)
    assert [item.path for item in collected] == ["metrics.json", "out/deep/r.csv"]
    assert (kept / "out/deep/r.csv").read_text() == "1"
    assert tree.discarded(project(root), staged) == ("a.py", "new", "repro.toml")


@pytest.mark.parametrize("kind", ["symlink", "fifo", "hardlink"])
def test_h66_what_is_no_plain_file_is_never_opened(tmp_path: Path, kind: str) -> None:
    root, stage = tmp_path / "p", tmp_path / "s"
    fill(root)
    stage.mkdir()
    staged = tree.fill_stage(project(root), stage)
    target = stage / "metrics.json"
    if kind == "symlink":
        target.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.hardlink_to(stage / "a.py")
    with pytest.raises(AnalysisError, match=r"metrics\.json"):
        tree.collect(project(root), staged, tmp_path / "k")


def test_code_digests_ignore_tolerances_and_notice_the_command(tmp_path: Path) -> None:
    fill(tmp_path)
    first = project(tmp_path)
    before = tree.code_digests(first)
    (tmp_path / "repro.toml").write_text("# other tolerances")
    assert tree.code_digests(first) == before
    assert first.analysis is not None
    other = replace(first, analysis=replace(first.analysis, steps=(("false",),)))
    assert tree.code_digests(other) != before
    (tmp_path / "a.py").write_text("other")
    assert tree.code_digests(first) != before
