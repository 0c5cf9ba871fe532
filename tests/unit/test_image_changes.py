"""What layers show together, and the layer of what changed between two states of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError
from repro.image.changes import write_changes
from repro.image.layer import Entry, collected, entries_of, write_layer
from repro.image.merged import Merged, merged
from tests.foreign import content, listing


def file(path: str, data: bytes = b"x", mode: int = 0o644, uid: int = 0) -> Entry:
    return Entry(path=path, mode=mode, kind="file", data=data, uid=uid)


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=path, mode=mode, kind="dir")


def link(path: str, to: str, kind: str = "symlink") -> Entry:
    return Entry(path=path, mode=0o777, kind=kind, link=to)


def layer(entries: Iterable[Entry]) -> bytes:
    made = io.BytesIO()
    write_layer(made, entries)
    return made.getvalue()


def paths(tmp_path: Path, *layers: Iterable[Entry]) -> list[Path]:
    found = []
    for number, entries in enumerate(layers):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(layer(entries))
        found.append(path)
    return found


def changes(
    before: Iterable[Entry], after: Iterable[Entry], touched: set[str] | None = None
) -> bytes:
    image = Merged()
    image.lay(collected(before))
    made = io.BytesIO()
    write_changes(made, image, after, touched)
    return made.getvalue()


# --- merged ---------------------------------------------------------------------------------


def test_the_upper_layer_wins_and_hides(tmp_path: Path) -> None:
    lower = (
        file("etc/one", b"old"), file("etc/two"), file("opt/a/b"), file("opt/c"),
        file("srv/x/y"), file("usr/f"), folder("bin"),
    )  # fmt: skip
    upper = (
        file("etc/one", b"new"), file("etc/.wh.two"), file("opt/.wh..wh..opq"), file("opt/d"),
        file("srv/.wh.x"), file("srv/x"), file("usr/f/below"), link("bin", "usr/bin"),
    )  # fmt: skip
    with merged(paths(tmp_path, lower, upper)) as image:
        assert sorted(image.entries) == [
            "bin", "etc", "etc/one", "opt", "opt/d", "srv", "srv/x", "usr", "usr/f", "usr/f/below",
        ]  # fmt: skip
        assert image.read("etc/one") == b"new"
        assert image.entries["bin"].kind == "symlink"
        assert image.entries["srv/x"].kind == "file"
        assert image.entries["usr/f"].kind == "dir"


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    lower = (file("a", b"shared", uid=7), link("b", "a", "hardlink"))
    with merged(paths(tmp_path, lower, [file("a", b"other")])) as image:
        assert (image.read("a"), image.read("b")) == (b"other", b"shared")
        assert (image.entries["b"].kind, image.entries["b"].uid) == ("file", 7)


def test_links_are_followed_inside_the_image_alone(tmp_path: Path) -> None:
    lower = (
        link("bin", "usr/bin"), link("usr/bin/python3", "python3.12"), file("usr/bin/python3.12"),
        link("etc/os-release", "../usr/lib/os-release"), file("usr/lib/os-release", b"ID=x"),
        link("abs", "/usr/lib"), link("up", "../../../usr/lib"), link("loop", "loop"),
    )  # fmt: skip
    with merged(paths(tmp_path, lower)) as image:
        assert image.read("etc/os-release") == b"ID=x"
        assert image.read("/abs/os-release") == image.read("up/os-release") == b"ID=x"
        found = image.find("/bin/python3")
        assert found is not None
        assert found[0] == "usr/bin/python3.12"
        assert image.find("loop") is None
        assert image.find("usr/lib/os-release/more") is None
        assert image.read("usr/lib") is None


def test_a_torn_layer(tmp_path: Path) -> None:
    [path] = paths(tmp_path, [file("a", b"x" * 5000)])
    path.write_bytes(b"\xff" * 1024)
    with pytest.raises(LockError, match="no readable tar"), merged([path]):
        pass


# --- changes --------------------------------------------------------------------------------


def test_what_is_the_same_is_left_out_whatever_was_touched() -> None:
    before = [file("etc/same"), file("etc/data", b"old"), file("etc/mode"), folder("srv", 0o2775)]
    after = [
        file("etc/same"), file("etc/data", b"new"), file("etc/mode", mode=0o600),
        folder("srv", 0o2775), file("srv/new", uid=33),
    ]  # fmt: skip
    made = changes(before, after)
    assert made == changes(before, after, touched={"etc/same", "etc/data", "etc/mode", "srv/new"})
    held = listing(made)
    assert list(held) == ["etc", "etc/data", "etc/mode", "srv", "srv/new"]
    assert held["srv"].mode == 0o2775, "a parent is as it is, not as a tar's default"
    assert content(made, "etc/data") == b"new"


def test_only_the_topmost_that_is_gone_is_named() -> None:
    before = [folder("a"), folder("a/b"), file("a/b/c"), file("a/d"), file("e"), file("f/g")]
    made = changes(before, [folder("a"), file("a/d"), link("f", "a")])
    assert list(listing(made)) == [".wh.e", "a", "a/.wh.b", "f"]


def test_a_folder_that_was_made_anew_keeps_nothing() -> None:
    made = changes([file("a/old"), file("a/same")], [file("a/new"), folder("a"), file("a/same")])
    assert list(listing(made)) == ["a", "a/.wh.old", "a/new"]


def test_what_differs_from_build_to_build_is_dropped() -> None:
    before = [file("var/log/old"), file("etc/hostname"), folder("run")]
    after = [
        file("var/log/new"), file("tmp/x"), file("run/repro/y"), folder("proc"), folder("run"),
        file("etc/passwd-"), folder("var"), folder("var/log"), file("a"), folder("etc"),
    ]  # fmt: skip
    assert list(listing(changes(before, after))) == ["a"]


def test_links_within_what_changed_stay_links() -> None:
    before = [file("a", b"1")]
    after = [file("a", b"1"), link("b", "a", "hardlink"), link("c", "a", "hardlink")]
    made = changes(before, after)
    held = listing(made)
    assert list(held) == ["b", "c"]
    assert held["c"].linkname == "b"
    assert content(made, "b") == b"1"


def test_a_name_that_no_layer_can_hold() -> None:
    with pytest.raises(LockError, match=r"\.wh\.x.*marks a deletion"):
        changes([], [file("etc/.wh.x")])


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.sampled_from(["dir", "one", "two", "link"]), max_size=8)


def tree(drawn: dict[str, str]) -> list[Entry]:
    """A file system: what lies below a file is not there."""
    found: dict[str, Entry] = {}
    for path, kind in sorted(drawn.items()):
        parents = path.split("/")[:-1]
        above = ["/".join(parents[: n + 1]) for n in range(len(parents))]
        if any(one in found and found[one].kind != "dir" for one in above):
            continue
        for one in above:
            found.setdefault(one, folder(one))
        if kind == "dir":
            found.setdefault(path, folder(path))
        elif path not in found:
            found[path] = link(path, "a") if kind == "link" else file(path, kind.encode())
    return list(found.values())


def seen(image: Merged) -> list[tuple[str, str, bytes, str]]:
    return sorted(
        (path, entry.kind, entry.open().read() if entry.kind == "file" else b"", entry.link)
        for path, entry in image.entries.items()
    )


@given(TREES, TREES)
def test_the_layer_over_the_one_state_shows_the_other(
    one: dict[str, str], other: dict[str, str]
) -> None:
    before, after = Merged(), Merged()
    before.lay(collected(tree(one)))
    after.lay(collected(tree(other)))
    file = io.BytesIO()
    write_changes(file, before, tree(other))
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        before.lay(collected(entries_of(tar)))
        assert seen(before) == seen(after)
    assert write_nothing(after, tree(other))


def write_nothing(before: Merged, after: list[Entry]) -> bool:
    made = io.BytesIO()
    write_changes(made, before, [replace(entry) for entry in after])
    return listing(made.getvalue()) == {}
