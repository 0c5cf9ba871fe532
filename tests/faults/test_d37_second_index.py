"""D37: a higher version on a second index changes nothing: the locked hash wins; exit 0."""

from __future__ import annotations

import pytest

from tests.faults.server import serving
from tests.faults.sources import RECIPE, WHEEL, Pin, fresh_wheel
from tests.watch import faulted
from tests.wheelhouse import Recipe, make_wheel

pytestmark = pytest.mark.network


def test_d37_the_locked_hash_wins(pin: Pin) -> None:
    """Also over a file of the same name on an index that is asked first."""
    data = fresh_wheel()
    pinned = pin(data)
    newer = Recipe(version="9.0")
    with serving() as second:
        files = {newer.filename: make_wheel(newer), RECIPE.filename: fresh_wheel()}
        second.add_index(files, project="demo")
        env = {
            "PIP_INDEX_URL": f"{second.address}/simple/",
            "PIP_EXTRA_INDEX_URL": pinned.cli.extra["PIP_INDEX_URL"],
        }
        faulted(pinned.cli, "build", code=0, changes=["lockfiles/linux-amd64/image.toml"], env=env)
        assert second.asked == ["/simple/demo/"], "its files were not even looked at"
    assert pinned.server.count(WHEEL) == 1
    assert pinned.has_wheel()
