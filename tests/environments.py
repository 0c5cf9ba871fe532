"""Virtual environments made in the tests: wheels of a loopback index, by the real installers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.server import Server
from tests.faults.sources import pip_settings
from tests.support import Cli
from tests.wheelhouse import Recipe, make_wheel

APP = Recipe(
    name="app",
    requires=["lib<3", 'plotting; extra == "plot"', 'winonly; sys_platform == "win32"'],
    entry_points="[console_scripts]\napp = app:main\n",
    files={
        "app.py": b"def main(): print('app 1.0')\n",
        "app-1.0.data/data/share/app/a.txt": b"a\n",
    },
)
LIB = Recipe(
    name="lib",
    version="2.0",
    tag="cp311-cp311-manylinux_2_17_x86_64",
    purelib=False,
    files={"lib/__init__.py": b"VALUE = 2\n", "lib-2.0.data/scripts/lib-run": b"#!python\nx = 1\n"},
)
INDEX = {
    "app": (APP, Recipe(name="app", version="1.1")),
    "lib": (LIB, Recipe(name="lib", version="2.0"), Recipe(name="lib", version="2.1")),
    "tool": (Recipe(name="tool", version="0.9", files={"tool.py": b"T = 9\n"}),),
}
"""What the index has: app 1.0 and the native lib 2.0 are not what a resolver would take today."""


_BACKEND = """\
import pathlib, zipfile

def build_editable(folder, config=None, metadata=None):
    name, info = "NAME-VERSION-py3-none-any.whl", "NAME-VERSION.dist-info"
    files = {
        "_NAME.pth": f"{pathlib.Path.cwd()}\\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: NAME\\nVersion: VERSION\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
"""A build backend that needs nothing, for editable installations alone."""


def write_source(folder: Path, name: str, version: str) -> Path:
    """Write a source folder of one module that can be installed with -e; return it."""
    folder.mkdir()
    (folder / f"{name}.py").write_text("L = 1\n")
    text = _BACKEND.replace("NAME", name).replace("VERSION", version)
    (folder / "backend.py").write_text(text)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    )
    return folder


@dataclass(frozen=True, kw_only=True)
class Venv:
    """A virtual environment of this interpreter."""

    folder: Path
    env: dict[str, str]

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return self.folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

    def uv(self, *words: str) -> None:
        """Install with uv."""
        self._call([sys.executable, "-m", "uv", "pip", "install", "-q", "--python", "PY", *words])

    def pip(self, *words: str) -> None:
        """Install with pip, which is not in the environment itself."""
        quiet = ["-q", "--disable-pip-version-check", "--no-cache-dir"]
        self._call([sys.executable, "-m", "pip", "--python", "PY", "install", *quiet, *words])

    def versions(self) -> dict[str, str]:
        """What its own interpreter finds installed."""
        program = (
            "import importlib.metadata as m, json; "
            "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
        )
        done = subprocess.run(
            [self.folder / "bin/python", "-I", "-c", program], capture_output=True, check=True
        )
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def _call(self, words: Sequence[str]) -> None:
        python = str(self.folder / "bin/python")
        argv = [python if word == "PY" else word for word in words]
        done = subprocess.run(argv, env=self.env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def serve_index(server: Server) -> None:
    """Have the server hold the index, with ranges and without hashes' help."""
    for project, recipes in INDEX.items():
        wheels = {recipe.filename: make_wheel(recipe) for recipe in recipes}
        server.add_index(wheels, project=project)


def make_venv(folder: Path, cli: Cli, server: Server) -> Venv:
    """Make an environment without any package; its installers know the server alone."""
    index = f"{server.address}/simple/"
    env = {**cli.env, **pip_settings(index), "UV_DEFAULT_INDEX": index, "UV_NO_CACHE": "1"}
    argv = [sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, str(folder)]
    subprocess.run(argv, env=env, check=True, capture_output=True)
    return Venv(folder=folder, env=env)


_CONDA = """\
import asyncio, os, sys
from rattler import MatchSpec, Platform, VirtualPackage, install, solve
async def main(prefix, channel, specs):
    asked = [MatchSpec(spec) for spec in specs]
    records = await solve(
        sources=[channel], specs=asked, platforms=[Platform("linux-64"), Platform("noarch")],
        virtual_packages=VirtualPackage.detect(),
    )
    await install(records, target_prefix=prefix, cache_dir=prefix + ".cache", show_progress=False,
                  requested_specs=[spec._match_spec for spec in asked])
asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
os._exit(0)
"""
"""rattler in a process of its own: it may crash at the interpreter's end."""


def make_conda(prefix: Path, channel: str, *specs: str) -> Path:
    """Install a conda prefix with rattler itself; return it."""
    done = subprocess.run(
        [sys.executable, "-c", _CONDA, str(prefix), channel, *specs],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return prefix
