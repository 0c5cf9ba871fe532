"""Packages that conda and pip both lock: one prefix holds one of them only.

A conda package of Python says which distributions it holds: each has a folder
`NAME-VERSION.dist-info` (PEP 376) or `.egg-info`. Where the archive is not there yet, the name of
a package that needs Python, and the few that are known to differ, stand for that: conda's
`graphviz` is a program, its `tzdata` a database, and the index has packages of Python so called.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from repro.ecosystems.conda.layout import META, PREFIX, archive_name
from repro.errors import LockError
from repro.files import local_errors
from repro.locks import names
from repro.models.image import Layer
from repro.models.lock import CondaPackage, PipArtifact
from repro.store.artifacts import Store

_DISTRIBUTION = re.compile(
    r"(?:lib/python[^/]+/)?site-packages/([^/]+?)-([^/-]+)(?:-py[^/]*)?\.(?:dist|egg)-info(?:/.*)?"
)
_OTHERWISE = {
    "python-tzdata": "tzdata",
    "python-graphviz": "graphviz",
    "python-fastjsonschema": "fastjsonschema",
    "brotli-python": "brotli",
    "numpy-base": "numpy",
    "pyarrow-core": "pyarrow",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "msgpack-python": "msgpack",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "seaborn-base": "seaborn",
    "dask-core": "dask",
    "xgboost-base": "xgboost",
    "py-xgboost": "xgboost",
}
"""Distributions that conda knows by another name."""

_PYTHON = frozenset({"python", "python_abi"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A distribution of Python that a conda package holds; `name` is normalised (PEP 503)."""

    name: str
    version: str
    package: CondaPackage


def require_disjoint(
    conda: Iterable[CondaPackage], pip: Iterable[PipArtifact], store: Store | None = None
) -> None:
    """Raise LockError where conda and pip lock the same package, naming all and both versions.

    With a store, archives that are in it say themselves what they hold.
    """
    held: dict[str, Held] = {}
    for package in conda:
        for one in distributions(package, store):
            held.setdefault(one.name, one)
    both = [(held[item.name], item) for item in pip if item.name in held]
    if not both:
        return
    lines = [
        f"{item.name}: conda {one.package.name} {one.package.version} and pip {item.version}"
        for one, item in sorted(both, key=lambda pair: pair[1].name)
    ]
    first = both[0][1].name
    raise LockError(
        "locked by both conda and pip:\n  " + "\n  ".join(lines),
        hint=f"leave {first} to one of them: drop it from environment.yml's dependencies, or from "
        "pip's requirements; what needs it takes the other's",
    )


def distributions(package: CondaPackage, store: Store | None = None) -> tuple[Held, ...]:
    """Return the distributions of Python that a package holds, by its archive or by its name."""
    if store is not None and store.has(package.sha256):
        return tuple(
            Held(name=name, version=version, package=package)
            for name, version in _inside(package, store)
        )
    if _PYTHON.isdisjoint(spec.partition(" ")[0] for spec in package.depends):
        return ()
    name = canonicalize_name(_OTHERWISE.get(package.name, package.name))
    return (Held(name=name, version=package.version, package=package),)


def _inside(package: CondaPackage, store: Store) -> list[tuple[str, str]]:
    from repro.ecosystems.conda.archive import listing

    path = store.path(package.sha256)
    filename = archive_name(package)
    where = f"conda {package.name} {package.version}: {filename}"
    found = {_distribution(item) for item in listing(path, filename, where)}
    return sorted(one for one in found if one is not None)


def _distribution(path: str) -> tuple[str, str] | None:
    found = _DISTRIBUTION.fullmatch(path)
    return (canonicalize_name(found[1]), found[2]) if found else None


def owners(layer: Layer, store: Store) -> dict[str, str]:
    """Return {path in the image, without a slash before: package and version} of a conda layer.

    Read from conda's own records in it. Raises LockError for a layer that is none.
    """
    path = store.layer_path(layer)
    top = PREFIX.removeprefix("/")
    found: dict[str, str] = {}
    with local_errors(path), tarfile.open(path, mode="r:") as tar:
        for member in tar:
            if member.name.startswith(f"{top}/{META}/") and member.name.endswith(".json"):
                stream = tar.extractfile(member)
                record: Mapping[str, Any] = json.loads(stream.read() if stream else b"{}")
                package = f"{record['name']} {record['version']}"
                found |= {f"{top}/{item}": package for item in record["files"]}
            elif found and not member.name.startswith(f"{top}/{META}/"):
                break  # they are sorted: no more records
    if not found:
        raise LockError(f"layer {names.shown(layer.name)}: holds no records of conda")
    return found
