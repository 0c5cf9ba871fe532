"""A small project that stands on an image of somebody else's, in a registry of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.store.artifacts import Store
from tests.host_image import host_image
from tests.registry import (
    MadeImage,
    Registry,
    made_image,
    registry_running,
    tar_member,
    tar_of,
)
from tests.support import Cli

REPOSITORY = "team/tools"
TAG = "1.0"
CONFIG = """\
[environment]
image = "{name}"
pip = []

[analysis]
command = ["sh", "analysis.sh"]
outputs = ["out/"]
timeout = "60s"

[metrics]
files = ["out/metrics.json"]
"""
ANALYSIS = """\
echo "{\\"count\\": $(cat /etc/number), \\"flavour\\": \\"$FLAVOUR\\"}" > out/metrics.json
"""


@dataclass(frozen=True, kw_only=True)
class Based:
    """The command in the project, its store private; the image, and the registry that has it.

    `tools` is the plain tar of the image's first layer.
    """

    cli: Cli
    registry: Registry
    image: MadeImage
    tools: bytes

    @property
    def name(self) -> str:
        """What the project calls the image."""
        return f"{self.registry.host}/{REPOSITORY}:{TAG}"

    def other(self, number: int) -> MadeImage:
        """Return an image that differs from it in one number, and one metric."""
        return numbered(self.tools, number)

    def move(self) -> MadeImage:
        """Have the tag name another image."""
        return self.registry.push(REPOSITORY, TAG, self.other(2))


def numbered(tools: bytes, number: int) -> MadeImage:
    """Return an image of these tools and a number."""
    layer = tar_of((tar_member("etc/number"), f"{number}\n".encode()))
    return made_image([tools, layer], env=["PATH=/usr/bin:/bin", "FLAVOUR=vanilla"])


def logged_in(folder: Path, host: str, login: tuple[str, str]) -> Mapping[str, str]:
    """Write what `docker login` writes; return the variables that lead to it."""
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(":".join(login).encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.fixture(scope="session")
def tools_layer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The plain tar of some of this machine's tools."""
    store = Store(tmp_path_factory.mktemp("tools") / "store")
    return store.layer_path(host_image(store).layers[0]).read_bytes()


@pytest.fixture
def based(tools_layer: bytes, tmp_path: Path) -> Iterator[Based]:
    """The project, its image pushed; nothing is locked yet."""
    with registry_running(tmp_path / "registry") as registry:
        yield based_on(registry, tools_layer, tmp_path)


def based_on(registry: Registry, tools: bytes, folder: Path) -> Based:
    """Write the project below `folder`, and push its image."""
    project = folder / "project"
    project.mkdir()
    found = Based(
        cli=Cli(cache=folder / "cache", folder=project),
        registry=registry,
        image=registry.push(REPOSITORY, TAG, numbered(tools, 1)),
        tools=tools,
    )
    (project / "repro.toml").write_text(CONFIG.format(name=found.name))
    (project / "analysis.sh").write_text(ANALYSIS)
    if registry.login is not None:
        extra = logged_in(folder / "docker", registry.host, registry.login)
        found = replace(found, cli=replace(found.cli, extra=extra))
    return found
