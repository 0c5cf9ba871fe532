"""Which containers are orphans: only those whose owner is known to be gone."""

from __future__ import annotations

import pytest

from repro.engines.docker.orphans import is_orphan, owner


def test_the_container_of_a_living_process_is_none() -> None:
    assert owner() == owner()
    assert not is_orphan(owner())


def test_one_whose_process_ended_is_one_also_where_its_number_is_taken_again() -> None:
    here, pid, start = owner().rsplit(" ", 2)
    assert is_orphan(f"{here} {pid} {int(start) - 1}")
    assert is_orphan(f"{here} {2**22 + 1} {start}"), "no process has such a number"


@pytest.mark.parametrize("label", ["", "1", "a b c d", "another-boot 4026531836 1 1"])
def test_one_from_elsewhere_is_none(label: str) -> None:
    assert not is_orphan(label)
    here, pid, start = owner().rsplit(" ", 2)
    boot, namespace = here.split()
    assert not is_orphan(f"{boot} {int(namespace) + 1} {pid} 1")
    assert not is_orphan(f"{here} x{pid} {start}")
