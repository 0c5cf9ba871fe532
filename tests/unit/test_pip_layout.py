"""Where pip's packages lie in an image, for each kind of interpreter."""

from __future__ import annotations

import pytest

from repro.ecosystems.pip.layout import Layout, of, skeleton
from repro.models.lock import Interpreter

DEBIAN = Interpreter.of_debian("3.11")
OWN = Interpreter(version="3.12", path="/usr/local/bin/python3.12")
CONDA = Interpreter.of_conda("3.11")


@pytest.mark.parametrize(
    ("interpreter", "site", "script", "headers"),
    [
        (DEBIAN, "opt/venv/lib/python3.11/site-packages", "/opt/venv/bin/python",
         "opt/venv/include/site/python3.11/a"),
        (OWN, "opt/venv/lib/python3.12/site-packages", "/opt/venv/bin/python",
         "opt/venv/include/site/python3.12/a"),
        (CONDA, "opt/conda/lib/python3.11/site-packages", "/opt/conda/bin/python3.11",
         "opt/conda/include/python3.11/a"),
        (Interpreter.of_debian("2.7"), "usr/local/lib/python2.7/dist-packages",
         "/usr/bin/python2.7", "usr/local/include/python2.7/a"),
        (Interpreter(version="2.7", path="/usr/local/bin/python2.7"),
         "usr/local/lib/python2.7/site-packages", "/usr/local/bin/python2.7",
         "usr/local/include/python2.7/a"),
    ],
)  # fmt: skip
def test_where_a_wheels_parts_go(
    interpreter: Interpreter, site: str, script: str, headers: str
) -> None:
    layout = of(interpreter)
    assert (layout.site, layout.interpreter) == (site, script)
    assert layout.scheme("headers", "a") == headers


def links(layout: Layout) -> dict[str, str]:
    entries = skeleton(layout, system_site_packages=False)
    return {entry.path: entry.link for entry in entries if entry.kind == "symlink"}


def test_an_environment_points_at_the_interpreter_of_its_image() -> None:
    assert links(of(OWN))["opt/venv/bin/python"] == "/usr/local/bin/python3.12"
    [config] = [e for e in skeleton(of(OWN), system_site_packages=False) if e.kind == "file"]
    assert isinstance(config.data, bytes)
    assert config.data.decode().splitlines() == [
        "home = /usr/local/bin",
        "include-system-site-packages = false",
        "version = 3.12",
        "executable = /usr/local/bin/python3.12",
    ]
    assert links(of(CONDA)) == {}
