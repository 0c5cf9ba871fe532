"""The project's files as a run sees them (asks git, so no unit test)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import AnalysisError
from repro.models.project import Analysis, Environment, MetricSettings, Project, Sources
from repro.project import digests, tree
from repro.project import stage as stages


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


def test_vendored_artifacts_are_no_code_and_are_not_staged(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "vendored").mkdir()
    (tmp_path / "vendored" / "pytz-2022.1-py2.py3-none-any.whl").write_bytes(b"wheel")
    one = project(tmp_path)
    before = digests.code_digests(replace(one, sources=Sources(vendor="vendored/")), one.root)
    assert [name for name in tree.project_files(one) if name.startswith("vendored/")]
    vendored = replace(one, sources=Sources(vendor="vendored/"))
    assert not [name for name in tree.project_files(vendored) if name.startswith("vendored/")]
    (tmp_path / "vendored" / "more.whl").write_bytes(b"another")
    assert digests.code_digests(vendored, vendored.root) == before


def test_a_stage_holds_no_output_and_no_data(tmp_path: Path) -> None:
    root, stage = tmp_path / "p", tmp_path / "s"
    fill(root)
    (root / "a.py").chmod(0o750)
    stage.mkdir()
    staged = stages.fill_stage(project(root), stage)
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
    staged = stages.fill_stage(project(root), stage)
    (stage / "out/deep").mkdir()
    (stage / "out/deep/r.csv").write_text("1")
    (stage / "metrics.json").write_text("{}")
    (stage / "a.py").write_text("changed")
    (stage / "repro.toml").unlink()
    (stage / "new").write_text("")
    collected = stages.collect(project(root), staged, kept)
    assert [item.path for item in collected] == ["metrics.json", "out/deep/r.csv"]
    assert (kept / "out/deep/r.csv").read_text() == "1"
    assert stages.discarded(project(root), staged) == ("a.py", "new", "repro.toml")


@pytest.mark.parametrize("kind", ["symlink", "fifo", "hardlink"])
def test_h66_what_is_no_plain_file_is_never_opened(tmp_path: Path, kind: str) -> None:
    root, stage = tmp_path / "p", tmp_path / "s"
    fill(root)
    stage.mkdir()
    staged = stages.fill_stage(project(root), stage)
    target = stage / "metrics.json"
    if kind == "symlink":
        target.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.hardlink_to(stage / "a.py")
    with pytest.raises(AnalysisError, match=r"metrics\.json"):
        stages.collect(project(root), staged, tmp_path / "k")


def test_code_digests_ignore_tolerances_and_notice_the_command(tmp_path: Path) -> None:
    fill(tmp_path)
    first = project(tmp_path)
    before = digests.code_digests(first, first.root)
    (tmp_path / "repro.toml").write_text("# other tolerances")
    assert digests.code_digests(first, first.root) == before
    assert first.analysis is not None
    other = replace(first, analysis=replace(first.analysis, steps=(("false",),)))
    assert digests.code_digests(other, other.root) != before
    (tmp_path / "a.py").write_text("other")
    assert digests.code_digests(first, first.root) != before


def test_a_copy_is_digested_as_it_was_made(tmp_path: Path) -> None:
    """What is edited while the data is read, or the image built, has not run."""
    root, stage = tmp_path / "p", tmp_path / "s"
    fill(root)
    stage.mkdir()
    before = digests.code_digests(project(root), root)
    stages.fill_stage(project(root), stage)
    (root / "a.py").write_text("edited")
    (root / "new.py").write_text("")
    assert digests.code_digests(project(root), stage) == before
    assert digests.code_digests(project(root), root) != before


def test_submodules_nested_repositories_and_conflicts_are_whole(tmp_path: Path) -> None:
    """What git names once, thrice or only by its folder is staged and digested all the same."""
    fill(tmp_path)
    nested = tmp_path / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "m.py").write_text("1")
    git(tmp_path, "init", "-q")
    one = project(tmp_path)
    assert "nested/m.py" in tree.project_files(one)
    before = digests.code_digests(one, one.root)
    (nested / "m.py").write_text("2")
    assert digests.code_digests(one, one.root) != before
    blob = subprocess.run(
        ["git", "-C", str(tmp_path), "hash-object", "-w", "a.py"], check=True, capture_output=True
    ).stdout.decode().strip()  # fmt: skip
    stages = "".join(f"100644 {blob} {number}\ta.py\n" for number in (1, 2, 3))
    subprocess.run(
        ["git", "-C", str(tmp_path), "update-index", "--index-info"],
        input=stages.encode(), check=True,
    )  # fmt: skip
    assert tree.project_files(one).count("a.py") == 1


def test_a_project_that_the_repository_around_it_ignores_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "home/p"
    fill(root)
    git(tmp_path, "init", "-q", "home")
    (tmp_path / "home/.gitignore").write_text("*\n")
    assert "a.py" in tree.project_files(project(root))


def test_a_hooks_variables_do_not_lead_git_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "init", "-q")
    before = tree.project_files(project(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert tree.project_files(project(tmp_path)) == before
    assert "ignored.log" not in before


def test_data_behind_a_link_in_the_project_is_digested_by_content(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "data").rename(tmp_path / "real")
    (tmp_path / "data").symlink_to("real")
    before = digests.data_digests(project(tmp_path))
    assert [item.path for item in before] == ["data/x.csv"]
    (tmp_path / "real/x.csv").write_text("other")
    assert digests.data_digests(project(tmp_path)) != before


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """Code and data are recorded with the byte escaped; an output is refused."""
    root, stage = tmp_path / "p", tmp_path / "s"
    fill(root)
    stage.mkdir()
    (root / os.fsdecode(b"caf\xe9.py")).touch()
    (root / "data" / os.fsdecode(b"\xff")).touch()
    one = project(root)
    names = [
        item.path for item in (*digests.code_digests(one, one.root), *digests.data_digests(one))
    ]
    assert {r"caf\xe9.py", r"data/\xff"} <= set(names)
    staged = stages.fill_stage(one, stage)
    (stage / os.fsdecode(b"new\xe9")).touch()
    assert r"new\xe9" in stages.discarded(one, staged)
    (stage / "out" / os.fsdecode(b"\xe9")).touch()
    with pytest.raises(AnalysisError, match="UTF-8"):
        stages.collect(one, staged, tmp_path / "k")
