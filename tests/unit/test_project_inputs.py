"""Input digests: what makes a lock stale, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.locks.inputs import environment_inputs
from repro.models.project import AptRequest, CondaRequest, Environment, RequirementSet
from repro.project.load import load_project

BASE = Environment(
    suite="bookworm",
    python="3.11",
    apt=(AptRequest(name="graphviz"), AptRequest(name="libgomp1")),
    apt_source="apt.txt",
    pip=(
        RequirementSet(path="requirements.in", lines=("numpy", "pandas==2.2.3")),
        RequirementSet(path="pins.txt", lines=("six==1",), constraint=True),
    ),
)


CONDA = CondaRequest(path="environment.yml", channels=("a", "b"), specs=("numpy", "python 3.11.*"))


def changed(environment: Environment) -> set[str]:
    before, after = dict(environment_inputs(BASE)), dict(environment_inputs(environment))
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_names_are_sorted_and_unique() -> None:
    names = [name for name, _ in environment_inputs(BASE)]
    assert names == sorted(set(names))
    assert {"requirements.in", "pins.txt", "apt.txt", "environment.suite"} <= set(names)
    assert all(len(digest) == 64 for _, digest in environment_inputs(BASE))


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (replace(BASE, suite="trixie"), {"environment.suite"}),
        (replace(BASE, python="3.13"), {"environment.python"}),
        (replace(BASE, resolver="pip-tools"), {"environment.resolver"}),
        (replace(BASE, system_site_packages=True), {"environment.system-site-packages"}),
        (replace(BASE, allow_overlap=("a.py",)), {"environment.allow-overlap"}),
        (replace(BASE, apt=BASE.apt[:1]), {"apt.txt"}),
        (replace(BASE, apt=()), {"apt.txt"}),
        (replace(BASE, apt=(AptRequest(name="graphviz", version="2"), BASE.apt[1])), {"apt.txt"}),
        (replace(BASE, pip=BASE.pip[:1]), {"pins.txt"}),
        (replace(BASE, pip=(BASE.pip[0], replace(BASE.pip[1], constraint=False))), {"pins.txt"}),
        (
            replace(BASE, pip=(replace(BASE.pip[0], lines=("numpy",)), BASE.pip[1])),
            {"requirements.in"},
        ),
    ],
)
def test_each_change_names_its_input(environment: Environment, names: set[str]) -> None:
    assert changed(environment) == names


def test_order_does_not_matter() -> None:
    turned = replace(BASE, apt=BASE.apt[::-1], pip=BASE.pip[::-1])
    assert environment_inputs(turned) == environment_inputs(BASE)


def test_one_file_that_holds_pip_and_apt_inputs_is_one_input() -> None:
    path = "pyproject.toml"
    pip = (RequirementSet(path=path, lines=("numpy",)),)
    both = Environment(suite="bookworm", python="3.11", pip=pip, apt=BASE.apt, apt_source=path)
    names = [name for name, _ in environment_inputs(both)]
    assert names.count(path) == 1
    digests = {
        dict(environment_inputs(item))[path] for item in (both, replace(both, apt=BASE.apt[:1]))
    }
    assert len(digests) == 2


def test_a_digest_is_the_same_for_ever() -> None:
    # written into users' locks: a change here makes every lock in the world stale
    assert dict(environment_inputs(BASE)) == GOLDEN


def test_comments_tolerances_commands_and_order_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "repro.toml").write_text('[environment]\npython = "3.11"\n')
    (tmp_path / "requirements.in").write_text("numpy>=1,<2\nPandas\n")
    (tmp_path / "apt.txt").write_text("libgomp1\ngraphviz\n")
    before = environment_inputs(load_project(tmp_path).project.environment)
    (tmp_path / "repro.toml").write_text(
        '# hello\n[environment]\nsuite = "bookworm"\n'
        '[analysis]\ncommand = ["python"]\n[metrics]\ndefault = { rel = 0.5 }\n'
    )
    (tmp_path / "requirements.in").write_text("# why\npandas  # yes\n\nnumpy <2, >=1\n")
    (tmp_path / "apt.txt").write_text("graphviz\n# OpenMP\nlibgomp1\n")
    assert environment_inputs(load_project(tmp_path).project.environment) == before
    (tmp_path / "requirements.in").write_text("pandas\nnumpy<2,>=1.1\n")
    assert environment_inputs(load_project(tmp_path).project.environment) != before


GOLDEN = {
    "apt.txt": "a65e0d15442b05f34658c203b32377a34eed10705d8d0beb0ce15cde0840623c",
    "environment.allow-overlap": "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    "environment.python": "fb44aa7f58f5cdb864793b1a7bce5759ce818df2f9e3129e0069af6c059d34da",
    "environment.resolver": "8c44eb39b19ea7b7955eacda67c0aa5bc84de59a557d4c418c4f6a93db09ef3b",
    "environment.suite": "a45615645167d68e3cd3f3bcb8659da0adbd2362f5ef4bb842fbd3c70d2c7a9a",
    "environment.system-site-packages": "456e2e3fa05ee1e2f4e529558008ce162bbd388a9dd4a923c79543a4a1dba618",  # noqa: E501
    "pins.txt": "bd551b3b17d25e3971ab000929fdd39d5e64a687a3ab79a88fce39c4b1830eab",
    "requirements.in": "df2bc55abb46c7756901c83a9aa4dcfcc729712cc9b124e23ce94a28af8442e1",
}


def test_what_came_later_is_an_input_only_where_it_is_asked_for() -> None:
    names = {name for name, _ in environment_inputs(BASE)}
    assert not names & {"environment.image", "environment.as-of", "environment.conda-resolver"}
    assert changed(replace(BASE, image="python:3.12")) == {"environment.image"}
    assert changed(replace(BASE, as_of="2025-06-01T00:00:00Z")) == {"environment.as-of"}
    conda = replace(BASE, conda=CONDA)
    assert changed(conda) == {"environment.yml", "environment.conda-resolver"}
    given = dict(environment_inputs(conda))
    for other in (
        replace(CONDA, channels=("b", "a")),
        replace(CONDA, specs=("numpy",)),
    ):
        now = dict(environment_inputs(replace(BASE, conda=other)))
        assert {name for name in given if given[name] != now[name]} == {"environment.yml"}
    now = dict(environment_inputs(replace(conda, conda_resolver="conda-lock")))
    assert {name for name in given if given[name] != now[name]} == {"environment.conda-resolver"}
    pip = RequirementSet(path="environment.yml", lines=("rich",))
    now = dict(environment_inputs(replace(conda, pip=(*BASE.pip, pip))))
    assert {name for name in given if given[name] != now[name]} == {"environment.yml"}
    assert now.keys() == given.keys()
