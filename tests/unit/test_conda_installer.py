"""A staged prefix that is not what the packages hold is refused, whoever changed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.ecosystems.conda.installer import _Staged
from repro.ecosystems.conda.prefix import targets, without_overlap
from repro.errors import LockError
from tests.conda_archives import PLACEHOLDER, Package, link, part
from tests.unit.test_conda_prefix import unpacked

PACKAGE = Package(
    parts=[
        part("lib/data", b"data"),
        part("etc/conf", f"{PLACEHOLDER}/x".encode()),
        link("lib/link", "data"),
    ]
)


@pytest.fixture
def staged(tmp_path: Path) -> _Staged:
    """What rattler would have left of the package."""
    package = unpacked(tmp_path, PACKAGE)
    stage = tmp_path / "prefix"
    for folder in ("lib", "etc", "conda-meta"):
        (stage / folder).mkdir(parents=True)
    (stage / "lib/data").write_bytes(b"data")
    (stage / "lib/link").symlink_to("data")
    (stage / "etc/conf").write_text("/opt/conda/x")
    (stage / "conda-meta/history").write_text("")
    paths = [{"_path": path} for path in ("lib/data", "lib/link", "etc/conf")]
    record = {"paths_data": {"paths": paths}}
    (stage / "conda-meta/demo-1.0-0.json").write_text(json.dumps(record))
    owned = without_overlap(targets(package, None), [])
    return _Staged(folder=tmp_path, packages=[package], owned=owned)


def test_what_the_package_holds_is_taken(staged: _Staged) -> None:
    found = {path: (kind, mode) for path, kind, mode, _, _ in staged.entries()}
    assert found == {
        "etc/conf": ("file", 0o644),
        "lib/data": ("file", 0o644),
        "lib/link": ("symlink", 0o777),
        "conda-meta/demo-1.0-0.json": ("file", 0o644),
        "conda-meta/history": ("file", 0o644),
    }


def write(path: str, text: str) -> Callable[[Path], None]:
    def doctor(stage: Path) -> None:
        (stage / path).unlink(missing_ok=True)
        (stage / path).write_text(text)

    return doctor


def relink(path: str, target: str) -> Callable[[Path], None]:
    def doctor(stage: Path) -> None:
        (stage / path).unlink(missing_ok=True)
        (stage / path).symlink_to(target)

    return doctor


@pytest.mark.parametrize(
    ("doctor", "says"),
    [
        (write("lib/data", "evil"), "/opt/conda/lib/data has sha256"),
        (write("lib/more", "evil"), "/opt/conda/lib/more was installed, and is in no package"),
        (relink("lib/way", "/etc"), "/opt/conda/lib/way was installed, and is in no package"),
        (relink("lib/link", "/etc/passwd"), "/opt/conda/lib/link is another link"),
        (write("lib/link", "data"), "/opt/conda/lib/link is another link"),
        (relink("lib/data", "/etc/passwd"), "/opt/conda/lib/data is no file"),
        (relink("etc/conf", "/etc/passwd"), "/opt/conda/etc/conf is no file"),
    ],
)
def test_anything_else_is_refused(
    staged: _Staged, doctor: Callable[[Path], None], says: str
) -> None:
    doctor(staged.stage)
    with pytest.raises(LockError) as caught:
        staged.entries()
    assert says in caught.value.message


def test_a_file_that_names_the_staging_folder_is_refused(staged: _Staged) -> None:
    write("etc/conf", f"prefix={staged.folder}/prefix")(staged.stage)
    with pytest.raises(LockError, match=r"/opt/conda/etc/conf names "):
        staged.entries()


def test_a_file_that_was_not_installed_is_refused(staged: _Staged) -> None:
    record = staged.stage / "conda-meta/demo-1.0-0.json"
    record.write_text(json.dumps({"paths_data": {"paths": [{"_path": "lib/data"}]}}))
    for path in ("lib/link", "etc/conf"):
        (staged.stage / path).unlink()
    with pytest.raises(LockError, match="was not installed"):
        staged.entries()
