"""Locked conda packages become a prefix in an image: the same bytes wherever they are made."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import pytest

from repro.locks.seal import make_lock
from repro.models.execution import Job
from repro.models.image import Image
from repro.models.lock import Lock
from repro.models.project import Limits
from repro.progress import Silent
from repro.project.load import load_project
from repro.workflows.assemble import assemble
from repro.workflows.lockfiles import read_lock
from repro.workflows.tools import Tools, engine, make_tools
from tests.conda_channel import CondaChannel
from tests.conda_packages import PYTHON, PYTHON_BUILD
from tests.support import Cli

pytestmark = pytest.mark.network

VERSION = "{}.{}.{}".format(*sys.version_info[:3])
PACKAGES = (
    f"python-{VERSION}-h0_0_cpython.conda",
    f"numpy-2.1.3-{PYTHON_BUILD}.conda",
    f"pandas-2.2.3-{PYTHON_BUILD}.conda",
    "libtiny-1.3.0-h0_0.conda",
    "six-1.16.0-py_0.conda",
    "python-dateutil-2.9.0.post0-py_0.conda",
    "pytz-2024.1-py_0.conda",
    "python-tzdata-2024.1-py_0.conda",
    "toolz-0.12.1-py_0.tar.bz2",
    "pip-24.0-py_0.conda",
)
SCRIPT = """\
import ctypes, os, sys, numpy, pandas, toolz
tiny = ctypes.CDLL(os.environ["CONDA_PREFIX"] + "/lib/libtiny.so")
tiny.tiny_prefix.restype = ctypes.c_char_p
print(sys.prefix, tiny.tiny_prefix().decode(), pandas.Series(numpy.arange(5)).sum(), toolz.__name__)
"""
SAID = "/opt/conda /opt/conda/share/tiny 10 toolz\n"


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A project with a lock that has conda packages, and what builds it."""

    cli: Cli
    lock: Lock
    tools: Tools

    def image(self) -> tuple[Image, int]:
        """The image, and how many layers were made for it."""
        return assemble(load_project(self.cli.folder).project, self.lock, self.tools)

    def run(self, name: str, *words: str) -> str:
        """What a command says in the image, in that engine."""
        chosen = engine(name, self.tools.store, Silent())
        if (problem := chosen.probe()) is not None:
            pytest.skip(problem)
        image, _ = self.image()
        chosen.load(image)
        stage = self.cli.folder.parent / f"stage-{name}-{len(words)}"
        stage.mkdir(exist_ok=True)
        log = stage.with_suffix(".log")
        done = chosen.run(
            Job(image=image, steps=(words,), stage=stage, env=image.env, limits=Limits(), log=log)
        )
        assert done.succeeded, log.read_text()
        return log.read_text()


@pytest.fixture
def locked(tiny: Cli, conda_channel: CondaChannel) -> Locked:
    """The small project on conda's Python, with numpy and pandas."""
    was = read_lock(tiny.folder / "lockfiles/linux-amd64", root=tiny.folder)
    lock = make_lock(was.debs, replace(was.seal, python=PYTHON), conda_channel.locked(*PACKAGES))
    return Locked(cli=tiny, lock=lock, tools=make_tools(progress=Silent(), cache_root=tiny.cache))


@pytest.mark.docker
def test_numpy_and_pandas_run_in_both_engines(locked: Locked) -> None:
    image, _ = locked.image()
    for name in ("sandbox", "docker"):
        assert locked.run(name, "python", "-c", SCRIPT) == SAID
        assert "2.1.3" in locked.run(name, "f2py", "-v")
    assert locked.image() == (image, 0)
