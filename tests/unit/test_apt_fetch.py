"""Where locked packages are looked for, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime

from repro.ecosystems.apt.fetch import kept_states, release_dates, wanted
from repro.models.lock import Provenance, Seal
from repro.models.project import Sources
from tests.unit.test_locks_apt import LIBGOMP, ZLIB

SOURCES = Sources(apt_mirror="http://deb.example.org/", apt_snapshot="https://past.example.org")
PROVENANCE = (
    Provenance(source="debian bookworm", facts=(("date", "2026-07-11T10:16:37Z"),)),
    Provenance(source="debian bookworm-updates", facts=(("date", "2026-11-20T02:11:10Z"),)),
    Provenance(source="debian-security bookworm-security", facts=(("date", "not a date"),)),
    Provenance(source="apt", facts=(("version", "2.6.2"),)),
)
SEAL = Seal(
    platform="linux-amd64",
    suite="bookworm",
    python="3.11",
    inputs=(),
    locks=(),
    pip=(),
    provenance=PROVENANCE,
)


def test_dates_by_archive_newest_first() -> None:
    assert release_dates(PROVENANCE) == {
        "debian": (
            datetime(2026, 11, 20, 2, 11, 10, tzinfo=UTC),
            datetime(2026, 7, 11, 10, 16, 37, tzinfo=UTC),
        )
    }


def test_the_state_that_was_read_is_asked_first() -> None:
    facts = (("date", "2025-05-20T06:00:00Z"), ("snapshot", "20250520T081500Z"))
    found = kept_states([Provenance(source="debian bookworm", facts=facts)])
    hours = [(moment.hour, moment.minute) for moment in found["debian"]]
    assert hours == [(8, 15), (18, 0), (6, 0)]


def test_what_is_wanted() -> None:
    first, second = wanted((LIBGOMP, ZLIB), SOURCES, SEAL)
    assert first.label == "apt libgomp1 12.2.0-14+deb12u1"
    assert (first.filename, first.sha256, first.size) == (
        "libgomp1_12.2.0-14+deb12u1_amd64.deb",
        LIBGOMP.sha256,
        LIBGOMP.size,
    )
    assert second.filename == "zlib1g_1.2.13.dfsg-1_amd64.deb"


def test_mirror_first_then_the_past() -> None:
    first, second = wanted((LIBGOMP, ZLIB), SOURCES, SEAL)
    path = "pool/main/g/gcc-12/libgomp1_12.2.0-14%2Bdeb12u1_amd64.deb"
    assert list(first.addresses()) == [
        f"http://deb.example.org/debian/{path}",
        f"https://past.example.org/archive/debian/20261120T141110Z/{path}",
        f"https://past.example.org/archive/debian/20260711T221637Z/{path}",
        f"https://past.example.org/archive/debian/20261120T021110Z/{path}",
        f"https://past.example.org/archive/debian/20260711T101637Z/{path}",
    ]
    assert [a.split("/pool")[0] for a in second.addresses()] == [
        "http://deb.example.org/debian-security"  # no date, no state of the past to ask for
    ]
