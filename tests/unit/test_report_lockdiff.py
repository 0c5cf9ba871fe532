from __future__ import annotations

from repro.models.lock import LockDiff, PackageChange
from repro.report import lockdiff
from repro.report.text import to_string
from tests.unit import golden_files


def change(ecosystem: str, name: str, old: str | None, new: str | None) -> PackageChange:
    return PackageChange(ecosystem=ecosystem, name=name, old=old, new=new)


DIFF = LockDiff(
    changes=(
        change("apt", "libsqlite3-0", "3.40.1-2+deb12u2", "3.46.1-7+deb13u2"),
        change("apt", "zlib1g", "1:1.2.13", "1:1.2.13 (other content)"),
        change("base", "suite", "bookworm", "trixie"),
        change("pip", "numpy", None, "1.26.4"),
        change("pip", "pytz", "2025.2", None),
        change("python", "python", "3.11", "3.13"),
    )
)


def test_render() -> None:
    golden_files.check("lockdiff.txt", to_string(lockdiff.render(DIFF)))


def test_a_narrow_terminal_loses_no_version() -> None:
    shown = to_string(lockdiff.render(DIFF), width=30)
    assert all(len(row) <= 30 for row in shown.splitlines())
    assert "1.26.4" in shown


def test_many_changes_are_counted() -> None:
    many = LockDiff(changes=tuple(change("apt", f"lib{i:02}", "1", "2") for i in range(30)))
    plain = [text.plain for text in lockdiff.lines(many, 80, limit=5)]
    assert plain[0] == "environment  30 apt packages differ"
    assert len(plain) == 7
    assert plain[-1] == "  and 25 more"
    assert len(lockdiff.lines(many, 80)) == 31


def test_packages_of_conda_are_counted_as_such() -> None:
    changes = tuple(change("conda", name, "1 h0_0", "2 h0_0") for name in ("libtiny", "six"))
    assert lockdiff.summary(LockDiff(changes=changes[:1])) == "1 conda package differs"
    assert lockdiff.summary(LockDiff(changes=changes)) == "2 conda packages differ"


def test_no_change() -> None:
    assert to_string(lockdiff.render(LockDiff(changes=()))) == (
        "environment  the same, package for package\n"
    )


def test_hostile_names_are_inert() -> None:
    diff = LockDiff(changes=(change("pip", "\x1b[2J[/x]", "1", "\u202e2"),))
    shown = to_string(lockdiff.render(diff))
    assert "\\x1b[2J[/x]" in shown
    assert "\\u202e2" in shown


def test_data() -> None:
    assert lockdiff.data(DIFF)[3] == {
        "ecosystem": "pip",
        "name": "numpy",
        "old": None,
        "new": "1.26.4",
    }
