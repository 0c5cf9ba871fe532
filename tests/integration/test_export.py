"""`repro export`, each format read by a tool that is not ours."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.pylock import Pylock

from repro.export.facts import states
from repro.models.lock import Deb, Lock
from repro.store.artifacts import Store
from repro.workflows.lockfiles import read_lock
from tests.faults.archive import Archive, State, signing_key
from tests.faults.server import Reply, Server, serving
from tests.faults.sources import LOCKS, RECIPE, pip_settings
from tests.support import TINY_CONFIG, Cli, assert_refused
from tests.watch import faulted
from tests.wheelhouse import make_wheel

pytestmark = pytest.mark.network

WHEELS_OF_PIP = "python3-pip-whl"


@dataclass(frozen=True, kw_only=True)
class Exporting:
    """A locked project of one wheel, the command over the shared store, and its index."""

    cli: Cli
    server: Server

    @property
    def folder(self) -> Path:
        return self.cli.folder

    @property
    def lock(self) -> Lock:
        return read_lock(self.folder / LOCKS, root=self.folder)

    def text(self, name: str) -> str:
        """The format as standard output gives it."""
        answer = self.cli("export", name, "--output", "-")
        assert answer.code == 0, answer
        return answer.out


@pytest.fixture(scope="module")
def template(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporting]:
    folder = tmp_path_factory.mktemp("exporting") / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "numbers.csv").write_text("value\n1\n")
    (folder / "analysis.py").write_text("import demo\n")
    (folder / "repro.toml").write_text(
        TINY_CONFIG.replace("[analysis]", 'apt = ["netbase"]\n[analysis]')
    )
    (folder / "requirements.in").write_text("demo\n")
    with serving() as server:
        server.add_index({RECIPE.filename: make_wheel(RECIPE)}, project="demo")
        extra = pip_settings(f"{server.address}/simple/")
        cli = Cli(cache=cache, folder=folder, extra=extra)
        answer = cli("snapshot")
        assert answer.code == 0, answer
        yield Exporting(cli=cli, server=server)


@pytest.fixture
def exporting(template: Exporting, tmp_path: Path) -> Exporting:
    folder = tmp_path / "project"
    shutil.copytree(template.folder, folder)
    cli = Cli(cache=template.cli.cache, folder=folder, extra=template.cli.extra)
    return Exporting(cli=cli, server=template.server)


def test_pylock_is_read_by_packaging_and_installed_by_uv(
    exporting: Exporting, tmp_path: Path
) -> None:
    """From the vendored folder alone: the file names no host."""
    answer = exporting.cli("export", "pylock", "--json").json()
    assert answer["files"] == ["pylock.toml"]
    assert "repro vendor" in answer["notes"][0]
    assert exporting.cli("vendor").code == 0
    assert exporting.cli("export", "pylock", "--json").json()["notes"] == []
    [item] = exporting.lock.pip
    by_content = exporting.folder / "vendor" / "sha256" / item.sha256[:2] / item.sha256
    by_content.rename(exporting.folder / "vendor" / item.filename)  # where it counts as well
    assert exporting.cli("export", "pylock", "--json").json()["notes"] == []
    text = (exporting.folder / "pylock.toml").read_text()
    assert "://" not in text
    read = Pylock.from_dict(tomllib.loads(text))
    [package] = read.packages
    [item] = exporting.lock.pip
    assert (package.name, str(package.version)) == (item.name, item.version)
    environment = tmp_path / "venv"
    uv = [sys.executable, "-m", "uv", "--offline", "--no-cache", "--quiet"]
    subprocess.run([*uv, "venv", "--python", "/usr/bin/python3.11", environment], check=True)
    python = str(environment / "bin" / "python")
    install = [*uv, "pip", "sync", "--preview", "--python", python, "pylock.toml"]
    subprocess.run(install, cwd=exporting.folder, check=True)
    done = subprocess.run(
        [python, "-c", "import demo; print(demo.VALUE)"], check=True, capture_output=True
    )
    assert done.stdout == b"1\n"


def test_sbom_is_valid_and_has_every_package_and_its_hash(exporting: Exporting) -> None:
    text = exporting.text("sbom")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    lock = exporting.lock
    found = {
        (PackageURL.from_string(one["purl"]).type, one["name"], one["version"]): one
        for one in bill["components"]
    }
    expected = {("deb", deb.name, deb.version): deb.sha256 for deb in lock.debs}
    expected |= {("pypi", item.name, item.version): item.sha256 for item in lock.pip}
    assert {key: one["hashes"][0]["content"] for key, one in found.items()} == expected
    assert uuid.UUID(bill["serialNumber"].removeprefix("urn:uuid:"))
    assert exporting.text("sbom") == text
    assert "timestamp" not in text


@pytest.mark.docker
def test_the_dockerfile_gives_the_packages_without_repro(
    exporting: Exporting, tiny_template: Path, tmp_path: Path
) -> None:
    """From a base that lacks one, by way of a snapshot archive on loopback."""
    record = tomllib.loads((tiny_template / LOCKS / "image.toml").read_text())
    context = tmp_path / "context"
    context.mkdir()
    base, made = (f"repro-export-{name}-{uuid.uuid4().hex[:8]}" for name in ("base", "made"))
    with signing_key(tmp_path / "key") as key:
        serve_snapshot(exporting, State(packages=packages(exporting, tmp_path), key=key))
        shutil.copy(key.ring, context / "test.gpg")
        (context / "Dockerfile").write_text(
            f"FROM repro:{record['image-id'][7:19]}\nUSER root\n"
            "COPY test.gpg /etc/apt/trusted.gpg.d/test.gpg\n"
        )
        try:
            docker("build", "--quiet", "--tag", base, str(context))
            assert "netbase" not in installed(base)
            options = ["--network", "host", "--force-rm", "--quiet", "--tag", made]
            for name, value in (
                ("BASE", base),
                ("APT_SNAPSHOT", exporting.server.address),
                ("PIP_INDEX_URL", f"{exporting.server.address}/simple/"),
            ):
                options += ["--build-arg", f"{name}={value}"]
            docker("build", *options, "-", text=exporting.text("dockerfile"))
            lock = exporting.lock
            assert {deb.name: deb.version for deb in lock.debs}.items() <= installed(made).items()
            said = docker(
                "run",
                "--rm",
                "--network",
                "none",
                made,
                "python",
                "-c",
                "import demo; print(demo.VALUE)",
            )
            assert said == "1\n"
            layers = docker("history", "--no-trunc", made)
            assert "hunter2" not in layers
        finally:
            docker("rmi", "--force", made, base)


def docker(*words: str, text: str | None = None) -> str:
    done = subprocess.run(
        ["docker", *words], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(image: str) -> dict[str, str]:
    """{package: version} of an image's dpkg."""
    said = docker(
        "run",
        "--rm",
        "--network",
        "none",
        image,
        "dpkg-query",
        "-W",
        "-f",
        "${Package} ${Version}\\n",
    )
    return dict(line.split(" ") for line in said.splitlines())


def packages(exporting: Exporting, tmp_path: Path) -> list[Deb]:
    """The locked packages, and Debian's wheel of pip from this host's own mirror."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    folder.chmod(0o777)
    subprocess.run(["apt-get", "download", "--quiet", WHEELS_OF_PIP], cwd=folder, check=True)
    [path] = folder.glob("*.deb")
    data = path.read_bytes()
    version = subprocess.run(
        ["dpkg-deb", "--field", path, "Version"], capture_output=True, text=True, check=True
    )
    wheels = Deb(
        name=WHEELS_OF_PIP,
        version=version.stdout.strip(),
        architecture="all",
        filename=f"pool/main/p/pip/{path.name.replace('%3a', '')}",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        archive="debian",
    )
    for _, _, root in roots(exporting):
        exporting.server.replies[f"{root}/{as_apt_asks(wheels.filename)}"] = Reply(body=data)
    return [*exporting.lock.debs, wheels]


def as_apt_asks(path: str) -> str:
    """The path as apt spells it: small letters in escapes."""
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(path))


def roots(exporting: Exporting) -> list[tuple[str, str, str]]:
    """(archive, suite, path) of the states in which the project was locked."""
    return [
        (archive, suite, f"/archive/{archive}/{moment}")
        for archive, suite, moment in states(exporting.lock)
    ]


def serve_snapshot(exporting: Exporting, state: State) -> None:
    """Serve a snapshot archive of the states in which the project was locked."""
    archive, store = Archive(server=exporting.server), Store(exporting.cli.cache)
    for _, _, root in roots(exporting):
        archive.keeps(state, root.rpartition("/")[2])
        for deb in state.packages:
            if store.has(deb.sha256):
                exporting.server.replies[f"{root}/{as_apt_asks(deb.filename)}"] = Reply(
                    body=store.read(deb.sha256, label=deb.name)
                )


@pytest.mark.docker
def test_an_image_is_loaded_as_a_tar_and_as_a_folder(tiny: Cli, tmp_path: Path) -> None:
    recorded = tomllib.loads((tiny.folder / LOCKS / "image.toml").read_text())["image-id"]
    assert tiny("export", "oci").code == 0
    assert tiny("export", "oci", "--output", str(tmp_path / "layout")).code == 0
    said = docker("load", "--quiet", "--input", str(tiny.folder / ".repro" / "image.oci.tar"))
    name = said.removeprefix("Loaded image: ").strip()
    assert docker("image", "inspect", "--format", "{{.Id}}", name).strip() == recorded
    layout = tmp_path / "layout"
    blobs = [path for path in layout.rglob("*") if path.is_file() and path.parent.name == "sha256"]
    assert all(path.name == hashlib.sha256(path.read_bytes()).hexdigest() for path in blobs)
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    described = json.loads((layout / "blobs" / manifest.replace(":", "/")).read_text())
    named = {described["config"]["digest"], *(one["digest"] for one in described["layers"])}
    assert {manifest, *named} == {f"sha256:{path.name}" for path in blobs}
    streamed = subprocess.run(
        [sys.executable, "-m", "repro", "export", "oci", "--output", "-"],
        cwd=tiny.folder,
        env=tiny.env,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(streamed.stdout)) as tar:
        assert tar.getnames()[0] == "oci-layout"
    assert streamed.stdout == (tiny.folder / ".repro" / "image.oci.tar").read_bytes()


FILES = {
    "dockerfile": ["Dockerfile"],
    "pylock": ["pylock.toml"],
    "sbom": ["sbom.cdx.json"],
    "devcontainer": [".devcontainer/devcontainer.json", ".devcontainer/Dockerfile"],
    "binder": ["binder/apt.txt", "binder/requirements.txt", "binder/runtime.txt"],
}


def test_each_format_has_its_place_and_is_the_same_every_time(exporting: Exporting) -> None:
    lock = exporting.lock.key
    for name, files in FILES.items():
        assert exporting.cli("export", name, "--json").json()["files"] == files
        before = [(exporting.folder / file).read_bytes() for file in files]
        assert exporting.cli("export", name).code == 0
        assert [(exporting.folder / file).read_bytes() for file in files] == before
    answer = exporting.cli("status", "--json").json()
    assert answer["environment_key"] == lock
    assert answer["lock"] == {"stale": [], "edited": []}, "what was written is no input"


def test_what_others_wrote_is_not_replaced(exporting: Exporting, tmp_path: Path) -> None:
    folder = exporting.folder
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "binder").mkdir()
    (folder / "binder" / "postBuild").write_text("mine")
    (folder / "binder" / "runtime.txt").write_text("python-2.7\n")
    faulted(exporting.cli, "export", "dockerfile", code=2, says=["Dockerfile", "--force"])
    faulted(exporting.cli, "export", "binder", code=2, says=["runtime.txt", "--force"])
    faulted(exporting.cli, "export", "dockerfile", "--force", code=0, changes=["Dockerfile"])
    faulted(exporting.cli, "export", "binder", "--force", code=0, changes=["binder"])
    assert (folder / "binder" / "postBuild").read_text() == "mine"
    (folder / "binder" / "runtime.txt").write_text("python-2.7\n")
    assert exporting.cli("export", "binder").code == 0, "an older one of ours"
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    faulted(exporting.cli, "export", "sbom", "--output", "link", code=2, says=["link"])
    places = ("requirements.in", "repro.toml", f"{LOCKS}/repro.lock", "data/numbers.csv")
    for name in places:
        answer = exporting.cli("export", "sbom", "--force", "--output", name)
        assert_refused(answer, 2, name, "it is not for exports")
    assert exporting.cli("status").code == 0


def test_what_cannot_be_exported_is_said(exporting: Exporting) -> None:
    (exporting.folder / "full").mkdir()
    (exporting.folder / "full" / "mine").write_text("mine")
    for words, said in (
        (["explicit"], "no conda packages"),
        (["binder", "--output", "-"], "standard output takes one"),
        (["sbom", "--output", "-", "--json"], "leave out one"),
        (["oci", "--force", "--output", "full"], "is no image"),
        (["nothing"], "is not one of"),
    ):
        answer = exporting.cli("export", *words)
        assert answer.code == 2, answer
        assert said in answer.err + answer.out, answer
