"""What of pip runs inside an image: pip-tools, builds, bytecode; on real bases, in the sandbox.

Packages come from an index on loopback, so that the public one decides nothing here; only the
resolver's own tools and Debian are the real ones.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.download import Http
from repro.ecosystems.apt import fetch as apt_fetch
from repro.ecosystems.apt import interpreter
from repro.ecosystems.apt import layer as apt_layer
from repro.ecosystems.apt.resolve import AptResolver
from repro.ecosystems.pip import bootstrap
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.fetch import wanted
from repro.ecosystems.pip.layers import LayerTarget, recipes
from repro.ecosystems.pip.layout import of as layout_of
from repro.ecosystems.pip.resolve import PipRequest, PipResolution, resolve
from repro.ecosystems.pip.sdist import have_built
from repro.engines.sandbox.engine import Sandbox
from repro.errors import LockError, NetworkError, UsageError
from repro.image.config import compose
from repro.models.execution import HOME, Job
from repro.models.image import Image, Layer
from repro.models.lock import Deb, Interpreter, Lock, PipArtifact, Seal, Upgrade
from repro.models.project import PLATFORM, Environment, Limits, RequirementSet, Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.faults.server import Reply, Server, serving
from tests.support import test_cache
from tests.wheelhouse import Recipe, make_sdist, make_wheel

pytestmark = pytest.mark.network

PATH = "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True)
class Base:
    """A real base image, in the store that the tests share."""

    suite: str
    python: str
    glibc: str
    store: Store
    layer: Layer
    debs: tuple[Deb, ...]

    @property
    def builder(self) -> Builder:
        engine = Sandbox(self.store)
        if (problem := engine.probe()) is not None:
            pytest.skip(f"no sandbox here: {problem}")
        return Builder(engine=lambda: engine, image=self.image)

    def image(self, *layers: Layer) -> Image:
        return compose((self.layer, *layers), env=(("PATH", PATH),))

    def lock(self, pip: tuple[PipArtifact, ...]) -> Lock:
        seal = Seal(
            platform=PLATFORM, suite=self.suite, python=self.python, inputs=(), locks=(), pip=pip
        )
        return Lock(debs=self.debs, pip=pip, seal=seal, key="")

    def run(self, image: Image, code: str, folder: Path) -> str:
        """What `python -v -c CODE` says in the image."""
        (folder / "stage").mkdir(parents=True)
        job = Job(
            image=image,
            steps=((f"python{self.python}", "-v", "-c", code),),
            stage=folder / "stage",
            env=(("HOME", HOME), ("PATH", PATH)),
            limits=Limits(best_effort=True),
            log=folder / "log",
        )
        done = self.builder.engine().run(job)
        said = (folder / "log").read_text()
        assert done.succeeded, said
        return said


def make_base(suite: str, python: str) -> Base:
    store = Store(test_cache() / "store")
    with AptResolver(store.root / "apt", Sources(), Silent()).open(suite) as index:
        glibc = index.glibc()
        found = index.resolve((), python=python, apt_source="apt.txt")
    recipe = apt_layer.recipe(
        found.debs, suite=suite, python=python, store=store, progress=Silent()
    )
    layer = store.layer(recipe.key)
    if layer is None:
        seal = Seal(
            platform=PLATFORM, suite=suite, python=python, inputs=(), locks=(), pip=(),
            provenance=found.provenance,
        )  # fmt: skip
        fetcher = Fetcher(store=store, http=Http(), progress=Silent())
        fetcher.fetch(apt_fetch.wanted(found.debs, Sources(), seal), what="apt packages")
        layer = store.keep_layer(recipe.name, recipe.key, recipe.write)
    Fetcher(store=store, http=Http(), progress=Silent()).fetch(
        wanted(bootstrap.tools(python), Sources(), Http()), what="tools"
    )
    return Base(suite=suite, python=python, glibc=glibc, store=store, layer=layer, debs=found.debs)


@pytest.fixture(scope="module")
def two() -> Base:
    return make_base("bullseye", "2.7")


@pytest.fixture(scope="module")
def three() -> Base:
    return make_base("bookworm", "3.11")


@pytest.fixture(params=["two", "three"])
def base(request: pytest.FixtureRequest) -> Base:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Base)
    return found


SETUP = b"""\
from setuptools import setup
try:
    from urllib.request import urlopen
except ImportError:
    from urllib2 import urlopen
try:
    value = urlopen("SERVER/leak", timeout=5).read().decode()
except Exception as error:
    value = type(error).__name__
with open("source.py", "w") as file:
    file.write("VALUE = %r\\n" % value)
setup(name="source", version="1.0", py_modules=["source"])
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """An index with wheels for both interpreters and one source distribution."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    tag = "py2.py3-none-any"
    with serving() as server:
        for project, recipes_of in {
            "app": [Recipe(name="app", requires=["lib<3"], tag=tag)],
            "lib": [
                Recipe(name="lib", version=version, tag=tag) for version in ("1.0", "2.0", "3.0")
            ],
        }.items():
            files = {recipe.filename: make_wheel(recipe) for recipe in recipes_of}
            server.add_index(files, project=project)
        setup = SETUP.replace(b"SERVER", server.address.encode())
        metadata = b"Metadata-Version: 1.0\nName: source\nVersion: 1.0\n"
        sdist = make_sdist("source", "1.0", {"setup.py": setup, "PKG-INFO": metadata})
        server.add_index({"source-1.0.tar.gz": sdist}, project="source")
        server.replies["/leak"] = Reply(body=b"leaked")
        broken = make_sdist(
            "broken", "1.0", {"setup.py": b"print('reason is here')\nimport nosuch\n"}
        )
        server.add_index({"broken-1.0.tar.gz": broken}, project="broken")
        yield server


def lock(base: Base, server: Server, *lines: str, **more: object) -> PipResolution:
    environment = Environment(
        suite=base.suite,
        python=base.python,
        resolver="pip-tools",
        pip=(
            RequirementSet(path="requirements.in", lines=lines),
            RequirementSet(path="limits.txt", lines=("unused<1",), constraint=True),
        ),
    )
    request = PipRequest(
        environment=environment,
        interpreter=Interpreter.of_debian(base.python),
        glibc=base.glibc,
        sources=Sources(indexes=(("default", f"{server.address}/simple"),)),
    )
    request = replace(request, **more)  # type: ignore[arg-type]
    http = Http()
    return resolve(
        request,
        store=base.store,
        fetcher=Fetcher(store=base.store, http=http, progress=Silent()),
        http=http,
        builder=base.builder,
    )


def serve_tools(server: Server, base: Base) -> None:
    """Put what builds a source distribution into the index."""
    for item in bootstrap.some(base.python, "packaging", "setuptools", "wheel"):
        data = base.store.read(item.sha256, label=item.name)
        server.add_index({item.filename: data}, project=item.name)


def pins(resolution: PipResolution) -> list[str]:
    return [f"{item.name}=={item.version}" for item in resolution.artifacts]


def test_pip_tools_locks_and_keeps_pins(base: Base, server: Server) -> None:
    old = lock(base, server, "app", "lib==1.0")
    assert pins(old) == ["app==1.0", "lib==1.0"]
    assert dict(old.provenance[0].facts)["resolver"] == "pip-tools"
    kept = lock(base, server, "app", previous=old.artifacts)
    assert kept.artifacts == old.artifacts
    moved = lock(base, server, "app", previous=old.artifacts, upgrade=Upgrade(names=("lib",)))
    assert pins(moved) == ["app==1.0", "lib==2.0"]


def test_pip_tools_and_uv_agree(three: Base, server: Server) -> None:
    by_tools = lock(three, server, "app")
    environment = Environment(
        suite=three.suite,
        python=three.python,
        pip=(RequirementSet(path="requirements.in", lines=("app",)),),
    )
    assert lock(three, server, environment=environment).artifacts == by_tools.artifacts


def test_what_pip_tools_cannot_resolve_names_the_input(base: Base, server: Server) -> None:
    with pytest.raises(UsageError, match=r"requirements\.in, .*cannot be resolved") as caught:
        lock(base, server, "lib==9.0")
    assert "lib==9.0" in caught.value.message
    assert "Traceback" not in caught.value.message
    assert caught.value.hint == "change the requirements in requirements.in, limits.txt"
    with pytest.raises(NetworkError, match=r"requirements\.in"):
        lock(base, server, "lib", sources=Sources(indexes=(("default", "http://127.0.0.1:9/s"),)))


def test_an_index_in_a_folder_is_seen_inside(
    two: Base, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    recipe = Recipe(name="lib", version="2.5", tag="py2.py3-none-any")
    (links / recipe.filename).write_bytes(make_wheel(recipe))
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    assert pins(lock(two, server, "app")) == ["app==1.0", "lib==2.5"]


def test_a_source_distribution_is_built_without_network(
    base: Base, server: Server, tmp_path: Path
) -> None:
    serve_tools(server, base)
    found = lock(base, server, "source")
    [source] = found.artifacts
    assert source.filename == "source-1.0.tar.gz"
    assert source.build is not None
    assert {"pip", "setuptools", "wheel"} <= {item.name for item in source.build.requires}
    with zipfile.ZipFile(base.store.path(source.build.sha256)) as wheel:
        value = wheel.read("source.py").decode()
    assert "leaked" not in value
    assert "URLError" in value
    kept = lock(base, server, "source", previous=found.artifacts)
    assert kept.artifacts == found.artifacts
    image = base.image(*layers(base, base.store, found.artifacts))
    assert "URLError" in base.run(image, "import source; print(source.VALUE)", tmp_path / "run")


def test_a_build_that_gives_other_bytes_is_refused(base: Base, server: Server) -> None:
    serve_tools(server, base)
    [source] = lock(base, server, "source").artifacts
    assert source.build is not None
    other = replace(source, build=dataclasses.replace(source.build, sha256="0" * 64))
    with pytest.raises(LockError, match=r"pip source 1\.0") as caught:
        have_built(
            [other],
            interpreter=Interpreter.of_debian(base.python),
            builder=base.builder,
            store=base.store,
        )
    for said in ("0" * 64, source.build.sha256):
        assert said in caught.value.message
    assert not base.store.has("0" * 64)


def test_a_build_that_fails_shows_its_last_words(two: Base, server: Server) -> None:
    with pytest.raises((LockError, UsageError), match="nosuch") as caught:
        lock(two, server, "broken")
    assert caught.value.hint


def test_a_source_without_wheel_is_found_by_uv_in_the_image(three: Base, server: Server) -> None:
    environment = Environment(
        suite=three.suite,
        python=three.python,
        pip=(RequirementSet(path="requirements.in", lines=("app", "nometa")),),
    )
    bare = make_sdist(
        "nometa",
        "1.0",
        {
            "pyproject.toml": b'[build-system]\nrequires = ["backend"]\n'
            b'build-backend = "backend"\n',
            "nometa.py": b"",
        },
    )
    server.add_index({"nometa-1.0.tar.gz": bare}, project="nometa")
    backend = Recipe(name="backend", files={"backend.py": BACKEND})
    server.add_index({backend.filename: make_wheel(backend)}, project="backend")
    found = lock(three, server, environment=environment)
    assert pins(found) == ["app==1.0", "lib==2.0", "nometa==1.0"]
    assert dict(found.provenance[0].facts)["resolver"] == "uv in the image"
    build = found.artifacts[2].build
    assert build is not None
    assert [item.name for item in build.requires] == ["backend", "pip"]


BACKEND = b"""
import os, zipfile
META = "Metadata-Version: 2.1\\nName: nometa\\nVersion: 1.0\\nRequires-Dist: lib<3\\n"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, "nometa-1.0.dist-info"))
    for name, text in (("METADATA", META), ("WHEEL", WHEEL)):
        with open(os.path.join(folder, "nometa-1.0.dist-info", name), "w") as file:
            file.write(text)
    return "nometa-1.0.dist-info"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "nometa-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
        for path, text in (("METADATA", META), ("WHEEL", WHEEL), ("RECORD", "")):
            info = zipfile.ZipInfo("nometa-1.0.dist-info/" + path, (2000, 1, 1, 0, 0, 0))
            file.writestr(info, text)
    return name
"""


def layers(
    base: Base, store: Store, pip: tuple[PipArtifact, ...], *, alone: bool = False
) -> list[Layer]:
    """Make the layers of these wheels; `alone`: compiled by the interpreter without a base."""
    target = LayerTarget.of(base.lock(pip))
    builder = base.builder
    if alone:
        recipe = interpreter.recipe(base.debs, python=base.python, store=base.store)
        layer = base.store.keep_layer(recipe.name, recipe.key, recipe.write)
        image = compose((layer,), env=(("PATH", PATH),))
        builder = replace(builder, image=unwanted, compiler=lambda: image)
    found = recipes(pip, target=target, store=store, builder=builder)
    return [store.keep_layer(item.name, item.key, item.write) for item in found]


def unwanted() -> Image:
    raise AssertionError("the base is not needed")


MODULES = {f"many/m{n}.py": f"import os, sys\nX = ({n}, 'shared', {{1, 2}})\n" for n in range(40)}


def test_bytecode_is_there_valid_and_the_same_however_it_is_made(
    base: Base, server: Server, tmp_path: Path
) -> None:
    files = {name: text.encode() for name, text in MODULES.items()}
    files |= {f"many/{one.__name__}.py": inspect.getsource(one).encode() for one in (json, tarfile)}
    files |= {"many/__init__.py": b"", "many/broken.py": b"x = = 1\n", "many/größe.py": b"X = 1\n"}
    recipe = Recipe(name="many", files=files, tag="py2.py3-none-any")
    server.add_index({recipe.filename: make_wheel(recipe)}, project="many")
    found = lock(base, server, "many", "app").artifacts
    built: list[list[Layer]] = []
    for store in (Store(tmp_path / "one"), Store(tmp_path / "other"), base.store):
        sources = Sources(indexes=(("default", f"{server.address}/simple"),))
        fetcher = Fetcher(store=store, http=Http(), progress=Silent())
        fetcher.fetch(wanted(found, sources, fetcher.http), what="pip packages")
        built.append(layers(base, store, found, alone=store.root.name == "other"))
    one, other, kept = ([layer.digest for layer in made] for made in built)
    assert one == other == kept
    layout = layout_of(Interpreter.of_debian(base.python))
    with tarfile.open(base.store.layer_path(built[-1][-1])) as tar:
        names = set(tar.getnames())
    assert layout.compiled(f"{layout.site}/many/größe.py") in names
    assert layout.compiled(f"{layout.site}/many/broken.py") not in names
    said = base.run(base.image(*built[-1]), "import many.m7; print(many.m7.X)", tmp_path / "run")
    assert "m7" in "".join(line for line in said.splitlines() if " matches " in line)
    assert "many/broken" not in said
