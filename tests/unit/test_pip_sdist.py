"""What a source distribution declares, the pinned tools, and how a step sees local indexes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from repro.ecosystems.pip import bootstrap
from repro.ecosystems.pip.indexes import Index, Indexes
from repro.ecosystems.pip.jobs import network_environment, show_local
from repro.ecosystems.pip.pages import ListedFile
from repro.ecosystems.pip.sdist import build_requirements
from repro.ecosystems.pip.select import best
from repro.ecosystems.pip.tags import Target, supported
from repro.errors import LockError, ReproError, UsageError
from repro.models.lock import PipArtifact
from repro.store.artifacts import Store
from tests.wheelhouse import make_sdist


def requires(
    tmp_path: Path, data: bytes, filename: str = "demo-1.0.tar.gz"
) -> tuple[str, ...] | None:
    store = Store(tmp_path)
    sha256 = hashlib.sha256(data).hexdigest()
    store.put([data], sha256, label="demo")
    item = PipArtifact(name="demo", version="1.0", filename=filename, size=len(data), sha256=sha256)
    return build_requirements(item, store)


def sdist(files: Mapping[str, str]) -> bytes:
    return make_sdist("demo", "1.0", {name: text.encode() for name, text in files.items()})


def test_declared_build_requirements(tmp_path: Path) -> None:
    text = '[build-system]\nrequires = ["wheel", "Flit_Core >=3.2,<4"]\n'
    assert requires(tmp_path, sdist({"setup.py": "", "pyproject.toml": text})) == (
        "Flit_Core<4,>=3.2",
        "wheel",
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("demo-1.0/pyproject.toml", text)
    assert requires(tmp_path, buffer.getvalue(), "demo-1.0.zip") is not None


@pytest.mark.parametrize(
    "files",
    [
        {"setup.py": ""},
        {"pyproject.toml": "[tool.black]\n"},
        {"inner/pyproject.toml": '[build-system]\nrequires = ["evil"]\n'},
    ],
)
def test_nothing_declared(tmp_path: Path, files: dict[str, str]) -> None:
    assert requires(tmp_path, sdist(files)) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[build-system\n", LockError),
        ('[build-system]\nrequires = ["a @ https://example.org/a.whl"]\n', UsageError),
        ('[build-system]\nrequires = ["--index-url x"]\n', LockError),
        ('[build-system]\nrequires = ["a\\n-r evil"]\n', LockError),
        ("[build-system]\nrequires = [1]\n", LockError),
        ("[build-system]\nrequires = 1\n", LockError),
        ("build-system = 1\n", LockError),
    ],
)
def test_a_declaration_that_cannot_be_used(
    tmp_path: Path, text: str, kind: type[ReproError]
) -> None:
    with pytest.raises(kind, match=r"pip demo 1\.0"):
        requires(tmp_path, sdist({"pyproject.toml": text}))


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    data = sdist({"pyproject.toml": "x" * 5000})
    for broken in (data[: len(data) // 2], b"no archive"):
        with pytest.raises(LockError, match=r"pip demo 1\.0: .*demo-1\.0\.tar\.gz"):
            requires(tmp_path, broken)


@pytest.mark.parametrize(
    ("python", "glibc"), [("2.7", "2.31"), ("3.9", "2.31"), ("3.11", "2.36"), ("3.13", "2.41")]
)
def test_the_pinned_tools_fit_every_interpreter(python: str, glibc: str) -> None:
    tools = bootstrap.tools(python)
    assert {"pip", "pip-tools", "setuptools", "wheel", "click"} <= {item.name for item in tools}
    for item in tools:
        file = ListedFile(filename=item.filename, address="", index="x")
        assert best([file], supported(Target(python=python, glibc=glibc))) == file


def test_folders_of_this_host_are_bound_below_the_project(tmp_path: Path) -> None:
    stage, root, links = tmp_path / "stage", tmp_path / "index/simple", tmp_path / "links"
    for folder in (stage, root, links):
        folder.mkdir(parents=True)
    indexes = Indexes(
        indexes=(
            Index(alias="default", given=None),
            Index(alias="corp", given="https://corp.example.org/simple"),
            Index(alias="extra-1", given=root.as_uri()),
        ),
        find_links=(str(links), "https://links.example.org/", str(tmp_path / "gone")),
    )
    shown = show_local(indexes, stage)
    assert [index.given for index in shown.indexes.indexes] == [
        None,
        "https://corp.example.org/simple",
        "file:///project/indexes/0/simple",
    ]
    assert shown.indexes.find_links == ("/project/indexes/1", "https://links.example.org/")
    assert [(mount.source, mount.target) for mount in shown.mounts] == [
        (root.parent, "/project/indexes/0"),
        (links, "/project/indexes/1"),
    ]
    inside = "file:///project/indexes/0/files/x.whl"
    assert shown.on_host(inside) == f"{root.parent.as_uri()}/files/x.whl"
    assert shown.on_host("https://example.org/x") == "https://example.org/x"


def test_a_ca_bundle_of_the_users_own_goes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert dict(network_environment(tmp_path))["PIP_CERT"].startswith("/etc/ssl/")
    own = tmp_path / "own.pem"
    own.write_text("certificates")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    found = dict(network_environment(tmp_path))
    assert found["SSL_CERT_FILE"] == "/project/ca.pem"
    assert (tmp_path / "ca.pem").read_text() == "certificates"
    assert found["https_proxy"] == "http://proxy.example.org:3128"
