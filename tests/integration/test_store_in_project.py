"""A store among the project's files would be copied into each run, and count as code."""

from __future__ import annotations

import pytest

from tests.support import Cli, assert_refused

pytestmark = pytest.mark.network


@pytest.mark.parametrize("command", [("run",), ("run", "--", "true"), ("verify",)])
def test_a_store_in_the_project_is_refused(tiny: Cli, command: tuple[str, ...]) -> None:
    store = tiny.folder / "cache"
    answer = tiny(*command, env={"REPRO_CACHE": str(store)})
    assert_refused(answer, 2, str(store), f"REPRO_CACHE={tiny.folder}/.repro/cache")
    assert not store.exists()


def test_a_store_below_the_projects_own_folder_is_taken(tiny: Cli) -> None:
    """It is empty, so that the next thing to be refused is what is not in it."""
    env = {"REPRO_CACHE": str(tiny.folder / ".repro" / "cache")}
    assert_refused(tiny("run", "--offline", env=env), 6, "not in the store")
