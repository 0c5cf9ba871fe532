"""A small real image without any download: a shell and some tools of this machine.

Good for what an engine does with containers; what is in them hardly matters there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from repro.image.config import compose
from repro.image.layer import Entry, write_layer
from repro.models.image import Image, Layer
from repro.store.artifacts import Store

TOOLS = (
    "bash", "cat", "chmod", "cp", "date", "dd", "df", "du", "env", "find", "head", "id", "ln",
    "ls", "mkdir", "mkfifo", "rm", "sh", "sleep", "stat", "stty", "tail", "touch", "wc", "yes",
)  # fmt: skip
ENV = (("IMAGE", "set"), ("PATH", "/usr/bin:/bin"))


def host_image(store: Store, *extra: Entry) -> Image:
    """Return the image of the tools, `extra` in a second layer when there are any."""
    layers = [_tools(store)]
    if extra:
        layers.append(_layer(store, "extra", extra))
    return compose(tuple(layers), env=ENV, command=("sh",))


def _tools(store: Store) -> Layer:
    return store.layer("host-tools") or _layer(store, "host-tools", tuple(_entries()))


def _layer(store: Store, key: str, entries: tuple[Entry, ...]) -> Layer:
    return store.keep_layer(key, key, lambda file: write_layer(file, entries))


def _entries() -> Iterator[Entry]:
    folders = ("bin", "lib", "lib64")
    for name in folders:
        yield Entry(path=name, mode=0o777, kind="symlink", link=f"usr/{name}")
    for name in ("dev", "proc", "project", "sys", "tmp"):
        yield Entry(path=name, mode=0o1777 if name == "tmp" else 0o755, kind="dir")
    users = b"root:x:0:0::/root:/bin/sh\nanalyst:x:1000:1000::/tmp/home:/bin/sh\n"
    yield Entry(path="etc/passwd", mode=0o644, kind="file", data=users)
    wanted: set[str] = set()
    for tool in TOOLS:
        found = shutil.which(tool, path="/usr/bin:/bin")
        assert found is not None, f"{tool} is not installed"
        wanted |= {found, *_libraries(found)}
    inside: dict[str, str] = {}
    for path in wanted:
        name = path.lstrip("/")
        inside[f"usr/{name}" if name.split("/")[0] in folders else name] = path
    for name, path in inside.items():
        data = Path(os.path.realpath(path)).read_bytes()
        yield Entry(path=name, mode=0o755, kind="file", data=data)


def _libraries(program: str) -> set[str]:
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return {word for word in words if word.startswith("/")}
