"""What apt prints about its indexes, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.ecosystems.apt.index import Target, parse_targets
from repro.ecosystems.apt.private import release_date
from repro.errors import LockError

TARGETS = """\
MetaKey: main/binary-amd64/Packages
Filename: /c/lists/deb.example.org_debian_dists_bookworm_main_binary-amd64_Packages
Codename: bookworm
Origin: Debian
Trusted: yes
Release: bookworm
Repo-URI: http://user:secret@deb.example.org/debian/

MetaKey: Packages
Filename: /c/lists/_c_local_._Packages
Origin: repro-lock
Trusted: yes
Release: ./
Repo-URI: copy:/c/local/
"""


def test_targets_without_the_local_source() -> None:
    assert parse_targets(TARGETS) == (
        Target(
            file=Path("/c/lists/deb.example.org_debian_dists_bookworm_main_binary-amd64_Packages"),
            archive="debian",
            release="bookworm",
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Trusted: yes\nRelease: b", "Trusted: no\nRelease: b", "does not trust this index"),
        ("Trusted: yes\nRelease: b", "Release: b", "does not trust this index"),
        ("Origin: Debian", "Origin: Elsewhere", "'Elsewhere', not Debian"),
    ],
)
def test_an_index_that_is_not_to_be_trusted(old: str, new: str, says: str) -> None:
    assert old in TARGETS
    with pytest.raises(LockError, match=says) as caught:
        parse_targets(TARGETS.replace(old, new))
    assert "secret" not in str(caught.value)
    assert "deb.example.org" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Origin: Debian\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n", "2026-07-11T10:16:37Z"),
        ("Date: Sat, 11 Jul 2026 12:16:37 +0200\n", "2026-07-11T10:16:37Z"),
    ],
)
def test_release_date(text: str, expected: str) -> None:
    assert release_date(text) == expected


@pytest.mark.parametrize("text", ["", "Date: yesterday\n"])
def test_release_without_a_date(text: str) -> None:
    with pytest.raises(LockError, match="no date"):
        release_date(text)
