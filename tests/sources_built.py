"""A project of one wheel and two source distributions, of which one builds otherwise every time.

Their build backend is a wheel of the index on loopback, so that a build takes no time. What it
puts into a wheel says what a build sees: the network, and SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.server import Reply, Server, serving
from tests.faults.sources import pip_settings
from tests.support import Cli
from tests.wheelhouse import Recipe, make_sdist, make_wheel

CONFIG = """\
[environment]
suite = "bookworm"
python = "3.11"

[analysis]
command = ["python", "analysis.py"]
outputs = ["out/"]

[metrics]
files = ["out/metrics.json"]
"""
ANALYSIS = """\
import json, demo, restless, steady
json.dump({"demo": demo.VALUE, **steady.SEEN}, open("out/metrics.json", "w"))
"""
BACKEND = rb"""
import base64, hashlib, os, socket, zipfile
from urllib.parse import urlsplit
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

def seen():
    target = urlsplit(open("index.txt").read())
    try:
        socket.create_connection((target.hostname, target.port), 5).close()
        network = True
    except OSError:
        network = False
    return {"network": network, "epoch": int(os.environ.get("SOURCE_DATE_EPOCH", 0))}

def meta(folder):
    name = open("name.txt").read()
    path = name + "-1.0.dist-info"
    os.makedirs(os.path.join(folder, path))
    text = "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name
    for file, data in (("METADATA", text), ("WHEEL", WHEEL)):
        with open(os.path.join(folder, path, file), "w") as target:
            target.write(data)
    return path

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    return meta(folder)

def hashed(data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return "sha256=" + digest.rstrip("=")

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = open("name.txt").read()
    noise = os.urandom(8).hex() if name == "restless" else ""
    files = {
        name + ".py": "SEEN = %r\nNOISE = %r\n" % (seen(), noise),
        name + "-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name,
        name + "-1.0.dist-info/WHEEL": WHEEL,
    }
    files[name + "-1.0.dist-info/RECORD"] = "".join(
        "%s,%s,%d\n" % (path, hashed(text.encode()), len(text)) for path, text in files.items()
    ) + name + "-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(os.path.join(folder, name + "-1.0-py3-none-any.whl"), "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2000, 1, 1, 0, 0, 0)), text)
    return name + "-1.0-py3-none-any.whl"
"""
DECLARED = b'[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
SOURCES = ("restless", "steady")


@contextmanager
def locked(folder: Path, cache: Path) -> Iterator[tuple[Cli, Server]]:
    """Write the project and lock it; its index is gone after the block."""
    folder.mkdir(parents=True)
    (folder / "repro.toml").write_text(CONFIG)
    (folder / "analysis.py").write_text(ANALYSIS)
    (folder / "requirements.in").write_text("demo\nrestless\nsteady\n")
    with serving() as server:
        demo = Recipe()
        backend = Recipe(name="backend", files={"backend.py": BACKEND})
        for recipe in (demo, backend):
            server.add_index({recipe.filename: make_wheel(recipe)}, project=recipe.name)
        for name in SOURCES:
            data = make_sdist(name, "1.0", source(name, server.address))
            server.add_index({f"{name}-1.0.tar.gz": data}, project=name)
        server.replies["/"] = Reply(body=b"reached")
        extra = {
            **pip_settings(f"{server.address}/simple/"),
            "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
            "UV_CACHE_DIR": str(folder.parent / "uv-cache"),
        }
        cli = Cli(cache=cache, folder=folder, extra=extra)
        answer = cli("snapshot")
        assert answer.code == 0, answer
        yield cli, server


def source(name: str, index: str) -> dict[str, bytes]:
    """The files of a source distribution; `index` is the address that its build tries."""
    return {
        "pyproject.toml": DECLARED,
        "name.txt": name.encode(),
        "index.txt": index.encode(),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
    }
