"""B16: a store that cannot be written is exit 7, with the path and what is not allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.sources import World
from tests.faults.stores import WHEEL_SHA, without_layers
from tests.support import Answer, assert_refused
from tests.watch import watching

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and give up rights"),
]

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
WITHOUT_OVERRIDE = "-dac_override,-dac_read_search,-fowner"


def refused(world: World, prefix: list[str], *says: str) -> None:
    """Run `repro build` behind this prefix; it must end as the row says."""
    with watching(world.cli) as watch:
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "repro", "build"],
            cwd=world.cli.folder,
            env=watch.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        answer = Answer(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
        watch.said(answer.out + answer.err)
        assert_refused(answer, 7, *says)
    assert not world.store.present(WHEEL_SHA)


def emptied(world: World) -> Path:
    """Have a store that lacks the wheel and its layers."""
    without_layers(world)
    world.store.path(WHEEL_SHA).unlink()
    return world.cli.cache


def test_b16_on_a_read_only_file_system(stocked: World) -> None:
    store = emptied(stocked)
    prefix = ["unshare", "--mount", "sh", "-ec", READ_ONLY, str(store)]
    refused(stocked, prefix, f"{store}/", "Read-only file system", "REPRO_CACHE=DIR")


def test_b16_in_folders_that_are_closed_to_their_user(stocked: World) -> None:
    """Root without the right to pass over permissions is as any user."""
    store = emptied(stocked)
    folders = [store, *(path for path in store.rglob("*") if path.is_dir())]
    folders = [path for path in folders if "unpacked" not in path.relative_to(store).parts]
    modes = {path: path.stat().st_mode & 0o7777 for path in folders}
    for path in folders:
        path.chmod(0o555)
    try:
        prefix = ["setpriv", f"--bounding-set={WITHOUT_OVERRIDE}", f"--inh-caps={WITHOUT_OVERRIDE}"]
        refused(stocked, prefix, f"{store}/", "Permission denied", "owner and permissions")
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_b16_nothing_need_be_written_where_all_is_there(stocked: World) -> None:
    """Status only looks."""
    prefix = ["unshare", "--mount", "sh", "-ec", READ_ONLY, str(stocked.cli.cache)]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "repro", "status"],
        cwd=stocked.cli.folder,
        env=stocked.cli.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done
    assert "Read-only" not in done.stderr
