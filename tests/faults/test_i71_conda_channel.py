"""I71, D27, D32: a channel's login comes from conda's configuration and goes nowhere else."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conda_archives import Package
from tests.faults.conda_sources import PinConda, PinnedConda
from tests.faults.server import Reply
from tests.watch import faulted

pytestmark = pytest.mark.network

SECRET = "hunter2-of-a-channel"
TOKEN = "tk-hunter2-of-a-channel"


def configured(pinned: PinnedConda, folder: Path, channel: str) -> PinnedConda:
    """The command with a `.condarc` that names the channel so."""
    path = folder / "condarc"
    path.write_text(f"channels: ['{channel}']\n")
    extra = {**pinned.cli.extra, "CONDARC": str(path)}
    cli = replace(pinned.cli, extra=extra, secrets=(SECRET, TOKEN))
    return replace(pinned, cli=cli)


def test_i71_a_login_of_condarc_is_used_and_told_to_nobody(
    pin_conda: PinConda, tmp_path: Path
) -> None:
    """Password and token in one address: the archive lies below the token alone."""
    pinned = pin_conda(Package())
    machine = pinned.server.address.removeprefix("http://")
    address = f"http://user:{SECRET}@{machine}/t/{TOKEN}/channel"
    pinned.server.replies[f"/t/{TOKEN}{pinned.path}"] = pinned.server.replies.pop(pinned.path)
    found = configured(pinned, tmp_path, address)
    faulted(found.cli, "build", code=0, changes=["lockfiles"])
    expected = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert expected in pinned.server.authorizations
    assert found.layer_made()


def test_d27_a_package_that_is_gone_shows_no_token(pin_conda: PinConda, tmp_path: Path) -> None:
    pinned = pin_conda(Package())
    pinned.server.replies[pinned.path] = Reply(status=404)
    address = f"{pinned.server.address}/t/{TOKEN}/channel"
    found = configured(pinned, tmp_path, address)
    faulted(found.cli, "build", code=6, says=["conda demo 1.0: ", "HTTP 404"])


def test_d32_other_bytes_than_were_locked(pin_conda: PinConda) -> None:
    pinned = pin_conda(Package())
    pinned.server.replies[pinned.path] = Reply(body=b"x" * len(Package().archive()))
    faulted(pinned.cli, "build", code=3, says=["conda demo 1.0 from ", "the lock says"])
    assert pinned.server.count(pinned.path) == 1
