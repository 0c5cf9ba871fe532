"""I71, I72: the login of a conda channel gets nowhere but to its server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conda_channel import CondaChannel, serving_channel
from tests.support import Cli
from tests.watch import faulted

pytestmark = pytest.mark.network

SECRET = "canary-conda-7f3a"
ENVIRONMENT = "channels: [channel]\ndependencies:\n  - libtiny <1.3\n"


@pytest.fixture(scope="module")
def channel() -> Iterator[CondaChannel]:
    with serving_channel() as served:
        yield served


@pytest.fixture
def project(channel: CondaChannel, cache: Path, tmp_path: Path) -> Cli:
    """A project whose channel wants a login, which conda's own configuration holds."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "environment.yml").write_text(ENVIRONMENT)
    login = channel.server.address.replace("://", f"://user:{SECRET}@")
    condarc = tmp_path / "condarc"
    condarc.write_text(f"custom_channels:\n  channel: {login}\n  gone: {login}/t/{SECRET}\n")
    return Cli(cache=cache, folder=folder, extra={"CONDARC": str(condarc)}, secrets=(SECRET,))


def test_i71_a_channels_login_is_in_nothing_that_is_written_or_said(
    project: Cli, channel: CondaChannel
) -> None:
    channel.server.authorizations.clear()
    faulted(project, "snapshot", "--json", code=0, changes=["lockfiles"])
    assert set(channel.server.authorizations) - {None}, "the login was not even used"
    lock = project.folder / "lockfiles/conda-lock.yml"
    text = lock.read_text()
    assert f"url: '{channel.address}/linux-64/libtiny-1.2.3-h0_0.conda'" in text

    # what cannot be locked leaves the lock that stands
    environment = project.folder / "environment.yml"
    environment.write_text(ENVIRONMENT.replace("<1.3", ">9"))
    faulted(project, "snapshot", code=2, says=["No candidates were found for libtiny >9"])
    environment.write_text(ENVIRONMENT.replace("[channel]", "[gone]"))
    faulted(project, "snapshot", code=6, says=["environment.yml: its channels cannot be read"])
    assert "/t/" + SECRET in "".join(channel.server.asked)
    environment.write_text(ENVIRONMENT.replace("[channel]", f"['http://u:{SECRET}@127.0.0.1/x']"))
    faulted(project, "snapshot", code=2, says=["holds a credential or a query (not shown)"])
    assert lock.read_text() == text
