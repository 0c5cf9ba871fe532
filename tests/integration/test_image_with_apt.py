"""A project on an image of somebody else's, with apt packages on top: the whole command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.locks import apt
from tests.faults.archive import Archive, State, signing_key
from tests.faults.server import Reply, Server, serving
from tests.foreign import Foreign, Package, foreign
from tests.registry import OCI, MadeImage, made_image, registry_running
from tests.support import Cli
from tests.watch import faulted

__all__ = ["foreign"]
pytestmark = pytest.mark.docker

LOCKS = "lockfiles/linux-amd64"
CONFIG = """\
[environment]
image = "{image}"
apt = ["alpha"]

[analysis]
command = ["python3", "analysis.py"]
outputs = ["out/"]
timeout = "60s"

[metrics]
files = ["out/metrics.json"]
"""
ANALYSIS = """\
import json, os
found = {
    "alpha": float(open("/usr/share/alpha/value").read()),
    "beta": float(open("/usr/share/beta/value").read()),
    "issue": int(os.path.exists("/etc/issue")),
    "diverted": int(os.path.exists("/usr/bin/arch.real")),
}
json.dump(found, open("out/metrics.json", "w"))
"""
PACKAGES = (
    Package(
        name="alpha",
        files={"usr/share/alpha/value": b"1.5\n", "usr/bin/arch": b"#!/bin/sh\n"},
        scripts={
            "preinst": "dpkg-divert --package alpha --add --rename"
            " --divert /usr/bin/arch.real /usr/bin/arch",
            "postinst": "rm /etc/issue",
        },
        fields=(("Depends", "beta, python3"),),
    ),
    Package(name="beta", files={"usr/share/beta/value": b"2.5\n"}),
    Package(name="gamma"),
)


@dataclass(frozen=True, kw_only=True)
class World:
    """The command in a project, the registry's image, the archive's server."""

    cli: Cli
    image: MadeImage
    server: Server


@pytest.fixture
def world(foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    project = tmp_path / "project"
    project.mkdir()
    layers = [foreign.store.layer_path(one).read_bytes() for one in foreign.image.layers]
    image = made_image(layers, compress=bytes, layer_type=f"{OCI}.layer.v1.tar")
    (tmp_path / "debs").mkdir()
    with (
        signing_key(tmp_path / "k") as key,
        serving() as server,
        registry_running(tmp_path / "registry") as registry,
    ):
        debs = []
        for package in PACKAGES:
            deb, data = package.made(tmp_path / "debs")
            debs.append(deb)
            server.replies[f"/debian/{deb.filename}"] = Reply(body=data)
        archive = Archive(server=server)
        archive.stands(State(packages=debs, key=key))
        registry.push("team/python", "3", image)
        (project / "repro.toml").write_text(CONFIG.format(image=f"{registry.host}/team/python:3"))
        (project / "analysis.py").write_text(ANALYSIS)
        config = archive.sources(tmp_path / "apt", key.ring)
        cli = Cli(cache=tmp_path / "store", folder=project, extra={"APT_CONFIG": str(config)})
        yield World(cli=cli, image=image, server=server)


def test_from_the_snapshot_to_the_verdict(world: World) -> None:
    cli = world.cli
    config = cli.folder / "repro.toml"
    whole = config.read_text()
    config.write_text(whole.replace('apt = ["alpha"]\n', ""))
    assert said(cli, "snapshot")
    assert world.server.asked == [], "no apt packages need no apt"
    config.write_text(whole)
    assert said(cli, "snapshot")
    assert locked(cli) == ["alpha", "beta"], "what the image has is not locked"
    assert said(cli, "build")
    assert said(cli, "accept", "--reason", "the baseline")
    record = (cli.folder / LOCKS / "image.toml").read_bytes()
    faulted(cli, "--engine", "sandbox", "verify", code=0, says=["reproduced"])  # accept: docker's
    metrics = (cli.folder / "baseline/linux-amd64/outputs/out/metrics.json").read_text()
    assert metrics == '{"alpha": 1.5, "beta": 2.5, "issue": 0, "diverted": 1}'
    assert forget(cli) == ["apt"]
    assert said(cli, "build")
    assert (cli.folder / LOCKS / "image.toml").read_bytes() == record, "the same, built again"
    before = (cli.folder / LOCKS / "apt.lock").read_bytes()
    faulted(cli, "snapshot", code=0, says=["unchanged"])
    assert (cli.folder / LOCKS / "apt.lock").read_bytes() == before
    config.write_text(whole.replace('"alpha"', '"alpha", "gamma"'))
    assert said(cli, "snapshot")
    assert locked(cli) == ["alpha", "beta", "gamma"]


def said(cli: Cli, *words: str) -> str:
    """What a command says that must succeed."""
    answer = cli(*words)
    assert answer.code == 0, answer
    return answer.err + answer.out


def locked(cli: Cli) -> list[str]:
    """The names in apt.lock."""
    text = (cli.folder / LOCKS / "apt.lock").read_text()
    return [deb.name for deb in apt.parse(text, where="apt.lock")]


def forget(cli: Cli) -> list[str]:
    """Take the layer of the apt packages out of the store; return the names of what is gone."""
    gone = []
    for path in cli.cache.glob("layers/*.json"):
        record = json.loads(path.read_text())
        if record["name"] == "apt":
            path.unlink()
            sha256 = record["digest"].removeprefix("sha256:")
            (cli.cache / "sha256" / sha256[:2] / sha256).unlink()
            gone.append(record["name"])
    return gone
