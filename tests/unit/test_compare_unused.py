"""Rules that judge nothing are found; those that do are not."""

from __future__ import annotations

from repro.compare.unused import judges_something, unused_rules
from repro.models.measurement import Measurement, Metric, Table
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance

ANY = Tolerance(rel=1.0)
METRIC = Measurement(metrics=(Metric(name="auc[0]", value=1, file="m.json"),))
TABLE = Measurement(metrics=(), tables=(Table(file="t.csv", columns=("a", "b"), rows=()),))


def settings(*patterns: str, ignore: str | None = None) -> MetricSettings:
    return MetricSettings(
        rules=tuple(MetricRule(pattern=p, tolerance=ANY, ignore=ignore) for p in patterns)
    )


def test_a_pattern_is_used_when_one_side_has_its_metric() -> None:
    rules = settings("auc[0]", "auc*", "auc", "AUC*")
    assert unused_rules((METRIC, Measurement(metrics=())), rules, ()) == (
        "[metrics] 'auc' matches no metric: is it misspelt?",
        "[metrics] 'AUC*' matches no metric: is it misspelt?",
    )


def test_a_rule_that_a_later_one_overrides_is_used_all_the_same() -> None:
    assert unused_rules((METRIC,), settings("*", "auc*"), ()) == ()


def test_columns_are_those_of_the_rules_own_table() -> None:
    rules = settings("a", "c").rules
    tables = (TableSettings(file="t.csv", columns=rules), TableSettings(file="u.csv"))
    assert unused_rules((TABLE,), MetricSettings(), tables) == (
        "[[tables]] t.csv: 'c' matches no column: is it misspelt?",
    )


def test_something_is_judged_unless_all_is_ignored() -> None:
    everything = settings("*", ignore="noise")
    assert judges_something(METRIC, settings())
    assert not judges_something(METRIC, everything)
    assert judges_something(TABLE, everything)
    assert not judges_something(Measurement(metrics=()), settings())
