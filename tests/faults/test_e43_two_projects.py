"""E43: two projects that build into one store at once leave no torn object."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.faults.remains import held_locks, require_readable, torn_objects
from tests.faults.three import Three
from tests.watch import temporary

pytestmark = pytest.mark.network


def test_e43_both_build_and_run(three: Three) -> None:
    """Both lock the same wheels, which neither has yet: each object is wanted by both."""
    folders = [three.folder, three.folder.with_name("other")]
    three.forget_wheels()
    shutil.rmtree(folders[1], ignore_errors=True)
    shutil.copytree(three.folder, folders[1], symlinks=True)
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "repro", "--engine", "sandbox", "verify"],
            cwd=folder,
            env=three.cli.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for folder in folders
    ]
    for child in both:
        out, err = child.communicate(timeout=300)
        assert child.returncode == 0, err
        assert b"reproduced" in out
    assert torn_objects(three.store) == []
    assert held_locks(three.store) == []
    assert temporary(three.store) == []
    for folder in folders:
        require_readable(folder)
        assert temporary(folder) == []
