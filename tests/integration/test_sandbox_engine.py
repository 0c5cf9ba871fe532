"""The sandbox beyond the contract: ordinary users, interruption, terminals, odd layers, hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro import process
from repro.engines.sandbox.engine import Sandbox
from repro.engines.sandbox.unpack import unpacked
from repro.errors import EngineError, LockError
from repro.image.layer import Entry, write_layer
from repro.models.execution import Ending
from repro.models.image import Image, Layer
from repro.models.project import Limits
from repro.store.artifacts import Store
from tests.contract.conftest import Bench, Ran, contract_image, contract_store
from tests.terminal import CTRL_C, CTRL_D, terminal

__all__ = ["contract_image", "contract_store"]

ROOT = Path(__file__).parents[2]
ORDINARY = 12345
"""A user number that nobody on this machine has."""


@pytest.fixture
def bench(contract_store: Store, contract_image: Image, tmp_path: Path) -> Bench:
    """A fresh stage on the sandbox."""
    sandbox = Sandbox(contract_store)
    if (problem := sandbox.probe()) is not None:
        pytest.skip(f"sandbox: {problem}")
    return Bench(engine=sandbox, image=contract_image, folder=tmp_path)


def left_over(marker: str) -> list[str]:
    """Processes of this host whose arguments hold the marker."""
    done = process.run(["ps", "-eo", "pid,ppid,stat,args", "-ww"])
    return [line for line in done.text.splitlines() if marker in line and " ps -eo" not in line]


def eventually(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# ---- an ordinary user -------------------------------------------------------------------------


def interpreter(path: str) -> str:
    """A Python of this version that an ordinary user may run, with this one's packages."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info[1]}"):
        argv = [*as_ordinary(path), candidate, "-c", "import pytest, docker"]
        if process.which(candidate) and process.run(argv).code == 0:
            return candidate
    pytest.skip("no interpreter here that an ordinary user may run: all lie in private folders")


def as_ordinary(path: str) -> list[str]:
    """The words before a command that make an ordinary user of root; none for anybody else."""
    words = ["env", f"PYTHONPATH={path}", "PYTHONDONTWRITEBYTECODE=1"]
    if os.geteuid() != 0:
        return words
    number = str(ORDINARY)
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", *words]


def test_the_contract_as_an_ordinary_user(
    contract_store: Store, contract_image: Image, tmp_path: Path
) -> None:
    """The whole suite again, by somebody with no right on this machine and a store of their own."""
    path = os.pathsep.join([str(ROOT), *(p for p in sys.path if p.endswith("site-packages"))])
    python = interpreter(path)
    with process_folder() as home:
        cache = home / "cache"
        for part in ("sha256", "layers"):
            for layer in contract_image.layers:
                source = (
                    contract_store.layer_path(layer)
                    if part == "sha256"
                    else contract_store.root / "layers" / f"{layer.key}.json"
                )
                target = cache / "contract" / source.relative_to(contract_store.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        if os.geteuid() == 0:
            process.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", home])
        done = process.run(
            [
                *as_ordinary(path),
                f"REPRO_TEST_CACHE={cache}",
                f"HOME={home}",
                f"TMPDIR={home}",
                python,
                "-m",
                "pytest",
                "tests/contract/test_engine_contract.py",
                "-k",
                "sandbox",
                "-q",
                "-p",
                "no:cacheprovider",
                f"--rootdir={ROOT}",
            ],
            timeout=600,
        )
        assert done.code == 0, done.text[-6000:] + done.tail()
        summary = done.text.strip().splitlines()[-1]
        assert " passed" in summary
        assert "skipped" not in summary


def process_folder() -> contextlib.AbstractContextManager[Path]: ...
