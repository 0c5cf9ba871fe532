"""Project pages, find-links folders, and the choice of one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.download import Http
from repro.ecosystems.pip.fetch import wanted
from repro.ecosystems.pip.indexes import Index, Indexes
from repro.ecosystems.pip.pages import Catalogue, ListedFile, parse_page, project_of
from repro.ecosystems.pip.select import best
from repro.ecosystems.pip.tags import Target, supported
from repro.errors import LockError, NetworkError
from repro.models.project import Sources
from tests.wheelhouse import Recipe, artifact, make_wheel

A = "a" * 64
BASE = "https://index.example.org/simple/demo/"
JSON = "application/vnd.pypi.simple.v1+json"


def test_an_html_page() -> None:
    page = f"""<html><body><a href="../../files/demo-1.0-py3-none-any.whl#sha256={A}">x</a>
    <a href="https://files.example.org/demo-1.0%2Bcpu.tar.gz?token=1">y</a></body></html>"""
    one, two = parse_page(page.encode(), "text/html; charset=utf-8", base=BASE, index="default")
    assert one.filename == "demo-1.0-py3-none-any.whl"
    assert one.address == "https://index.example.org/files/demo-1.0-py3-none-any.whl"
    assert (one.sha256, one.size, one.index) == (A, None, "default")
    assert two.filename == "demo-1.0+cpu.tar.gz"
    assert two.sha256 is None


def test_a_json_page() -> None:
    page = {
        "files": [
            {"filename": "demo-1.0-py3-none-any.whl", "url": "../x.whl", "size": 7, "hashes": {}},
            {"filename": "demo-1.0.zip", "url": "y", "hashes": {"sha256": A}},
        ]
    }
    one, two = parse_page(json.dumps(page).encode(), JSON, base=BASE, index="corp")
    assert (one.address, one.size, one.sha256) == (
        "https://index.example.org/simple/x.whl",
        7,
        None,
    )
    assert (two.sha256, two.size, two.index) == (A, None, "corp")


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": 1}', '{"files": [1]}', "{", "[" * 9999])
def test_json_of_another_shape_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_page(text.encode(), JSON, base=BASE, index="x")


@given(st.binary())
def test_arbitrary_html_never_crashes(data: bytes) -> None:
    for file in parse_page(data, "text/html", base=BASE, index="x"):
        assert "/" not in file.filename


def test_an_address_with_a_login_is_not_in_the_repr() -> None:
    file = ListedFile(filename="x", address="https://me:secret@example.org/x", index="x")
    assert "secret" not in repr(file)


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("Demo_Project-1.0-py3-none-any.whl", ("demo-project", "1.0")),
        ("demo.project-1.0.0rc1.tar.gz", ("demo-project", "1.0.0rc1")),
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", ("torch", "2.13.0+cpu")),
        ("demo-1.0.win32-py2.7.exe", None),
        ("demo-1.0-py2.7.egg", None),
        ("index.html", None),
    ],
)
def test_which_project_a_file_is_of(filename: str, project: tuple[str, str] | None) -> None:
    assert project_of(filename) == project


def listed(*filenames: str) -> list[ListedFile]:
    return [ListedFile(filename=name, address="", index="x") for name in filenames]


def chosen(python: str, glibc: str, *filenames: str) -> str | None:
    file = best(listed(*filenames), supported(Target(python=python, glibc=glibc)))
    return file.filename if file else None


def test_the_best_wheel_is_the_one_pip_takes() -> None:
    old = "n-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    new = "n-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    newest = "n-1.0-cp311-cp311-manylinux_2_39_x86_64.whl"
    pure = "n-1.0-py3-none-any.whl"
    assert chosen("3.11", "2.36", pure, old, newest, new, "n-1.0.tar.gz") == new
    assert chosen("3.11", "2.17", pure, old, newest, new) == old
    assert chosen("3.13", "2.41", pure, old, newest, new) == pure
    assert chosen("3.13", "2.41", old, "n-1.0.zip", "n-1.0.tar.gz") == "n-1.0.tar.gz"
    assert chosen("3.13", "2.41", old, "n-1.0.exe") is None


def test_a_higher_build_number_wins() -> None:
    one, nine, ten = (f"n-1.0-{n}py3-none-any.whl".replace("-py", "-py") for n in ("", "9-", "10-"))
    assert chosen("3.11", "2.36", nine, ten, one) == ten


def folder_index(root: Path, files: dict[str, bytes], project: str = "demo") -> str:
    """An index as a folder: <root>/<name>/index.html beside the files."""
    (root / "files").mkdir(parents=True)
    page = root / "simple" / project / "index.html"
    page.parent.mkdir(parents=True)
    for name, data in files.items():
        (root / "files" / name).write_bytes(data)
    links = "".join(f'<a href="../../files/{name}">{name}</a>' for name in files)
    page.write_text(f"<html><body>{links}</body></html>")
    return (root / "simple").as_uri()


def test_indexes_on_disk_and_find_links(tmp_path: Path) -> None:
    wheel = Recipe()
    address = folder_index(tmp_path / "index", {wheel.filename: make_wheel(wheel)})
    links = tmp_path / "links"
    links.mkdir()
    (links / "demo-2.0-py3-none-any.whl").write_bytes(b"")
    (links / "other-1.0-py3-none-any.whl").write_bytes(b"")
    indexes = Indexes(indexes=(Index(alias="default", given=address),), find_links=(str(links),))
    files = list(Catalogue(indexes, Http()).files("demo", "default"))
    assert [file.filename for file in files] == [wheel.filename, "demo-2.0-py3-none-any.whl"]
    assert files[1].size == 0


def test_an_index_that_lacks_the_project_is_no_error_while_another_has_it(tmp_path: Path) -> None:
    address = folder_index(tmp_path / "index", {"demo-1.0.tar.gz": b""})
    empty = tmp_path / "empty"
    empty.mkdir()
    indexes = Indexes(
        indexes=(Index(alias="default", given=empty.as_uri()), Index(alias="b", given=address))
    )
    catalogue = Catalogue(indexes, Http())
    assert [file.index for file in catalogue.files("demo", "default")] == ["b"]
    with pytest.raises(NetworkError, match="nothere"):
        list(catalogue.files("nothere", "default"))


def test_the_locked_hash_wins_over_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D37: another file of the same name, and higher versions, on another index do not matter."""
    recipe = Recipe()
    right, wrong = make_wheel(recipe), make_wheel(Recipe(files={"demo.py": b"VALUE = 2\n"}))
    newer = Recipe(version="9.9")
    for name, data in (("a", wrong), ("b", right)):
        root = tmp_path / name
        address = folder_index(root, {recipe.filename: data, newer.filename: make_wheel(newer)})
        page = root / "simple/demo/index.html"
        digest = artifact(recipe, data).sha256
        page.write_text(
            page.read_text().replace(f'{recipe.filename}"', f'{recipe.filename}#sha256={digest}"')
        )
        monkeypatch.setenv(f"PIP_{'EXTRA_' if name == 'b' else ''}INDEX_URL", address)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    [one] = wanted([artifact(recipe, right)], Sources(), Http())
    assert one.label == "pip demo 1.0"
    addresses = list(one.addresses())
    assert addresses == [(tmp_path / "b/files" / recipe.filename).as_uri()]
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    [one] = wanted([artifact(recipe, right)], Sources(), Http())
    with pytest.raises(LockError, match=artifact(recipe, wrong).sha256) as caught:
        list(one.addresses())
    assert artifact(recipe, right).sha256 in caught.value.message
