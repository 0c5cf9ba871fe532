"""The checks of this project: `sh .ci/with nox` runs them all, `nox -s NAME` one."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "docs", "tests", "fixtures"]

ROOT = Path(__file__).parent
SETTINGS = nox.project.load_toml("pyproject.toml")
LOCK = "lockfiles/linux-amd64/requirements.txt"
LOCAL = (
    ".git",
    ".nox",
    "build",
    ".venv",
    ".repro",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "dist",
)
REAL = ("tests/contract", "tests/faults", "tests/integration")
FIXTURES = "tests/integration/test_fixtures.py"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: the rules, then the format."""
    install_tools(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy --strict on the package and the tests, and on what builds the documentation."""
    install_tools(session)
    session.run("mypy", "--strict")
    session.run(
        "mypy", "--strict", "docs/conf.py", *map(str, Path("docs/_extensions").glob("*.py"))
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, any warning is an error; follow its links (-- --external: all)."""
    install_tools(session)
    site = ROOT / "build" / "docs"
    build = ("sphinx-build", "-q", "-E", "-W", "--keep-going", "-n")
    session.run(*build, "-b", "html", "docs", str(site))
    session.run("python", "docs/_extensions/check_links.py", str(site))
    if "--external" in session.posargs:
        session.run(*build, "-b", "linkcheck", "docs", str(ROOT / "build" / "linkcheck"))


@nox.session
def tests(session: nox.Session) -> None:
    """Every test but the fixtures, against the built wheel rather than the tree."""
    with session.chdir(install_wheel(session)):
        if session.posargs:
            session.run("pytest", *session.posargs)
            return
        quick = ("pytest", "-n", "2", "tests/unit", "tests/test_house.py", "tests/test_docs.py")
        # two files at a time: half of what these tests do is waiting; a file's tests in turn
        side_by_side = ("-n", "2", "--dist", "loadfile")
        real = ("pytest", *side_by_side, *REAL, f"--ignore={FIXTURES}")
        run_all(session, quick, real)


def run_all(session: nox.Session, *commands: tuple[str, ...]) -> None:
    """Run every command, also after one that failed; then fail if any did."""
    failed = []
    for command in commands:
        try:
            session.run(*command)
        except nox.command.CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error("failed: " + "; ".join(failed))


@nox.session
def fixtures(session: nox.Session) -> None:
    """The fixture projects for real: real packages, real images, real runs."""
    with session.chdir(install_wheel(session)):
        session.run("pytest", FIXTURES, *session.posargs)


@nox.session(default=False)
def house(session: nox.Session) -> None:
    """Only the guards of floor plan, documentation and help texts."""
    with session.chdir(install_wheel(session)):
        session.run("pytest", "tests/test_house.py", "tests/test_docs.py", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure speed beside the peers and write docs/benchmarks.md (12 minutes, a quiet machine)."""
    words = session.posargs or ("--write", str(ROOT / "docs" / "benchmarks.md"))
    with session.chdir(install_wheel(session)):
        session.run("python", "-m", "benchmarks", *words)


def install_tools(session: nox.Session) -> None:
    """Install what the project needs: as locked, on the interpreter that the lock is for."""
    locked = SETTINGS["tool"]["repro"]["environment"]["python"]
    if platform.python_version().startswith(f"{locked}.") and platform.machine() == "x86_64":
        session.install("--require-hashes", "--requirement", str(ROOT / LOCK))
    else:
        groups = nox.project.dependency_groups(SETTINGS, "dev")
        session.install(*SETTINGS["project"]["dependencies"], *groups)


def install_wheel(session: nox.Session) -> Path:
    """Install the built wheel; return a copy of the tree that has everything but `repro/`.

    Where the tree itself is the working directory, Python would import it, not the wheel.
    """
    folder = Path(session.virtualenv.location) / "stage"
    install_tools(session)
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
