"""What somebody asked for, told from what came with it: dpkg's and apt's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.ecosystems.apt.installed import (
    alternatives,
    asked_for,
    parse_states,
    parse_status,
    read_debs,
)
from repro.ecosystems.tree import Folder
from repro.errors import LockError
from repro.models.installed import InstalledDeb


def deb(name: str, depends: str = "", **more: object) -> InstalledDeb:
    return InstalledDeb(
        name=name,
        version="1-1",
        architecture="amd64",
        depends=depends,
        **more,  # type: ignore[arg-type]
    )


BASE = (
    deb("libc6", priority="optional", automatic=True),
    deb("bash", "libc6 (>= 2.36)", essential=True, priority="required"),
    deb("apt", "libapt (>= 1), gpgv | gpgv2", priority="required"),
    deb("libapt"),
    deb("gpgv2"),
)


def asked(*debs: InstalledDeb) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    found = asked_for((*BASE, *debs), suite="bookworm", python="3.11")
    return found.asked, found.recommended, found.rest


def test_what_came_with_another_was_not_asked_for() -> None:
    tool = deb("tool", "libtool, mailer", recommends="docs, absent | spare")
    found = asked(
        tool,
        deb("libtool", automatic=True),
        deb("exim", provides="mailer (= 2), other", automatic=True),
        deb("docs", "libdocs", automatic=True),
        deb("libdocs", automatic=True),
        deb("spare", automatic=True),
        deb("left-over", automatic=True),
    )
    assert found == (("tool",), ("docs", "spare"), ("left-over",))


def test_what_every_base_has_was_not_asked_for() -> None:
    found = asked(deb("python3", "python3.11"), deb("python3.11", "libexpat1"), deb("libexpat1"),
                  deb("marked", automatic=True))  # fmt: skip
    assert found == ((), (), ("marked",))


def test_without_any_mark_what_nothing_needs_was_asked_for() -> None:
    unmarked = [item for item in BASE if not item.automatic] + [deb("libc6")]
    debs = (*unmarked, deb("tool", "lib"), deb("lib"), deb("aa", "bb"), deb("bb", "aa"))
    found = asked_for(debs, suite="bookworm", python="3.11")
    assert found.asked == ("aa", "tool")


def test_marks_and_states_are_read_together(tmp_path: Path) -> None:
    status = (
        "Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.0-1\n"
        "Depends: lib (>= 1),\n more | other\nDescription: words\n more words\n\n"
        "Package: lib\nStatus: hold ok installed\nArchitecture: all\nVersion: 1.0\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
    )
    states = "Package: lib\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: tool\n"
    for path, text in (("dpkg/status", status), ("apt/extended_states", states)):
        place = tmp_path / "var/lib" / path
        place.parent.mkdir(parents=True)
        place.write_text(text)
    found = {item.name: item for item in read_debs(Folder(tmp_path))}
    assert found.keys() == {"tool", "lib"}
    assert (found["tool"].version, found["tool"].automatic) == ("1:2.0-1", False)
    assert found["lib"].automatic, "apt notes it under the machine's architecture"
    assert list(alternatives(found["tool"].depends)) == [("lib",), ("more", "other")]
    assert read_debs(Folder(tmp_path / "var")) == ()


def test_an_image_without_a_package_manager_has_a_file_for_each(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    (folder / "base").write_text("Package: base-files\nArchitecture: amd64\nVersion: 12\n")
    assert [item.name for item in read_debs(Folder(tmp_path))] == ["base-files"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Package: a\nStatus: install ok installed\nVersion: 1\nPackage: b\n", "twice"),
        ("Package: a\nVersion: 1\n", "Status"),
        (" begins with a fold\n", "continues no field"),
        ("no field\n", "is not 'Field: value'"),
        ("Package: ../x\nStatus: install ok installed\nVersion: 1\n", "not a Debian package"),
        ("Package: ab\nStatus: install ok installed\n", "not a Debian version"),
    ],
)
def test_half_a_record_is_refused(text: str, says: str) -> None:
    with pytest.raises(LockError, match=says):
        parse_status(text.encode(), where="status")


def test_a_mark_of_zero_is_none() -> None:
    data = b"Package: a\nArchitecture: amd64\nAuto-Installed: 0\n"
    assert parse_states(data, where="states") == frozenset()
