"""A run sees exactly the same variables on both engines: those that the documentation lists."""

from __future__ import annotations

import pytest

from tests.support import Cli

pytestmark = [pytest.mark.network, pytest.mark.docker]
LIST = "import os; print(*sorted(f'{k}={v}' for k, v in os.environ.items()), sep='\\n')"


def test_both_engines_show_the_same(tiny: Cli) -> None:
    said = [
        tiny("--engine", engine, "run", "--", "python", "-c", LIST)
        for engine in ("sandbox", "docker")
    ]
    assert [answer.code for answer in said] == [0, 0], said
    assert said[0].out == said[1].out
    assert "\nPWD=/project\n" in said[0].out
