"""Moments, as users write them."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UsageError
from repro.locks import names
from repro.locks.inputs import environment_inputs
from repro.models.project import Environment
from repro.project.config import parse_settings
from repro.project.moment import moment

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2025-06-01", "2025-06-01T00:00:00Z"),
        ('"2025-06-01"', "2025-06-01T00:00:00Z"),
        ("2025-06-01T12:30:00", "2025-06-01T12:30:00Z"),
        ("2025-06-01T12:30:00Z", "2025-06-01T12:30:00Z"),
        ("2025-06-01T00:30:00+02:00", "2025-05-31T22:30:00Z"),
        ('"2025-06-01T12:30:00Z"', "2025-06-01T12:30:00Z"),
        ("2026-11-21", "2026-11-21T00:00:00Z"),
    ],
)
def test_what_a_moment_means(written: str, meant: str) -> None:
    value = tomllib.loads(f"x = {written}")["x"]
    assert moment(value, "here", now=NOW) == meant
    settings = parse_settings({"environment": {"as-of": value}}, file="repro.toml")
    assert settings.as_of == meant


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("2026-11-22", "lies in the future"),
        ('"2026-11-21T12:00:01Z"', "lies in the future"),
        ("9999-12-31T23:59:59-10:00", "is no moment"),
        ("2025-06-01T00:00:00.5Z", "parts of a second"),
        ("12:00:00", "a value of type time is no date"),
        ("2025", "of type int is no date"),
        ("true", "of type bool is no date"),
        ('"yesterday"', "'yesterday' is no date"),
        ('"2025-13-01"', "'2025-13-01' is no date"),
        ('""', "'' is no date"),
    ],
)
def test_what_is_no_moment_of_the_past(written: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        moment(tomllib.loads(f"x = {written}")["x"], "repro.toml: environment.as-of", now=NOW)
    assert caught.value.message.startswith("repro.toml: environment.as-of")
    assert caught.value.hint


@given(st.datetimes(timezones=st.timezones()) | st.dates() | st.text(max_size=30))
def test_every_moment_can_stand_in_a_seal(value: object) -> None:
    try:
        found = moment(value, "here", now=NOW)
    except UsageError:
        return
    assert names.moment(found, "here") == found <= "2026-11-21T12:00:00Z"


def test_the_day_is_an_input_only_where_it_is_given() -> None:
    plain = Environment(suite="bookworm", python="3.11")
    dated = Environment(suite="bookworm", python="3.11", as_of="2025-06-01T00:00:00Z")
    more = set(environment_inputs(dated)) - set(environment_inputs(plain))
    assert {name for name, _ in more} == {"environment.as-of"}
