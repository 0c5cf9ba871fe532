"""conda's own solver, for the tests: conda as conda-lock brings it along, as a program.

Its classic solver chooses: libmamba is no package of the Python index.
"""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """\
#!{python}
import os, sys, conda_lock
os.environ["CONDA_SOLVER"] = "classic"
os.environ["CONDA_OFFLINE"] = "false"
sys.path.insert(0, os.path.join(os.path.dirname(conda_lock.__file__), "_vendor"))
from conda.cli.main import main
sys.exit(main())
"""


def write_conda(folder: Path) -> Path:
    """Write the program `conda` into a folder."""
    program = folder / "conda"
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return program
