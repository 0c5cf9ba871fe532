"""The peer of a whole build: `docker build` of the equivalent Dockerfile on the same base.

Its base is ours, imported; its wheels are ours, served on loopback: a warm cache for both, and no
index is asked. It runs pip with the locked requirements, hashes checked, as people write it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pip

from benchmarks.timing import Command
from benchmarks.workshop import Stack, Workshop, remove_image
from repro.models.image import Layer
from repro.store.artifacts import Store

BASE = "repro-bench-base:1"
IMAGE = "repro-bench:1"
TEXT = f"""\
FROM {BASE}
COPY pip /usr/share/pip
COPY requirements.txt /usr/share/requirements.txt
ARG WHEELS
RUN PYTHONPATH=/usr/share/pip python3 -m pip install --no-index --find-links $WHEELS \\
    --prefix /opt/venv --root-user-action ignore --no-cache-dir --disable-pip-version-check \\
    --require-hashes --requirement /usr/share/requirements.txt
ENV PATH=/opt/venv/bin:$PATH
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dockerfile:
    """A build context; `wheels` is the folder that is served at `address`."""

    folder: Path
    wheels: Path
    address: str

    @classmethod
    @contextmanager
    def serving(cls, workshop: Workshop) -> Iterator[Dockerfile]:
        """Yield the context, its wheels served while the block lasts."""
        folder, wheels = workshop.scratch / "context", workshop.scratch / "wheels"
        folder.mkdir()
        wheels.mkdir()
        (folder / "Dockerfile").write_text(TEXT)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(pip.__file__).parent, folder / "pip" / "pip", ignore=ignored)
        handler = partial(_Quiet, directory=str(wheels))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_address[1]}/"
            try:
                yield cls(folder=folder, wheels=wheels, address=address)
            finally:
                server.shutdown()
                workshop.images += [IMAGE, BASE]

    def of(self, stack: Stack, workshop: Workshop, *, cached: bool) -> Callable[[], float]:
        """Return the build of a stack; `cached` lets docker reuse the layers that it has."""
        for item in stack.lock.pip:
            target = self.wheels / item.filename
            if not target.exists():
                target.hardlink_to(workshop.artifacts.path(item.sha256))
        words = ["build", "--quiet", "--network", "host", "--tag", IMAGE]
        words += ["--build-arg", f"WHEELS={self.address}", *([] if cached else ["--no-cache"])]
        # the classic builder everywhere: the other one is no part of Debian's docker
        extra = {"DOCKER_BUILDKIT": "0"}
        command = Command(argv=("docker", *words, "."), folder=self.folder, extra=extra)
        locked = stack.project.lock_folder / "requirements.txt"

        def measure() -> float:
            shutil.copy(locked, self.folder / "requirements.txt")
            return command()

        return measure


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def import_base(store: Store, layer: Layer, scratch: Path) -> None:
    """Give docker the base layer as an image of other layers than ours.

    One file more: else the daemon would know our base already when it is sent.
    """
    remove_image(BASE)
    tar = scratch / "base.tar"
    shutil.copy(store.layer_path(layer), tar)
    tar.chmod(0o600)
    (scratch / "benchmark").write_text("docker build's base\n")
    subprocess.run(["tar", "-rf", tar, "-C", scratch, "benchmark"], check=True)
    subprocess.run(["docker", "import", tar, BASE], check=True, capture_output=True)
    tar.unlink()
