"""The bench's own projects and caches: locked and fetched once, kept apart from the user's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.timing import REPRO, Command, say
from repro.ecosystems.apt import fetch as apt_fetch
from repro.ecosystems.pip import fetch as pip_fetch
from repro.models.lock import Lock
from repro.models.project import Project
from repro.progress import Silent
from repro.project.load import load_project
from repro.store.artifacts import Store
from repro.workflows.lockfiles import fresh_lock, read_image_record
from repro.workflows.tools import Tools, make_tools

PYTHON = "3.11"
SUITE = "bookworm"
NO_DAEMON = "unix:///nonexistent/docker.sock"

# `tree` makes the base one that no other image in the daemon shares layers with.
CONFIG = f"""\
[environment]
suite = "{SUITE}"
python = "{PYTHON}"
pip = ["requirements.in"]
apt = ["tree"]

[analysis]
command = ["python", "analysis.py"]
outputs = ["out/"]

[metrics]
files = ["out/metrics.json"]
"""
ANALYSIS = """\
import json, pathlib
pathlib.Path("out").mkdir(exist_ok=True)
json.dump({"one": 1}, open("out/metrics.json", "w"))
"""
SMALL = "tomli"
VERSIONS = ("1.2.1", "1.2.2", "1.2.3", "2.0.0", "2.0.1", "2.0.2")
"""Of a small pure package: what changes when one requirement changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A locked project."""

    folder: Path

    @property
    def project(self) -> Project:
        """As repro reads it."""
        return load_project(self.folder).project

    @property
    def lock(self) -> Lock:
        """Its lock, checked."""
        return fresh_lock(self.project)

    def build(self, cache: Path, *, docker: bool = True) -> Command:
        """Return the command that builds it with this cache; without docker only the sandbox."""
        extra = {"REPRO_CACHE": str(cache)} | ({} if docker else {"DOCKER_HOST": NO_DAEMON})
        return Command(argv=(REPRO, "build"), folder=self.folder, extra=extra)

    def forget_image(self) -> None:
        """Remove what docker holds of it."""
        record = read_image_record(self.project)
        if record is not None:
            remove_image(f"repro:{record.image_id[7:19]}")


@dataclass(kw_only=True)
class Workshop:
    """Scratch folders on the artifacts' file system; `artifacts` stays from run to run."""

    artifacts: Store
    scratch: Path
    quick: bool
    images: list[str] = field(default_factory=list)
    """Names of images that are removed at the end."""

    @classmethod
    @contextmanager
    def open(cls, *, quick: bool) -> Iterator[Workshop]:
        """Yield a workshop below $REPRO_BENCH_CACHE, else /var/tmp; tidy up afterwards."""
        root = Path(os.environ.get("REPRO_BENCH_CACHE", "/var/tmp/repro-bench"))  # noqa: S108
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            made = cls(artifacts=Store(root / "store"), scratch=Path(folder), quick=quick)
            try:
                yield made
            finally:
                for name in made.images:
                    remove_image(name)
                for lock in Path(folder).glob("*/lockfiles"):
                    Stack(folder=lock.parent).forget_image()

    def rounds(self, wanted: int) -> int:
        """How often to measure."""
        return 1 if self.quick else wanted

    @cached_property
    def docker(self) -> bool:
        """Whether a daemon answers; the figures that need it are left out, visibly, if not."""
        try:
            done = subprocess.run(["docker", "version"], capture_output=True, check=False)
        except FileNotFoundError:
            return False
        if done.returncode:
            say("no docker daemon answers: its figures are left out")
        return not done.returncode

    @cached_property
    def tools(self) -> Tools:
        """Repro's collaborators on the kept store."""
        return make_tools(progress=Silent(), cache_root=self.artifacts.root)

    def locked(self, name: str, small: str) -> Stack:
        """Lock the stack with this version of the small package; fetch what the lock names."""
        folder = self.scratch / name
        folder.mkdir()
        (folder / "repro.toml").write_text(CONFIG)
        (folder / "analysis.py").write_text(ANALYSIS)
        lines = ["pandas", "scikit-learn", "matplotlib", f"{SMALL}=={small}"]
        (folder / "requirements.in").write_text("\n".join(lines) + "\n")
        if "stack" in self.__dict__:  # so that nothing else changes
            shutil.copytree(self.stack.folder / "lockfiles", folder / "lockfiles")
        extra = {"REPRO_CACHE": str(self.artifacts.root)}
        Command(argv=(REPRO, "snapshot"), folder=folder, extra=extra)()
        made = Stack(folder=folder)
        project, lock, http = made.project, made.lock, self.tools.http
        fetcher = self.tools.fetcher(None)
        debs = apt_fetch.wanted(lock.debs, project.sources, lock.seal, http)
        fetcher.fetch(debs, what="apt packages")
        fetcher.fetch(pip_fetch.wanted(lock.pip, project.sources, http), what="pip packages")
        return made

    @cached_property
    def stack(self) -> Stack:
        """The stack itself."""
        say("locking and fetching the stack")
        return self.locked("stack", VERSIONS[0])

    def fresh_cache(self) -> Path:
        """Return a new cache that holds every artifact and no layer."""
        store = Store(Path(tempfile.mkdtemp(dir=self.scratch, prefix="cache-")))
        self.provide(store, self.stack)
        return store.root

    def provide(self, store: Store, stack: Stack) -> None:
        """Have the stack's artifacts in another store, as hard links."""
        lock = stack.lock
        for sha256 in (*(deb.sha256 for deb in lock.debs), *(item.sha256 for item in lock.pip)):
            target = store.path(sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.hardlink_to(self.artifacts.path(sha256))

    @cached_property
    def built(self) -> Path:
        """A cache in which the stack is built, and so it is in every engine."""
        cache = self.fresh_cache()
        say("building the stack")
        self.stack.build(cache)()
        return cache


def remove_image(name: str) -> None:
    """Remove an image and its layers from docker, if it is there."""
    assert re.match(r"repro(-bench[a-z-]*)?:", name), name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=False)
