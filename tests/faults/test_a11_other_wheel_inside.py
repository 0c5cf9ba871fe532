"""A11: a wheel whose inner name or version is not the lock's: exit 3, both shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.sources import RECIPE, Pin
from tests.watch import faulted
from tests.wheelhouse import Recipe, make_wheel

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    ("recipe", "inner"),
    [(replace(RECIPE, inner_name="other"), "other"), (replace(RECIPE, inner_version="2.0"), "2.0")],
)
def test_a11_the_wheel_says_inside_that_it_is_another(pin: Pin, recipe: Recipe, inner: str) -> None:
    """Its file name and its hash are the lock's: only a look inside can tell."""
    pinned = pin(make_wheel(recipe))
    says = ["pip demo 1.0", RECIPE.filename, "says inside that it is", repr(inner)]
    faulted(pinned.cli, "build", code=3, says=says)
    assert pinned.layers() == [], "no layer was made"
