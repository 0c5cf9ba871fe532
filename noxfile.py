"""The checks of this project: `sh .ci/with nox` runs them all, `nox -s NAME` one."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "tests", "fixtures"]

ROOT = Path(__file__).parent
DEV = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev")
LOCAL = (".git", ".nox", ".venv", ".repro", "__pycache__", ".*_cache", ".hypothesis", "dist")
REAL = ("tests/contract", "tests/faults", "tests/integration")
FIXTURES = "tests/integration/test_fixtures.py"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: the rules, then the format."""
    session.install(*DEV)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy --strict on the package and the tests."""
    session.install("--editable", ".", *DEV)
    session.run("mypy", "--strict")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test but the fixtures, against the built wheel rather than the tree."""
    stage = install_wheel(session)
    with session.chdir(stage):
        words = session.posargs or ["tests/unit", "tests/test_house.py"]
        session.run("pytest", "-n", "2", *words)
        if not session.posargs:  # real engines, one test at a time: they share the machine
            session.run("pytest", *REAL, f"--ignore={FIXTURES}")


@nox.session
def fixtures(session: nox.Session) -> None:
    """The fixture projects for real: real packages, real images, real runs."""
    with session.chdir(install_wheel(session)):
        session.run("pytest", FIXTURES, *session.posargs)


@nox.session(default=False)
def house(session: nox.Session) -> None:
    """Only the guards of floor plan, documentation and help texts."""
    with session.chdir(install_wheel(session)):
        session.run("pytest", "tests/test_house.py", *session.posargs)


def install_wheel(session: nox.Session) -> Path:
    """Install the built wheel; return a copy of the tree that has everything but `repro/`.

    Where the tree itself is the working directory, Python would import it, not the wheel.
    """
    folder = Path(session.virtualenv.location) / "stage"
    session.install(*DEV)
    session.run("python", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("*.whl")
    session.install(str(wheel))
    wheel.unlink()
    stage = folder / "tree"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(
        ROOT,
        stage,
        ignore=lambda at, names: (
            set(shutil.ignore_patterns(*LOCAL)(at, names))
            | ({"repro"} if Path(at) == ROOT else set())
        ),
        symlinks=True,
    )
    return stage
