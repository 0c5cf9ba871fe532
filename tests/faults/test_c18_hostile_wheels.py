"""C18-C22, C24, C25: real hostile wheels, served by a real index and locked by their real hash.

Only the guards over archives stand between them and the host. Each names the wheel and the cause,
exits with 3, makes no layer, and a probe file outside stays as it was.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.faults.sources import RECIPE, Pin
from tests.watch import faulted
from tests.wheelhouse import Member, inside, make_wheel, raw_zip

pytestmark = pytest.mark.network

EVIL = b"EVIL = 1\n"
LINK = stat.S_IFLNK | 0o777
WHOLE = make_wheel(RECIPE)
GOOD = "demo-1.0.dist-info/x"


def refused(pin: Pin, probe: Path, data: bytes, *says: str) -> None:
    probe.write_text("as it was")
    pinned = pin(data)
    faulted(pinned.cli, "build", code=3, says=[f"pip demo 1.0: {RECIPE.filename}: ", *says])
    assert pinned.layers() == [], "no layer was made"
    assert probe.read_text() == "as it was"
    assert pinned.server.count(f"/files/{RECIPE.filename}") == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../../../../../../../../../../../..{probe}", "leaves its folder"),
        ("{probe}", "is an absolute path"),
        ("demo-1.0.data/data/../../../../../../../../..{probe}", "leaves its folder"),
    ],
)
def test_c18_a_name_that_leads_outside(pin: Pin, tmp_path: Path, name: str, says: str) -> None:
    probe = tmp_path / "probe"
    name = name.format(probe=probe)
    refused(pin, probe, inside((name, EVIL, 0o644)), name[:40], says)


def test_c18_a_nul_in_a_name(pin: Pin, tmp_path: Path) -> None:
    """A name that is read to its NUL is another one, and stands in no list."""
    data = inside(("new.py_evil", EVIL, 0o644)).replace(b"new.py_evil", b"new.py\0evil")
    refused(pin, tmp_path / "probe", data, "new.py", "control character")


def test_c19_a_link_and_a_file_written_through_it(pin: Pin, tmp_path: Path) -> None:
    """A zip knows no hard links; a tar's are only ever unpacked inside the sandbox."""
    probe = tmp_path / "probe"
    members = (("way", str(tmp_path).encode(), LINK), ("way/probe", EVIL, 0o644))
    refused(pin, probe, inside(*members), "'way'", "no regular file")


def test_c20_a_sibling_with_the_same_beginning(pin: Pin, tmp_path: Path) -> None:
    """`/opt/venv-evil` begins with `/opt/venv`: paths are compared part by part."""
    name = "demo-1.0.data/data/../venv-evil/x"
    refused(pin, tmp_path / "probe", inside((name, EVIL, 0o644)), name, "leaves its folder")


def test_c21_two_headers_that_disagree(pin: Pin, tmp_path: Path) -> None:
    """What an installer that streams would write is not what the directory lists."""
    members = [Member(name=GOOD.encode(), local_name=b"demo-1.0.dist-info/y", data=EVIL)]
    refused(pin, tmp_path / "probe", raw_zip(members), repr(GOOD), "disagree about its name")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", ["demo/mod.py", "demo/MOD.py"])
def test_c22_two_members_of_one_name(pin: Pin, tmp_path: Path, other: str) -> None:
    data = inside(("demo/mod.py", b"A = 1\n", 0o644), (other, EVIL, 0o644))
    refused(pin, tmp_path / "probe", data, "'demo/mod.py'", repr(other))


def test_c22_two_unicode_forms_of_one_name(pin: Pin, tmp_path: Path) -> None:
    composed, decomposed = "demo/\u00e9.py", "demo/e\u0301.py"
    data = inside((composed, b"A = 1\n", 0o644), (decomposed, EVIL, 0o644))
    refused(pin, tmp_path / "probe", data, repr(composed), repr(decomposed))


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (stat.S_IFIFO | 0o644, "no regular file"),
        (stat.S_IFBLK | 0o644, "no regular file"),
        (stat.S_IFREG | 0o4755, "is setuid or setgid"),
    ],
)
def test_c24_a_member_that_is_no_plain_file(pin: Pin, tmp_path: Path, mode: int, says: str) -> None:
    refused(pin, tmp_path / "probe", inside(("demo/odd", EVIL, mode)), "'demo/odd'", says)


@pytest.mark.parametrize("tenth", [1, 5, 9])
def test_c25_an_archive_that_was_cut_before_it_was_locked(
    pin: Pin, tmp_path: Path, tenth: int
) -> None:
    """All nine offsets are in tests/unit/test_pip_archives.py."""
    refused(pin, tmp_path / "probe", WHOLE[: len(WHOLE) * tenth // 10], "only a part of one")
