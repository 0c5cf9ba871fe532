"""How long conda packages take from what is on the disk to an environment that can be run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import take_turns
from benchmarks.workshop import Workshop
from repro.ecosystems.conda import layer as conda_layer
from repro.engines.sandbox.engine import Sandbox
from repro.image.config import compose
from repro.models.lock import CondaPackage
from repro.progress import Silent
from repro.store.artifacts import Store
from tests.conda_channel import channel_folder, locked_package
from tests.conda_packages import PYTHON_BUILD

ROUNDS = 7

# Timed inside: an interpreter that used rattler is not ended, it crashes.
LINK = """\
import asyncio, json, os, sys, time
import rattler
records = [
    rattler.RepoDataRecord(
        rattler.PackageRecord(
            name, version, rattler.BuildString(build), 0, subdir,
            noarch="python" if subdir == "noarch" else None, sha256=bytes.fromhex(sha256),
        ),
        filename, address, "file:///channel",
    )
    for name, version, build, subdir, filename, address, sha256 in json.load(open(sys.argv[1]))
]
start = time.perf_counter()
asyncio.run(rattler.install(records, target_prefix=sys.argv[2], cache_dir=sys.argv[3],
    installed_packages=[], show_progress=False, alternative_target_prefix="/opt/conda"))
print(time.perf_counter() - start)
sys.stdout.flush()
os._exit(0)
"""


def figures(workshop: Workshop) -> list[Figure]:
    """Measure the prefix of numpy and pandas: kept, and made anew from the archives."""
    folder = channel_folder()
    store = Store(workshop.scratch / "conda-store")
    packages = tuple(_packages(folder, store))
    job, cache = workshop.scratch / "records.json", workshop.scratch / "rattler-cache"
    job.write_text(json.dumps([_record(package, folder) for package in packages]))
    recipe = conda_layer.recipe(packages, store=store, progress=Silent())

    def made() -> float:
        start = time.perf_counter()
        store.keep_layer(recipe.name, recipe.key, recipe.write)
        return time.perf_counter() - start

    def ready() -> float:
        """Another project's first run with these packages: everything of it is looked up."""
        start = time.perf_counter()
        again = Store(store.root)
        layer = again.layer(conda_layer.key(packages))
        assert layer is not None
        Sandbox(again).load(compose((layer,), env=()))
        return time.perf_counter() - start

    def unpacked_and_linked() -> float:
        shutil.rmtree(cache, ignore_errors=True)
        return _link(job, cache, workshop.scratch / "prefix")

    rounds = workshop.rounds(ROUNDS)
    anew = take_turns({"layer": made, "rattler": unpacked_and_linked}, rounds=rounds)
    kept = take_turns(
        {"ready": ready, "rattler": lambda: _link(job, cache, workshop.scratch / "prefix")},
        rounds=rounds,
    )
    return [
        Figure(
            what=f"{len(packages)} conda packages, warm store: ready to run",
            ours=kept["ready"],
            peers=(("py-rattler, hard links from its cache", kept["rattler"]),),
            target=Target(ratio=1.5),
        ),
        Figure(
            what=f"{len(packages)} conda packages, a layer from the archives, checked",
            ours=anew["layer"],
            peers=(("py-rattler, unpacking and linking", anew["rattler"]),),
            target=Target(ratio=4),
            note="one tar of 145 MB, every file of it hashed",
        ),
    ]


def _packages(folder: Path, store: Store) -> list[CondaPackage]:
    """The newest of each name that this machine can run, in the store."""
    found: dict[str, CondaPackage] = {}
    for part in ("linux-64", "noarch"):
        index = json.loads((folder / part / "repodata.json").read_text())
        for name, record in {**index["packages"], **index["packages.conda"]}.items():
            if record["build"] in ("h0_0_cpython", "h0_0", PYTHON_BUILD, "py_0"):
                found[record["name"]] = locked_package("https://example.org/channel", name, record)
    for package in found.values():
        data = (folder / package.subdir / package.filename).read_bytes()
        store.put([data], package.sha256, label=package.name)
    return list(found.values())


def _record(package: CondaPackage, folder: Path) -> list[str]:
    address = (folder / package.subdir / package.filename).as_uri()
    name, version, build = package.name, package.version, package.build
    return [name, version, build, package.subdir, package.filename, address, package.sha256]


def _link(job: Path, cache: Path, prefix: Path) -> float:
    shutil.rmtree(prefix, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-c", LINK, job, prefix, cache],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
