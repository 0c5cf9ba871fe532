"""E44: the lock of a process that was killed is simply free, and its temporaries are swept."""

from __future__ import annotations

import pytest

from tests.faults.background import running
from tests.support import Cli
from tests.watch import temporary

pytestmark = pytest.mark.network


def test_the_lock_of_a_dead_process_is_free(tiny: Cli) -> None:
    with running(tiny) as first:
        first.kill()
        first.wait()
        lock = tiny.folder / ".repro" / "lock"
        assert lock.read_text().startswith(f"{first.pid} ")  # it is still written there
        assert temporary(tiny.folder) != []
        answer = tiny("--engine", "sandbox", "run", "--lock-timeout", "0")
    assert answer.code == 0, answer
    assert temporary(tiny.folder) == []
    assert lock.read_text() == ""
