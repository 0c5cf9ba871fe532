"""The table of figures: what is met, and how it reads."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as runner
from benchmarks.figures import Figure, Target, shown, table
from benchmarks.timing import Times, take_turns


def times(*seconds: float) -> Times:
    return Times(seconds=seconds)


@pytest.mark.parametrize(
    ("target", "ours", "peer", "met"),
    [
        (Target(seconds=0.15), 0.15, 1.0, True),
        (Target(seconds=0.15), 0.16, 1.0, False),
        (Target(ratio=1.2), 1.2, 1.0, True),
        (Target(ratio=1.2), 1.3, 1.0, False),
        (Target(excess=0.05), 0.26, 0.2, False),
        (Target(seconds=30.0, ratio=1.0), 29.0, 28.0, False),
        (Target(), 9.0, 1.0, None),
    ],
)
def test_a_target_is_met_when_each_of_its_limits_is(
    target: Target, ours: float, peer: float, met: bool | None
) -> None:
    figure = Figure(what="x", ours=times(ours), peers=(("y", times(peer)),), target=target)
    assert figure.met is met


def test_the_table_has_median_ratio_target_and_notes() -> None:
    figures = [
        Figure(
            what="build",
            ours=times(2.0, 9.0, 3.0),
            peers=(("peer", times(6.0)), ("another", times(0.5))),
            target=Target(seconds=30, ratio=1),
            note="why",
        ),
        Figure(
            what="help", ours=times(0.2), peers=(("bare", times(0.1)),), target=Target(seconds=0.15)
        ),
    ]
    assert table(figures).splitlines()[2:] == [
        "| build (1) | 3.00 s | peer 6.00 s; another 500 ms | 0.50 | ≤ 30.0 s, ≤ 1 × | yes |",
        "| help | 200 ms | bare 100 ms | 2.00 | ≤ 150 ms | **no** |",
        "",
        "1. why",
    ]


def test_times_read_well() -> None:
    assert [shown(value) for value in (0.0123, 0.9, 1.234, 12.34)] == [
        "12 ms",
        "900 ms",
        "1.23 s",
        "12.3 s",
    ]


def test_subjects_take_turns_and_the_warm_up_does_not_count() -> None:
    said: list[str] = []

    def measure(name: str, seconds: list[float]) -> float:
        said.append(name)
        return seconds.pop(0)

    one, other = [9.0, 1.0, 3.0], [8.0, 2.0, 4.0]
    found = take_turns(
        {"one": lambda: measure("one", one), "other": lambda: measure("other", other)}, rounds=2
    )
    assert said == ["one", "other"] * 3
    assert found == {"one": times(1.0, 3.0), "other": times(2.0, 4.0)}


def test_the_runner_knows_its_subjects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "nothing"])
    with pytest.raises(SystemExit) as ended:
        runner.main()
    assert ended.value.code == 2
    assert "unknown: nothing" in capsys.readouterr().err
