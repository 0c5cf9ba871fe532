"""A package that conda and pip both lock is one clear error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.conda.overlap import distributions, owners, require_disjoint
from repro.errors import LockError
from repro.image.layer import Entry, write_layer
from repro.models.lock import CondaPackage, PipArtifact
from repro.store.artifacts import Store
from tests.conda_archives import Package, part


def pip(name: str, version: str = "2.0") -> PipArtifact:
    return PipArtifact(name=name, version=version, filename="x.whl", size=1, sha256="0" * 64)


def needing(package: Package, *depends: str) -> CondaPackage:
    """What a lock says of a package that needs these."""
    return replace(package.locked(), depends=depends)


def stored(store: Store, package: Package) -> CondaPackage:
    locked = package.locked()
    store.put([package.archive()], locked.sha256, label=package.name)
    return locked


def test_both_versions_are_named() -> None:
    with pytest.raises(LockError) as caught:
        require_disjoint([needing(Package(), "python >=3.9")], [pip("other"), pip("demo")])
    assert "demo: conda demo 1.0 and pip 2.0" in caught.value.message
    require_disjoint([needing(Package(), "python >=3.9")], [pip("other")])


def test_what_needs_no_python_holds_none_of_its_distributions() -> None:
    """conda's `graphviz` is a program and its `tzdata` a database: pip's are something else."""
    graphviz = needing(Package(name="graphviz"), "libzlib >=1.3", "python-less")
    assert distributions(graphviz) == ()
    require_disjoint([graphviz, Package(name="tzdata").locked()], [pip("graphviz"), pip("tzdata")])
    [held] = distributions(
        needing(Package(name="python-graphviz"), "graphviz", "python_abi 3.11.*")
    )
    assert held.name == "graphviz"


def test_names_that_differ_are_known_by_the_archive(tmp_path: Path) -> None:
    """conda's `pytorch` is pip's `torch`: what a package holds counts, not what it is called."""
    store = Store(tmp_path / "store")
    metadata = part("lib/python3.11/site-packages/Ruamel_Yaml-0.18.dist-info/METADATA", b"x")
    egg = part("site-packages/old_thing-3-py3.11.egg-info", b"x")
    for package in (Package(parts=[metadata]), Package(parts=[egg], suffix=".tar.bz2")):
        name = "ruamel-yaml" if package.suffix == ".conda" else "old-thing"
        locked = stored(store, package)
        require_disjoint([locked], [pip("demo")], store)
        with pytest.raises(LockError, match=f"{name}: conda demo 1.0 and pip 2.0"):
            require_disjoint([locked], [pip(name)], store)


def test_known_names_count_where_there_is_no_archive() -> None:
    with pytest.raises(LockError, match=r"tzdata: conda python-tzdata 1\.0 and pip 2\.0"):
        require_disjoint([needing(Package(name="python-tzdata"), "python")], [pip("tzdata")])


def test_owners_are_read_from_the_layer(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    entries = [Entry(path="opt/conda/zlib/x", mode=0o644, kind="file", data=b"x")]
    for name in ("one", "two"):
        text = json.dumps({"name": name, "version": "1", "files": [f"lib/{name}"]})
        path = f"opt/conda/conda-meta/{name}-1-0.json"
        entries.append(Entry(path=path, mode=0o644, kind="file", data=text.encode()))
    layer = store.keep_layer("conda", "0" * 64, lambda file: write_layer(file, entries))
    assert owners(layer, store) == {"opt/conda/lib/one": "one 1", "opt/conda/lib/two": "two 1"}
