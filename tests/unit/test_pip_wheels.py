"""From wheels to planned files: the format's rules, and hostile wheels."""

from __future__ import annotations

import csv
import io
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.ecosystems.pip.layout import of
from repro.ecosystems.pip.wheels import opened, plan
from repro.errors import LockError
from repro.models.lock import Interpreter
from tests.wheelhouse import Recipe, inside, make_wheel, stored, zipped

SITE = "opt/venv/lib/python3.11/site-packages"
THREE, TWO = of(Interpreter.of_debian("3.11")), of(Interpreter.of_debian("2.7"))

RICH = Recipe(
    name="rich-demo",
    files={
        "rich_demo/__init__.py": b"VALUE = 1\n",
        "rich_demo/__pycache__/__init__.cpython-311.pyc": b"never installed",
        "rich_demo/tool": b"#!/bin/sh\n",
        "rich_demo-1.0.data/scripts/rd-script": b"#!python -E\nprint(1)\n",
        "rich_demo-1.0.data/scripts/rd-binary": b"\x7fELF",
        "rich_demo-1.0.data/data/share/rich/a.txt": b"a",
        "rich_demo-1.0.data/headers/rich.h": b"int x;",
        "rich_demo-1.0.data/platlib/rich_native.so": b"so",
    },
    executable=("rich_demo/tool",),
    entry_points="[console_scripts]\nrd = rich_demo:main\n[gui_scripts]\nrdg = rich_demo.x:y.z\n",
)


def content(tmp_path: Path, recipe: Recipe, layout: object = THREE) -> dict[str, tuple[int, bytes]]:
    wheel = stored(tmp_path, recipe)
    with opened(wheel, plan(wheel, layout)) as entries:  # type: ignore[arg-type]
        return {entry.path: (entry.mode, entry.open().read()) for entry in entries}


def test_every_scheme_goes_where_it_belongs(tmp_path: Path) -> None:
    found = content(tmp_path, RICH)
    assert found[f"{SITE}/rich_demo/__init__.py"] == (0o644, b"VALUE = 1\n")
    assert found[f"{SITE}/rich_demo/tool"][0] == 0o755
    assert found[f"{SITE}/rich_native.so"] == (0o644, b"so")
    assert found["opt/venv/bin/rd-script"] == (0o755, b"#!/opt/venv/bin/python -E\nprint(1)\n")
    assert found["opt/venv/bin/rd-binary"] == (0o755, b"\x7fELF")
    assert found["opt/venv/share/rich/a.txt"] == (0o644, b"a")
    assert found["opt/venv/include/site/python3.11/rich-demo/rich.h"] == (0o644, b"int x;")
    mode, script = found["opt/venv/bin/rd"]
    assert mode == 0o755
    assert script.startswith(b"#!/opt/venv/bin/python\n")
    assert b"from rich_demo import main" in script
    assert b"from rich_demo.x import y" in found["opt/venv/bin/rdg"][1]
    assert found[f"{SITE}/rich_demo-1.0.dist-info/INSTALLER"] == (0o644, b"repro\n")
    assert not [path for path in found if "__pycache__" in path or "REQUESTED" in path]


def test_python_two_has_no_virtual_environment(tmp_path: Path) -> None:
    found = content(tmp_path, RICH, TWO)
    site = "usr/local/lib/python2.7/dist-packages"
    assert f"{site}/rich_demo/__init__.py" in found
    assert found["usr/local/bin/rd"][1].startswith(b"#!/usr/bin/python2.7\n")
    assert "usr/local/share/rich/a.txt" in found


def test_record_lists_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    import base64
    import hashlib
    import posixpath

    found = content(tmp_path, RICH)
    text = found[f"{SITE}/rich_demo-1.0.dist-info/RECORD"][1].decode()
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(text))}
    listed = {posixpath.normpath(f"{SITE}/{path}"): row for path, row in rows.items()}
    assert set(listed) == set(found)
    for path, (algorithm, size) in listed.items():
        if path.endswith("/RECORD"):
            assert (algorithm, size) == ("", "")
            continue
        data = found[path][1]
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert (algorithm, int(size)) == (f"sha256={digest}", len(data))


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"#!python", b"#!/opt/venv/bin/python\n"),
        (b"#!python\r\nx", b"#!/opt/venv/bin/python\nx"),
        (b"#!pythonw\nx", b"#!/opt/venv/bin/python\nx"),
        (b"#!python3\nx", b"#!/opt/venv/bin/python\nx"),
        (b"#!python3.11 -E -s\nx", b"#!/opt/venv/bin/python -E -s\nx"),
        (b"#!/usr/bin/env python\nx", b"#!/usr/bin/env python\nx"),
    ],
)
def test_a_script_begins_with_the_interpreter(
    tmp_path: Path, first: bytes, expected: bytes
) -> None:
    found = content(tmp_path, Recipe(files={"demo-1.0.data/scripts/s": first}))
    assert found["opt/venv/bin/s"] == (0o755, expected)


def test_the_installers_own_files_take_the_place_of_the_wheels(tmp_path: Path) -> None:
    """As pip has it: old wheels hold the scripts of their entry points, some INSTALLER."""
    recipe = Recipe(
        files={
            "demo-1.0.data/scripts/demo": b"#!python\nfrom pkg_resources import load_entry_point\n",
            "demo-1.0.data/scripts/other": b"#!python\n",
            "demo-1.0.dist-info/INSTALLER": b"pip\n",
        },
        entry_points="[console_scripts]\ndemo = demo:main [extra]\n",
    )
    found = content(tmp_path, recipe)
    assert b"from demo import main" in found["opt/venv/bin/demo"][1]
    assert "opt/venv/bin/other" in found
    assert found[f"{SITE}/demo-1.0.dist-info/INSTALLER"][1] == b"repro\n"
    rows = found[f"{SITE}/demo-1.0.dist-info/RECORD"][1].decode().splitlines()
    listed = [row.split(",")[0] for row in rows]
    assert len(listed) == len(set(listed)) == len(found)


def test_the_same_wheel_is_the_same_plan(tmp_path: Path) -> None:
    assert content(tmp_path, RICH) == content(tmp_path, RICH)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (inside(("../evil.py", b"", 0o644)), "leaves its folder"),
        (inside(("a/../../evil.py", b"", 0o644)), "leaves its folder"),
        (inside(("/etc/evil", b"", 0o644)), "absolute"),
        (inside(("a\\..\\evil.py", b"", 0o644)), "backslash"),
        (inside(("a//b.py", b"", 0o644)), "empty"),
        (inside(("a\nb.py", b"", 0o644)), "control"),
        (inside(("link", b"/etc/passwd", stat.S_IFLNK | 0o777)), "no regular file"),
        (inside(("pipe", b"", stat.S_IFIFO | 0o644)), "no regular file"),
        (inside(("demo-1.0.data/scripts/../../../evil", b"", 0o644)), "leaves its folder"),
        (inside(("demo-1.0.data/nowhere/x", b"", 0o644)), "not contained in a valid"),
        (inside(("demo.py", b"", 0o644), record=""), "do not agree: .*not mentioned in RECORD"),
        (inside(("other-2.0.dist-info/METADATA", b"", 0o644)), "exactly one .dist-info"),
        (b"not a zip", "not a zip"),
        (zipped([("demo.py", b"", 0o644)]), "dist-info"),
        (make_wheel(Recipe(entry_points="[console_scripts]\n../../evil = demo:x\n")), "evil"),
        (make_wheel(Recipe(entry_points="[console_scripts]\nx = demo;import os:x\n")), "demo"),
        (make_wheel(Recipe(entry_points="[console_scripts\n")), "demo"),
        (make_wheel(Recipe(entry_points="[console_scripts]\nx = demo\n")), "name = module:attr"),
    ],
)
def test_a_hostile_or_broken_wheel_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    wheel = stored(tmp_path, Recipe(), data)
    with pytest.raises(LockError, match=f"pip demo 1.0: .*{said}"):
        plan(wheel, THREE)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    wheel = stored(tmp_path, Recipe(), inside(("x.py", b"1", 0o644), ("x.py", b"2", 0o644)))
    with pytest.raises(LockError, match=r"pip demo 1\.0: .*'x\.py' twice"):
        plan(wheel, THREE)


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    data = make_wheel(Recipe(files={"demo.py_evil": b""})).replace(
        b"demo.py_evil", b"demo.py\0evil"
    )
    with pytest.raises(LockError, match=r"pip demo 1\.0: "):
        plan(stored(tmp_path, Recipe(), data), THREE)


@pytest.mark.parametrize("recipe", [Recipe(inner_name="other"), Recipe(inner_version="2.0")])
def test_a11_another_name_or_version_inside_shows_both(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(LockError, match=r"demo 1\.0.*(other|2\.0)") as caught:
        plan(stored(tmp_path, recipe), THREE)
    assert caught.value.hint


def test_an_equal_version_in_another_spelling_is_the_same(tmp_path: Path) -> None:
    assert plan(stored(tmp_path, Recipe(inner_version="1.0.0", inner_name="Demo")), THREE)


def test_a_name_in_both_sections_is_the_graphical_one_as_pip_has_it(tmp_path: Path) -> None:
    text = "[console_scripts]\nx = demo:one\n[gui_scripts]\nx = demo:two\n"
    found = content(tmp_path, Recipe(entry_points=text))
    assert b"from demo import two" in found["opt/venv/bin/x"][1]
    [record] = [data for path, (_, data) in found.items() if path.endswith("/RECORD")]
    assert record.count(b"bin/x,") == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_wheel_gives_a_lock_error_or_a_plan(data: st.DataObject) -> None:
    import tempfile

    whole = bytearray(make_wheel(Recipe(entry_points="[console_scripts]\nx = demo:x\n")))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        try:
            planned = plan(stored(Path(folder), Recipe(), bytes(whole)), THREE)
        except LockError as error:
            assert "demo" in error.message  # noqa: PT017 - either outcome is right
        else:
            assert all(item.path.startswith("opt/venv/") for item in planned)
