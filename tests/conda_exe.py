"""conda's own solver, for the tests: conda as conda-lock brings it along, as a program.

Its classic solver chooses: libmamba is no package of the Python index. That solver wants pycosat,
which is distributed as source alone: it is built here, once for a machine's test cache.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import test_cache

_PYCOSAT = "pycosat==0.6.6"
_PROGRAM = """\
#!{python}
import os, sys, conda_lock
os.environ["CONDA_SOLVER"] = "classic"
os.environ["CONDA_OFFLINE"] = "false"
sys.path.insert(0, {pycosat!r})
sys.path.insert(0, os.path.join(os.path.dirname(conda_lock.__file__), "_vendor"))
from conda.cli.main import main
sys.exit(main())
"""


def write_conda(folder: Path) -> Path:
    """Write the program `conda` into a folder."""
    program = folder / "conda"
    program.write_text(_PROGRAM.format(python=sys.executable, pycosat=str(_pycosat())))
    program.chmod(0o755)
    return program


def _pycosat() -> Path:
    """Return a folder that has pycosat for this interpreter."""
    kept = test_cache() / f"{_PYCOSAT}-{sys.implementation.cache_tag}"
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as work:
        made = Path(work) / "made"
        asked = ["--no-deps", "--disable-pip-version-check", "--quiet", "--target", str(made)]
        subprocess.run([sys.executable, "-m", "pip", "install", *asked, _PYCOSAT], check=True)
        try:
            made.rename(kept)
        except OSError:  # another worker was first
            shutil.rmtree(made)
    return kept
