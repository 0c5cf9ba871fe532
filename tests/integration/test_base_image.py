"""Images of somebody else's as the base: in both engines, out of the docker engine too."""

from __future__ import annotations

import io
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from repro.engines.base import Engine
from repro.errors import NetworkError
from repro.models.execution import Job
from repro.models.image import Image
from repro.models.project import Limits
from repro.progress import Silent
from repro.workflows.base import image_of, pin_base, python_of
from repro.workflows.tools import Tools, engine, make_tools
from tests.based import Based, based_on
from tests.foreign import Foreign, foreign
from tests.integration.test_registry import PLATFORM, Notes, contents, pin
from tests.registry import (
    MadeImage,
    Registry,
    digest_of,
    made_image,
    registry_running,
    tar_member,
    tar_of,
)
from tests.support import Cli, write_tiny

__all__ = ["foreign"]

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_running(tmp_path_factory.mktemp("registry")) as running:
        yield running


def owned(info: tarfile.TarInfo, uid: int, gid: int) -> tarfile.TarInfo:
    info.uid, info.gid = uid, gid
    return info


def device(name: str, major: int, minor: int) -> tarfile.TarInfo:
    info = tar_member(name, tarfile.CHRTYPE, mode=0o666)
    info.devmajor, info.devminor = major, minor
    return info


def old_gnu(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar as older builders write it: long names in GNU's way, times before 1970."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:", format=tarfile.GNU_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


LONG = "deep/" + "a-rather-long-name/" * 8 + "file"
EMPTY = bytes(10240)
"""A layer that changes nothing: builders write one for each of some instructions."""

ODD = [
    tar_of(
        (tar_member("./", tarfile.DIRTYPE, mode=0o755), b""),
        (tar_member("./odd/", tarfile.DIRTYPE, mode=0o755), b""),
        (tar_member("./odd/gone"), b"x"),
        (tar_member("./odd/folder/", tarfile.DIRTYPE, mode=0o755), b""),
        (tar_member("./odd/folder/gone"), b"x"),
        (tar_member("./odd/opaque/", tarfile.DIRTYPE, mode=0o755), b""),
        (tar_member("./odd/opaque/gone"), b"x"),
        (tar_member("./odd/was-file"), b"x"),
        (tar_member("./odd/was-folder/", tarfile.DIRTYPE, mode=0o755), b""),
        (tar_member("./odd/was-folder/gone"), b"x"),
        (tar_member("./odd/link", tarfile.SYMTYPE, link="/odd/one"), b""),
    ),
    EMPTY,
    old_gnu(
        (tar_member(f"odd/{LONG}"), b"long"),  # none of its parents is named
        (tar_member("odd/.wh.gone"), b""),
        (tar_member("odd/.wh.folder"), b""),
        (tar_member("odd/opaque/.wh..wh..opq"), b""),
        (tar_member("odd/opaque/new"), b"new"),
        (tar_member("odd/was-file/", tarfile.DIRTYPE, mode=0o755), b""),
        (tar_member("odd/was-file/in"), b"in"),
        (tar_member("odd/was-folder"), b"file"),
        (tar_member("odd/one"), b"one"),
        (tar_member("odd/same", tarfile.LNKTYPE, link="odd/one"), b""),
        (owned(tar_member("odd/setuid", mode=0o4755), 0, 42), b"x"),
        (owned(tar_member("odd/private", mode=0o600), 1000, 1000), b"mine"),
        (device("odd/null", 1, 3), b""),
    ),
    EMPTY,
]
SCRIPT = """\
cd /odd
for name in * */* deep/*/*; do
    [ -c "$name" ] || echo "$name $(stat -c %F "$name")"
done
cat link same was-file/in was-folder opaque/new private deep/*/*/*/*/*/*/*/*/file
echo "$FLAVOUR"
[ -d /project ] && touch /project/written && echo writable
touch /odd/new 2>&1 | cat
"""


def said(image: Image, tools: Tools, name: str, folder: Path) -> str:
    """What the script says in an engine."""
    running: Engine = engine(name, tools.store, tools.progress)
    if (problem := running.probe()) is not None:
        pytest.skip(problem)
    running.load(image)
    stage = folder / f"stage-{name}"
    stage.mkdir()
    job = Job(
        image=image,
        steps=(("sh", "-c", SCRIPT),),
        stage=stage,
        env=image.env,
        limits=Limits(timeout=60.0),
        log=folder / f"log-{name}",
    )
    execution = running.run(job)
    text = job.log.read_text()
    assert execution.succeeded, text
    return text


def test_layers_of_other_builders_are_the_same_in_both_engines(
    registry: Registry, tools_layer: bytes, tmp_path: Path
) -> None:
    made = made_image([tools_layer, *ODD], env=["PATH=/usr/bin:/bin", "FLAVOUR=vanilla"])
    registry.push("odd", "1", made)
    tools = make_tools(progress=Silent(), cache_root=tmp_path / "cache")
    image = image_of(pin(f"{registry.host}/odd:1", tools), tools)
    assert [layer.digest for layer in image.layers] == [digest_of(x) for x in [tools_layer, *ODD]]
    sandbox = said(image, tools, "sandbox", tmp_path)
    assert sandbox == said(image, tools, "docker", tmp_path)
    assert "gone" not in sandbox
    assert "was-file directory" in sandbox
    assert "oneoneinfilenewminelongvanilla" in sandbox
    assert "writable" in sandbox
    assert "Read-only file system" in sandbox


@pytest.fixture
def daemon() -> Iterator[docker.APIClient]:
    try:
        client = docker.APIClient(version="auto")
    except DockerException as error:
        pytest.skip(f"no Docker daemon: {error}")
    yield client
    client.close()


def loaded(client: docker.APIClient, image: MadeImage, layers: list[bytes], name: str) -> None:
    """Have the image in the daemon, as `docker load` takes it."""
    archive = tar_of(
        (tar_member("config.json"), image.config),
        *((tar_member(f"{number}/layer.tar"), data) for number, data in enumerate(layers)),
        (
            tar_member("manifest.json"),
            (
                f'[{{"Config": "config.json", "RepoTags": ["{name}"], "Layers": ['
                + ", ".join(f'"{number}/layer.tar"' for number in range(len(layers)))
                + "]}]"
            ).encode(),
        ),
    )
    list(client.load_image(io.BytesIO(archive)))  # type: ignore[no-untyped-call]


def test_an_image_that_only_the_engine_has_is_pinned_by_its_id(
    daemon: docker.APIClient, registry: Registry, tmp_path: Path
) -> None:
    layers = [tar_of((tar_member("one"), b"1")), tar_of((tar_member("two"), b"2" * 3000))]
    made = made_image(layers)
    name = f"{registry.host}/only/here:1"
    loaded(daemon, made, layers, name)
    try:
        notes = Notes()
        tools = make_tools(progress=notes, cache_root=tmp_path / "cache")
        base = pin(name, tools)
        assert base.digest == base.id == made.id
        assert f"no registry has it, so it is {made.id}" in notes.said[0]
        assert contents(tools, base) == layers
        fresh = make_tools(progress=notes, cache_root=tmp_path / "fresh")
        assert contents(fresh, base) == layers
    finally:
        daemon.remove_image(name)


def test_a_registry_that_does_not_answer_is_named_once_and_says_nothing_of_the_image(
    daemon: docker.APIClient, tmp_path: Path
) -> None:
    layer = tar_of((tar_member("one"), b"1"))
    made = made_image([layer])
    name = "127.0.0.1:1/gone/here:1"
    with pytest.raises(NetworkError) as caught:
        pin(name, make_tools(progress=Notes(), cache_root=tmp_path / "cache"))
    assert caught.value.message.count(name) == 1
    loaded(daemon, made, [layer], name)
    try:
        notes = Notes()
        pin(name, make_tools(progress=notes, cache_root=tmp_path / "cache"))
        assert f"no digest of it is known here, so it is {made.id}" in notes.said[-1]
        assert not any("no registry has it" in note for note in notes.said)
    finally:
        daemon.remove_image(name)


def test_what_the_engine_pulled_stands_in_for_a_registry_that_is_gone(
    daemon: docker.APIClient, tmp_path: Path
) -> None:
    layers = [tar_of((tar_member("pulled"), tmp_path.name.encode()))]
    with registry_running(tmp_path / "registry") as registry:
        name = f"{registry.host}/pulled"
        made = registry.push("pulled", "1", made_image(layers))
        daemon.pull(name, tag="1")
        try:
            tools = make_tools(progress=Silent(), cache_root=tmp_path / "cache")
            base = pin(f"{name}:1", tools)
            registry.stop()
            notes = Notes()
            fresh = make_tools(progress=notes, cache_root=tmp_path / "fresh")
            assert contents(fresh, base) == layers
            again = make_tools(progress=notes, cache_root=tmp_path / "again")
            assert pin(f"{name}:1", again) == base
            assert base.digest == made.digest
            assert "pinned from the docker engine" in notes.said[-1]
        finally:
            daemon.remove_image(f"{name}:1")
        with pytest.raises(ImageNotFound):
            daemon.inspect_image(f"{name}:1")  # type: ignore[no-untyped-call]


CONFIG = """\
[environment]
image = "{name}"
python = "{python}"

[analysis]
command = ["python3", "analysis.py"]
data = ["data/numbers.csv"]
outputs = ["out/"]
timeout = "60s"

[metrics]
files = ["out/metrics.json"]
"""


OWN = tar_of(
    (tar_member("opt/venv/bin/python3", tarfile.SYMTYPE, link="/usr/bin/python3"), b""),
    (tar_member("opt/venv/pyvenv.cfg"), b"home = /usr/bin\n"),
    (tar_member("opt/venv/lib/python3.11/site-packages/own.py"), b""),
)
"""An environment of the image's own, where the locked packages go."""


@pytest.fixture
def on_python(tiny: Cli, registry: Registry, cache: Path, tmp_path: Path) -> Cli:
    """The small project, on an image with Python: what repro itself bootstrapped."""
    record = tomllib.loads((tiny.folder / "lockfiles/linux-amd64/image.toml").read_text())
    tools = make_tools(progress=Silent(), cache_root=cache)
    base = tools.store.path(record["layers"][0]["digest"].removeprefix("sha256:")).read_bytes()
    made = made_image([base, OWN], env=["PATH=/opt/venv/bin:/usr/bin:/bin"], compress=bytes)
    registry.push("python", "3.11", replace(made, layer_type=made.layer_type.removesuffix("+gzip")))
    folder = tmp_path / "on-python"
    write_tiny(folder)
    with (folder / "analysis.py").open("a") as file:
        file.write("import importlib.util\nassert importlib.util.find_spec('own') is None\n")
    name = f"{registry.host}/python:3.11"
    (folder / "repro.toml").write_text(CONFIG.format(name=name, python="3.11"))
    return Cli(cache=cache, folder=folder)


def test_a_project_stands_on_an_image_with_python(on_python: Cli) -> None:
    answer = on_python("snapshot", "--json")
    assert answer.code == 0, answer
    assert answer.json()["python"] == "3.11"
    assert "its python3 is of the virtual environment /opt/venv, whose packages" in answer.err
    sealed = tomllib.loads((on_python.folder / "lockfiles/linux-amd64/repro.lock").read_text())
    assert sealed["base"]["interpreter"] == "/usr/bin/python3.11"
    assert (sealed["base"]["suite"], sealed["base"]["glibc"]) == ("bookworm", "2.36")
    for words in (
        ["build"],
        ["accept", "--reason", "x", "--engine", "sandbox"],
        ["verify", "--engine", "docker", "--offline"],
    ):
        answer = on_python(*words)
        assert answer.code == 0, (words, answer)
    config = on_python.folder / "repro.toml"
    config.write_text(config.read_text().replace('python = "3.11"', 'python = "3.12"'))
    answer = on_python("snapshot")
    assert answer.code == 2
    assert "has Python 3.11.2, and Python 3.12 is asked for" in answer.err


def test_apt_comes_on_top_of_an_image(
    foreign: Foreign, registry: Registry, cache: Path, tmp_path: Path
) -> None:
    """Through the commands; its Python is not whole, so that pip's packages are refused."""
    layers = [foreign.store.layer_path(layer).read_bytes() for layer in foreign.image.layers]
    layers.append(tar_of((tar_member("usr/lib/python3.11/.wh.compileall.py"), b"")))
    made = made_image(layers, env=["PATH=/usr/bin:/bin"], compress=bytes)
    registry.push("debian", "1", replace(made, layer_type=made.layer_type.removesuffix("+gzip")))
    project = Cli(cache=cache, folder=tmp_path / "project")
    write_tiny(project.folder)
    name = f"{registry.host}/debian:1"
    config = project.folder / "repro.toml"
    config.write_text(f'[environment]\nimage = "{name}"\napt = ["libgomp1"]\npip = ["r.in"]\n')
    (project.folder / "r.in").write_text("six\n")
    answer = project("snapshot")
    assert answer.code == 2, answer
    assert "/usr/bin/python3.11 lacks the module compileall" in answer.err
    config.write_text(config.read_text().replace('["r.in"]', "[]"))
    for words in (["snapshot"], ["build"]):
        answer = project(*words)
        assert answer.code == 0, (words, answer)
    record = (project.folder / "lockfiles/linux-amd64/image.toml").read_text()
    assert [item["name"] for item in tomllib.loads(record)["layers"]][:5] == [
        "base 1", "base 2", "base 3", "apt", "hidden",
    ]  # fmt: skip
    assert "Package: libgomp1" in (project.folder / "lockfiles/linux-amd64/apt.lock").read_text()


def test_an_image_without_python_takes_no_packages_of_it(based: Based) -> None:
    config = based.cli.folder / "repro.toml"
    config.write_text(config.read_text().replace("pip = []", 'pip = ["requirements.in"]'))
    (based.cli.folder / "requirements.in").write_text("six\n")
    answer = based.cli("snapshot")
    assert answer.code == 2
    assert "has no python3 in its PATH, and Python packages are asked for" in answer.err
    assert not (based.cli.folder / "lockfiles").exists()


def test_a_python_that_does_not_run_is_refused(
    registry: Registry, tools_layer: bytes, tmp_path: Path
) -> None:
    broken = tar_of(
        (tar_member("usr/bin/python3", mode=0o755), b"#!/bin/sh\necho no >&2\nexit 1\n")
    )
    registry.push("broken", "1", made_image([tools_layer, broken], env=["PATH=/usr/bin:/bin"]))
    tools = make_tools(progress=Silent(), cache_root=tmp_path / "cache")
    with pytest.raises(Exception, match="its /usr/bin/python3 does not run: no"):
        python_of(
            pin_base(f"{registry.host}/broken:1", PLATFORM, tools, keep=None, upgrade=False), tools
        )


def test_a_login_is_in_nothing_that_is_written(tools_layer: bytes, tmp_path: Path) -> None:
    with registry_running(tmp_path / "registry", login=True) as registry:
        project = based_on(registry, tools_layer, tmp_path)
        for words in (["snapshot"], ["build"]):
            answer = project.cli(*words)
            assert answer.code == 0, answer
        assert registry.login is not None
        for folder in (project.cli.folder, project.cli.cache):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    assert registry.login[1].encode() not in path.read_bytes(), path
