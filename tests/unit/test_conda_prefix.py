"""Whose each path of a conda prefix is, and what conda's records say of it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from repro.ecosystems.conda.archive import Packed, inspect
from repro.ecosystems.conda.bytecode import renewed, source_of
from repro.ecosystems.conda.explicit import render
from repro.ecosystems.conda.layer import key
from repro.ecosystems.conda.layout import archive_name, channel_name
from repro.ecosystems.conda.prefix import (
    Archive,
    Owned,
    Unpacked,
    check_identity,
    record,
    site_packages,
    targets,
    without_overlap,
)
from repro.errors import LockError
from repro.models.image import EPOCH
from tests.conda_archives import Package, part

SITE = "lib/python3.11/site-packages"


def unpacked(folder: Path, package: Package) -> Unpacked:
    path = folder / package.filename
    path.write_bytes(package.archive())
    locked = package.locked()
    archive = Archive(
        name=package.name,
        version="1.0",
        build="0",
        subdir=package.subdir,
        filename=package.filename,
        sha256=locked.sha256,
        path=str(path),
    )
    contents = inspect(path, package.filename, archive.label)
    return Unpacked(archive=archive, contents=contents, md5="0" * 32, size=locked.size)


def owned(*packages: Unpacked, allowed: tuple[str, ...] = ()) -> Owned:
    return without_overlap([one for each in packages for one in targets(each, SITE)], allowed)


def test_a_noarch_package_of_python_goes_where_the_interpreter_looks(tmp_path: Path) -> None:
    parts = [part("site-packages/demo.py"), part("python-scripts/demo-old"), part("share/x")]
    noarch = unpacked(tmp_path, Package(parts=parts, points=["demo = demo:main"], index=PYTHON))
    assert [one.path for one in targets(noarch, SITE)] == [
        "bin/demo",
        "bin/demo-old",
        f"{SITE}/demo.py",
        "share/x",
    ]
    with pytest.raises(LockError, match="needs conda's python, which is not locked"):
        targets(noarch, None)


PYTHON = {"noarch": "python"}


def test_the_interpreter_says_where_it_looks(tmp_path: Path) -> None:
    python = unpacked(tmp_path, Package(name="python"))
    assert site_packages([python]) == "lib/python1.0/site-packages"
    said = {"python_site_packages_path": "lib/python3.13t/site-packages"}
    free = unpacked(tmp_path, Package(name="python", index=said))
    assert site_packages([free]) == "lib/python3.13t/site-packages"
    assert site_packages([]) is None


def test_another_package_inside_is_refused(tmp_path: Path) -> None:
    for index in ({"name": "evil"}, {"version": "2"}, {"build": "../x"}, {"subdir": "noarch"}):
        with pytest.raises(LockError, match="says inside that it is") as caught:
            check_identity(unpacked(tmp_path, Package(index=index)))
        assert repr(next(iter(index.values()))) in caught.value.message
    check_identity(unpacked(tmp_path, Package()))


def test_conda_meta_is_the_prefix_s_own(tmp_path: Path) -> None:
    package = unpacked(tmp_path, Package(parts=[part("conda-meta/demo-1.0-0.json", b"{}")]))
    with pytest.raises(LockError, match="is the prefix's own"):
        targets(package, SITE)


def test_one_file_of_two_packages_is_both_s(tmp_path: Path) -> None:
    one, two = (unpacked(tmp_path, Package(name=name)) for name in ("one", "two"))
    found = owned(one, two)
    assert found.of(one.archive) == found.of(two.archive) == {"share/demo.txt"}


def test_two_files_on_one_path_are_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    one = unpacked(tmp_path, Package(name="one"))
    two = unpacked(tmp_path, Package(name="two", parts=[part("share/demo.txt", b"other")]))
    with pytest.raises(LockError) as caught:
        owned(one, two)
    assert caught.value.message == (
        "conda one 1.0 and two 1.0 both write /opt/conda/share/demo.txt, differently"
    )
    for allowed in ("two", "share/demo.txt", "/opt/conda/share/demo.txt"):
        found = owned(one, two, allowed=(allowed,))
        assert found.targets["share/demo.txt"].owner is two.archive
        assert found.of(one.archive) == frozenset()


def test_a_file_where_another_needs_a_folder_is_refused(tmp_path: Path) -> None:
    one = unpacked(tmp_path, Package(name="one", parts=[part("share", b"1")]))
    with pytest.raises(LockError, match="both write /opt/conda/share, differently"):
        owned(one, unpacked(tmp_path, Package(name="two")))


def test_a_record_tells_nothing_of_the_host(tmp_path: Path) -> None:
    package = unpacked(tmp_path, Package(index={"license": "MIT", "arch": None}))
    host = "/home/somebody/cache"
    written: dict[str, Any] = {
        "extracted_package_dir": host,
        "link": {"source": host, "type": 1},
        "paths_data": {
            "paths": [
                {"_path": "share/demo.txt__clobber-from-demo", "original_path": "share/demo.txt"},
                {"_path": "lost", "path_type": "hardlink"},
                {"_path": "lib/l", "path_type": "softlink", "sha256_in_prefix": "1" * 64},
            ]
        },
        "url": f"file://{host}",
    }
    text = record(package, written, {"share/demo.txt": "f" * 64, "lib/l": None})
    found = json.loads(text)
    assert host not in text
    assert found["files"] == ["lib/l", "share/demo.txt"]
    assert found["paths_data"]["paths"] == [
        {"_path": "lib/l", "path_type": "softlink"},
        {"_path": "share/demo.txt", "sha256_in_prefix": "f" * 64},
    ]
    assert found["license"] == "MIT"
    assert "arch" not in found
    assert "channel" not in found, "the environment's key knows none: other mirrors, same image"
    assert found["url"] == "file:///opt/conda/pkgs/demo-1.0-0.conda"


# ------------------------------------------------------------------- bytecode


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lib/a/__pycache__/b.cpython-311.pyc", "lib/a/b.py"),
        ("__pycache__/b.cpython-313t.opt-1.pyc", "b.py"),
        ("lib/a/b.pyc", None),
        ("lib/a/b.py", None),
    ],
)
def test_the_source_of_bytecode(path: str, source: str | None) -> None:
    assert source_of(path) == source


def test_bytecode_that_was_valid_is_valid_in_an_image() -> None:
    source = Packed(path="b.py", kind="file", mode=0o644, size=7, mtime=1_600_000_000)
    data = struct.pack("<4sLLL", b"\xa7\r\r\n", 0, 1_600_000_000, 7) + b"code"
    new = renewed(data, source)
    assert new == struct.pack("<4sLLL", b"\xa7\r\r\n", 0, EPOCH, 7) + b"code"
    for stale in (
        struct.pack("<4sLLL", b"\xa7\r\r\n", 0, 1_600_000_001, 7),
        struct.pack("<4sLLL", b"\xa7\r\r\n", 0, 1_600_000_000, 8),
        struct.pack("<4sLLL", b"\xa7\r\r\n", 3, 1_600_000_000, 7),
        b"short",
    ):
        assert renewed(stale, source) is None


# ----------------------------------------------------------- keys and exports


def test_the_key_is_of_content_not_of_hosts() -> None:
    package = Package()
    one = package.locked("https://example.org/conda-forge")
    mirror = package.locked("http://127.0.0.1:8080/mirrors/conda-forge/")
    assert key([one]) == key([mirror]) == key([package.locked("https://example.org/other")])
    others = [
        key([Package(parts=[part("x", b"2")]).locked("https://example.org/conda-forge")]),
        key([one], ["demo"]),
        key([]),
    ]
    assert len({key([one]), *others}) == 4


def test_names_of_channels_and_archives() -> None:
    assert channel_name("https://example.org/conda-forge/") == "conda-forge"
    assert channel_name("https://example.org/t/x/label/dev") == "dev"
    package = Package(version="1!2")
    assert archive_name(package.locked()) == "demo-1!2-0.conda"


def test_explicit_lists() -> None:
    locked = Package().locked()
    text = render([locked], "linux-64")
    assert text == (
        "# This file may be used to create an environment using:\n"
        "# $ conda create --name <env> --file <this file>\n"
        "# platform: linux-64\n"
        "@EXPLICIT\n"
        f"https://example.org/channel/linux-64/demo-1.0-0.conda#sha256:{locked.sha256}\n"
    )
