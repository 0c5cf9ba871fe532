"""Why a run failed: the limit that it met, its value, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import AnalysisError
from repro.models.execution import Ending, Execution, Run
from repro.models.project import Limits
from repro.project.values import Table, duration_text, size_text
from repro.workflows.failure import advised, ended, require_success

LIMITS = Limits(timeout=90.0, memory=64 << 20, pids=20, output=3 << 30)


def execution(how: Ending = Ending.EXITED, code: int = 1, *, crowded: bool = False) -> Execution:
    return Execution(engine="sandbox", ending=how, code=code, step=0, seconds=1.0, crowded=crowded)


class Recorded:
    """As much of a run as is looked at."""

    def __init__(self, folder: Path, execution: Execution) -> None:
        self.folder, self.execution = folder, execution


def failed(folder: Path, log: str | None, *, echoed: bool = False) -> AnalysisError:
    if log is not None:
        (folder / "log.txt").write_text(log)
    recorded = cast(Run, Recorded(folder, execution()))
    with pytest.raises(AnalysisError) as caught:
        require_success(recorded, LIMITS, echoed=echoed)
    return caught.value


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (Ending.TIMEOUT, '[analysis] timeout = "90s"'),
        (Ending.MEMORY, '[analysis] memory = "64m"'),
        (Ending.OUTPUT, '[analysis] max-output = "3g"'),
    ],
)
def test_a_limit_is_named_with_its_value(how: Ending, says: str) -> None:
    assert f"({says}) and was ended" in ended(execution(how, 137), LIMITS)
    assert list(advised(execution(how, 137), LIMITS, "")) == [
        "if it needs that much, raise the limit"
    ]


def test_processes_are_named_where_they_were_counted() -> None:
    crowded = execution(Ending.TIMEOUT, 137, crowded=True)
    assert "[analysis] pids = 20" in ended(crowded, LIMITS)
    assert "[analysis] pids = 20" in "".join(advised(crowded, LIMITS, ""))
    assert "pids" not in ended(execution(Ending.TIMEOUT, 137), LIMITS)


@pytest.mark.parametrize(
    ("code", "says"),
    [(1, "status 1"), (137, "status 137 (SIGKILL)"), (139, "status 139 (SIGSEGV)"),
     (128, "status 128"), (255, "status 255")],
)  # fmt: skip
def test_a_signal_is_named(code: int, says: str) -> None:
    assert ended(execution(code=code), LIMITS) == f"ended with {says}"


@pytest.mark.parametrize(
    ("code", "said", "advice"),
    [
        (1, "BlockingIOError: [Errno 11] Resource temporarily unavailable", "pids = 20"),
        (254, "sh: 1: Cannot fork", "pids = 20"),
        (1, "RuntimeError: can't start new thread", "pids = 20"),
        (1, "OSError: [Errno 28] No space left on device", '$HOME and /tmp hold 32m (half of'),
        (1, "OSError: [Errno 27] File too large: '/tmp/x'", 'max-output = "3g"'),
        (153, "", 'max-output = "3g"'),
        (137, "", "no limit of repro's"),
    ],
)  # fmt: skip
def test_the_systems_own_words_lead_to_the_limit(code: int, said: str, advice: str) -> None:
    assert advice in "".join(advised(execution(code=code), LIMITS, said))
    assert list(advised(execution(code=1), LIMITS, "KeyError: 'a'")) == []


def test_the_last_lines_are_shown_once(tmp_path: Path) -> None:
    log = "".join(f"line {n}\n" for n in range(50))
    error = failed(tmp_path, log)
    assert error.message.splitlines()[1:] == [f"  | line {n}" for n in range(30, 50)]
    assert error.hint == f"the whole log: {tmp_path}/log.txt; look around inside: repro shell"
    assert failed(tmp_path, log, echoed=True).message == "the analysis ended with status 1"
    assert failed(tmp_path / "gone", None).message == "the analysis ended with status 1"


@given(st.integers(1, 1 << 50))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    text = size_text(size)
    if len(text) < 10:  # what nobody can have written is only shown
        assert Table(file="repro.toml", path=(), values={"x": text}).size("x") == size


@given(st.decimals(min_value="0.001", max_value=2_000_000, places=3))
def test_a_duration_is_written_as_it_is_read(seconds: object) -> None:
    value = float(str(seconds))
    read = Table(file="repro.toml", path=(), values={"x": duration_text(value)}).duration("x")
    assert read == value
