"""C18-C22, C24-C26: real hostile conda packages, served by a channel and locked by their real hash.

Only the guards over archives stand between them and the host. Each names the package and the
cause, exits with 3, makes no layer, and a probe file outside stays as it was. Every other way to
be hostile is in tests/unit/test_conda_archive.py.
"""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conda_archives import Package, Part, link, part, pressed, tarred, zipped
from tests.faults.conda_sources import PinConda, lock_conda
from tests.watch import faulted
from tests.wheelhouse import Member, raw_zip

pytestmark = pytest.mark.network

EVIL = b"EVIL\n"
DEMO = part("share/demo.txt", b"demo\n")


def refused(
    pin: PinConda, probe: Path, package: Package, *says: str, data: bytes | None = None
) -> None:
    probe.write_text("as it was")
    pinned = pin(package, data)
    faulted(pinned.cli, "build", code=3, says=[f"conda demo 1.0: {package.filename}", *says])
    assert not pinned.layer_made()
    assert probe.read_text() == "as it was"
    assert pinned.server.count(pinned.path) == 1


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_c18_a_name_that_leads_outside(pin_conda: PinConda, tmp_path: Path, suffix: str) -> None:
    probe = tmp_path / "probe"
    name = f"{'../' * 12}{str(probe)[1:]}"
    package = Package(parts=[part(name, EVIL)], suffix=suffix, listed={name: None})
    refused(pin_conda, probe, package, "leaves its folder")


def test_c19_a_link_and_a_file_written_through_it(pin_conda: PinConda, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    package = Package(parts=[link("way", str(tmp_path)), part("way/probe", EVIL)])
    refused(pin_conda, probe, package, "'way' links out of the prefix")


def test_c19_a_hard_link_to_outside(pin_conda: PinConda, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    package = Package(parts=[link("way", str(probe), kind=tarfile.LNKTYPE), part("way", EVIL)])
    refused(pin_conda, probe, package, "'way' is a hard link to", "which is no file before it")


def test_c20_a_sibling_with_the_same_beginning(pin_conda: PinConda, tmp_path: Path) -> None:
    """`/opt/conda-evil` begins with `/opt/conda`: paths are compared part by part."""
    package = Package(parts=[link("way", "../conda-evil")])
    refused(pin_conda, tmp_path / "probe", package, "'way' links out of the prefix")


def test_c21_two_headers_that_disagree(pin_conda: PinConda, tmp_path: Path) -> None:
    """What an installer that streams would unpack is not what the directory lists."""
    package = Package()
    members = [Member(name=k.encode(), data=v) for k, v in package.members().items()]
    members[1] = replace(members[1], local_name=b"pkg-evil-1.0-0.tar.zst")
    data = raw_zip(members)
    refused(pin_conda, tmp_path / "probe", package, "disagree about its name", data=data)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (part("share/demo.txt", EVIL), "holds 'share/demo.txt' twice"),
        (link("Share/Demo.txt", "demo.txt"), "'Share/Demo.txt' are one name"),
        (part("share/e\u0301", EVIL), "are one name where Unicode forms"),
    ],
)
def test_c22_two_members_of_one_name(
    pin_conda: PinConda, tmp_path: Path, other: Part, says: str
) -> None:
    package = Package(parts=[DEMO, part("share/\u00e9", b"1"), other])
    refused(pin_conda, tmp_path / "probe", package, says)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (part("odd", type=tarfile.FIFOTYPE), "'odd' is a FIFO"),
        (part("odd", EVIL, mode=0o4755), "'odd' is setuid or setgid"),
    ],
)
def test_c24_a_member_that_is_no_plain_file(
    pin_conda: PinConda, tmp_path: Path, odd: Part, says: str
) -> None:
    package = Package(parts=[odd], suffix=".tar.bz2")
    refused(pin_conda, tmp_path / "probe", package, says)


def test_c25_a_size_that_two_headers_say_differently(pin_conda: PinConda, tmp_path: Path) -> None:
    body = b"13 size=9999\n"
    head = tarfile.TarInfo("PaxHeader")
    head.type, head.size = tarfile.XHDTYPE, len(body)
    before = head.tobuf(tarfile.USTAR_FORMAT) + body + bytes(512 - len(body))
    package = Package(parts=[replace(DEMO, before=before)])
    refused(pin_conda, tmp_path / "probe", package, "its headers say two sizes: 5, 9999")


@pytest.mark.parametrize("ninth", [3, 8])
def test_c25_a_tar_that_was_cut_before_it_was_locked(
    pin_conda: PinConda, tmp_path: Path, ninth: int
) -> None:
    """All offsets are in tests/unit/test_conda_archive.py."""
    package = Package()
    whole = tarred(package.parts)
    cut = {"pkg-demo-1.0-0.tar.zst": pressed(whole[: len(whole) * ninth // 9])}
    data = zipped({**package.members(), **cut})
    refused(pin_conda, tmp_path / "probe", package, "ends within its tar", data=data)


@pytest.mark.parametrize("evil", ["../../evil", "..%2f..%2fevil", "0 --option"])
def test_c26_a_build_string_that_leads_outside(pin_conda: PinConda, evil: str) -> None:
    """It names the record in the prefix: in a lock it must be what conda calls a build."""
    pinned = pin_conda(Package())
    package = replace(pinned.package, build=evil, filename=f"demo-1.0-{evil}.conda")
    lock_conda(pinned.cli.folder, pinned.server.address, package)
    faulted(pinned.cli, "build", code=3, says=["conda-lock.yml: package[0] 'demo'"])
    assert pinned.server.asked == []


def test_c26_a_build_string_inside_that_leads_outside(pin_conda: PinConda, tmp_path: Path) -> None:
    package = Package(index={"build": "../../evil"})
    refused(pin_conda, tmp_path / "probe", package, "says inside that it is", "'../../evil'")


def test_c26_an_entry_point_that_leads_outside(pin_conda: PinConda, tmp_path: Path) -> None:
    package = Package(points=["../../evil = os:abort"], subdir="noarch", index={"noarch": "python"})
    refused(pin_conda, tmp_path / "probe", package, "'../../evil = os:abort' is no")


def test_c26_a_list_that_is_not_what_the_package_holds(pin_conda: PinConda, tmp_path: Path) -> None:
    listed = {"_path": "share/demo.txt", "sha256": "0" * 64}
    package = Package(listed={"share/demo.txt": listed})
    refused(pin_conda, tmp_path / "probe", package, "with sha256 0000", "and holds")
