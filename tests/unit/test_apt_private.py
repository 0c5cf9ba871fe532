"""What a failed update means."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.ecosystems.apt.private import failure, local_address
from repro.errors import LockError, NetworkError
from repro.process import Done

EXPIRED = (
    "E: Release file for http://deb.example.org/debian/dists/trixie-updates/InRelease is expired "
    "(invalid since 3d 2h). Updates for this repository will not be applied.\n"
)
BADSIG = (
    "W: GPG error: http://deb.example.org/debian bookworm InRelease: The following signatures "
    "were invalid: BADSIG 0E98404D386FA1D9 Debian Archive Automatic Signing Key\n"
    "E: The repository 'http://deb.example.org/debian bookworm InRelease' is not signed.\n"
)
UNREACHED = (
    "E: Failed to fetch http://user:secret@deb.example.org/debian/dists/bookworm/InRelease  "
    "Could not resolve 'deb.example.org'\nE: Some index files failed to download. They have been "
    "ignored, or old ones used instead.\n"
)
NOT_GIVEN = (
    "E: The repository 'http://deb.example.org/debian bookworm InRelease' is no longer signed.\n"
    "E: Failed to fetch http://deb.example.org/debian/dists/bookworm/InRelease  403  Forbidden "
    "[IP: 192.0.2.1 80]\n"
)
ABSENT = (
    "E: The repository 'http://deb.example.org/debian x Release' does not have a Release file.\n"
)


def done(stderr: str) -> Done:
    return Done(argv=("apt-get", "update"), code=100, stdout=b"", stderr=stderr.encode())


@pytest.mark.parametrize(
    ("stderr", "kind", "says"),
    [
        (EXPIRED, LockError, "is expired"),
        (BADSIG, LockError, "BADSIG"),
        ("E: Failed to fetch http://x/Packages.xz  Hash Sum mismatch\n", LockError, "Hash Sum"),
        (UNREACHED, NetworkError, "Could not resolve"),
        (NOT_GIVEN, NetworkError, "403  Forbidden"),
        (NOT_GIVEN + BADSIG, LockError, "BADSIG"),
        (ABSENT, NetworkError, "does not have a Release file"),
        ("something else", NetworkError, "something else"),
    ],
)
def test_failed_update(stderr: str, kind: type[Exception], says: str) -> None:
    error = failure(done(stderr), "bookworm")
    assert type(error) is kind
    assert error.message.startswith("bookworm: ")
    assert says in error.message
    assert error.hint
    assert "secret" not in str(error)


def test_local_addresses_hold_no_blank() -> None:
    assert local_address(Path("/a b/c%d~e")) == "copy:/a%20b/c%25d~e"
