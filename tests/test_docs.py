"""Guards of the documentation: what it says of commands, keys, codes and variables is so."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from repro import errors
from repro.cli.group import COMMANDS, cli
from repro.cli.session import Session
from repro.locks import seal
from repro.models.project import SUITES
from repro.models.verdict import Change, Verdict
from repro.project import config, judging
from tests import consoles
from tests.house import ROOT, modules

CODES = {0, 2, 3, 4, 5, 6, 7, 8, 10, 70, 130, 143}
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(
    path for path in [*DOCS.rglob("*.md"), README] if "_build" not in path.relative_to(ROOT).parts
)
FENCES = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)

# ----------------------------------------------------------------------- commands


def documented_calls() -> list[tuple[str, str]]:
    """(page, arguments) of every `repro …` in a code block, without its prompt and comment."""
    found = []
    for path in PAGES:
        for language, block in FENCES.findall(path.read_text()):
            if language not in ("", "sh", "console", "yaml"):
                continue
            for line in re.findall(
                r"^[\s$-]*(?:run: |entry: )?(?:[A-Z_]+=\S+ )*(?:sh \.ci/with )?repro (.*)$",
                block,
                re.MULTILINE,
            ):
                found.append((str(path.relative_to(ROOT)), line))
    return found


@pytest.mark.parametrize(("page", "line"), documented_calls())
def test_every_call_in_a_code_block_parses(page: str, line: str) -> None:
    words = shlex.split(re.split(r"\s+(?:#|\|\|?|>|&&?)\s", line + " ")[0], comments=True)
    if words == ["--version"]:
        return
    with cli.make_context("repro", list(words), obj=Session()) as group:
        name, command, rest = cli.resolve_command(group, [*group._protected_args, *group.args])
        assert command is not None
        command.make_context(name, rest, parent=group)


def test_every_command_has_a_call_in_the_documentation() -> None:
    called = {shlex.split(line.split("#")[0])[0] for _, line in documented_calls()}
    assert COMMANDS.keys() - called == set()


# -------------------------------------------------------------------------- codes


def codes(text: str) -> set[int]:
    """Exit codes in the first column of tables."""
    return {
        int(code)
        for row in re.findall(r"^\| (\d+(?: / \d+)*) \|", text, re.MULTILINE)
        for code in row.split(" / ")
    }


@pytest.mark.parametrize("path", [README, DOCS / "reference" / "exit-codes.md"], ids=str)
def test_exit_codes_are_those_that_are_raised(path: Path) -> None:
    assert codes(path.read_text()) == CODES
    leaves: list[type[errors.ReproError]] = errors.ReproError.__subclasses__()
    raised = {errors.ReproError.exit_code, *(kind.exit_code for kind in leaves)}
    assert raised | {verdict.exit_code for verdict in Verdict} <= CODES


def test_every_kind_of_change_is_explained() -> None:
    text = (DOCS / "reference" / "json.md").read_text()
    assert [change for change in Change if f"`{change.value}`" not in text] == []


# --------------------------------------------------------------------- repro.toml

SECTIONS = {
    "Top level": config.TOP,
    "[environment]": config.ENVIRONMENT,
    "[analysis]": config.ANALYSIS,
    "[metrics]": judging.METRICS,
    "A rule": judging.RULE,
    "[[tables]]": judging.TABLES,
    "[apt]": config.APT,
}


def documented_keys(section: str) -> list[str]:
    """Keys in the first column of the tables below a heading."""
    text = (DOCS / "reference" / "repro-toml.md").read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_the_configuration_is_documented(section: str) -> None:
    assert documented_keys(section) == list(SECTIONS[section])


def test_the_example_has_every_key_and_is_accepted() -> None:
    text = (DOCS / "reference" / "every-key.toml").read_text()
    document = tomllib.loads(text)
    config.parse_settings(document, file="repro.toml")
    assert list(document) == list(config.TOP)
    assert '# or: image = "' in text  # which takes the place of `suite`
    assert list(document["environment"]) == [key for key in config.ENVIRONMENT if key != "image"]
    assert list(document["analysis"]) == list(config.ANALYSIS)
    assert list(document["apt"]) == list(config.APT)
    assert list(document["tables"][0]) == list(judging.TABLES)
    assert set(judging.METRICS) <= set(document["metrics"])


@pytest.mark.parametrize(
    ("page", "block"),
    [
        (str(path.relative_to(ROOT)), block)
        for path in PAGES
        for language, block in FENCES.findall(path.read_text())
        if language == "toml" and "schema = " not in block
    ],
)
def test_every_piece_of_a_configuration_is_accepted(page: str, block: str) -> None:
    document = tomllib.loads(block)
    if "analysis" in document and "command" not in document["analysis"]:
        document["analysis"]["command"] = ["true"]
    config.parse_settings(document, file=page)


@pytest.mark.parametrize("page", ["docs/reference/repro-toml.md", "docs/how-to/python-2.md"])
def test_suites_and_their_pythons(page: str) -> None:
    text = (ROOT / page).read_text()
    for suite in SUITES:
        assert suite.name in text
        assert [python for python in suite.pythons if python not in text] == []


# ---------------------------------------------------------------------- variables


def test_every_variable_that_is_read_is_documented() -> None:
    """Everything named like one of ours or docker's; uv's and pip's where indexes are read."""
    text = (DOCS / "reference" / "environment-variables.md").read_text()
    names = set()
    for module in modules():
        ours = r"\A_?(?:REPRO|DOCKER)_[A-Z_]+[A-Z]\Z"
        theirs = r"\A(?:UV|PIP)_[A-Z_]+[A-Z]\Z"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(re.findall(ours, node.value))
                if module.name == "repro.ecosystems.pip.indexes":
                    names |= set(re.findall(theirs, node.value))
    assert {"REPRO_CACHE", "DOCKER_HOST", "UV_INDEX"} <= names
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_the_environment_of_a_run_is_documented() -> None:
    from repro.models.image import Image
    from repro.models.project import Environment, Project
    from repro.workflows.execute import run_environment

    text = (DOCS / "reference" / "environment-variables.md").read_text()
    part = text.split("\n## Set in a run\n")[1]
    set_by_image = (("CONDA_PREFIX", ""), ("LANG", ""), ("PATH", ""))
    image = Image(layers=(), config=b"", manifest=b"", env=set_by_image)
    environment = Environment(suite="bookworm", python="3.11")
    project = Project(root=ROOT, name="x", config=None, environment=environment)
    first_column = " ".join(re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE))
    names = [name for name, _ in run_environment(project, image)]
    assert sorted(re.findall(r"`([A-Z_]+)`", first_column)) == names


# -------------------------------------------------------------------------- links


def link_checker() -> ModuleType:
    """docs/_extensions/check_links.py, which is in no package."""
    spec = importlib.util.spec_from_file_location(
        "check_links", DOCS / "_extensions" / "check_links.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="b.html#there">', []),
        ('<a href="#x"><p id="x">', []),
        ('<a href="https://example.org/a?b=c">', []),
        ('<img src="data:image/svg+xml;base64,AA">', []),
        ('<a href="c.html">', ["a.html: c.html: no such file"]),
        ('<a href="b.html#gone">', ["a.html: b.html#gone: no such anchor"]),
        ('<a href="http://example.org/">', ["a.html: http://example.org/: not an https address"]),
        ('<a href="https://exa mple/">', ["a.html: https://exa mple/: not an https address"]),
        (
            '<script src="https://example.org/x.js"></script>',
            ["a.html: loads https://example.org/x.js, which is not part of the site"],
        ),
        (
            '<link rel="stylesheet" href="//example.org/x.css">',
            ["a.html: loads //example.org/x.css, which is not part of the site"],
        ),
    ],
)
def test_links_are_followed(body: str, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(f"<!DOCTYPE html><body>{body}</body>")
    (tmp_path / "b.html").write_text('<!DOCTYPE html><body><h1 id="there">b</h1></body>')
    assert link_checker().problems(tmp_path) == said


def test_a_style_that_asks_another_host_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("@import url(https://example.org/font.css);")
    assert link_checker().problems(tmp_path) == ["x.css: loads from another host"]


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_the_files_at_the_root_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    inside = [link for link in links if not link.startswith("https://")]
    assert [link for link in inside if not (ROOT / link.partition("#")[0]).is_file()] == []


# ----------------------------------------------------------------------- consoles

PAGE = """\
# A page

```console
$ cat > said <<'END'
> one
> two
> END
$ cat said; false
one
two
$ echo $?
1
```

Words.

```console
$ cat said | wc -l
2
$ echo 'working …' >&2; echo 'run 20261121T145209605643-bac2f9 on the sandbox engine'
run 20250101T000000000000-ffffff on the sandbox engine
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_page_that_shows_what_happens(page: Path, tmp_path: Path) -> None:
    """One shell for all blocks; run IDs may differ, progress is not shown."""
    consoles.check(page, tmp_path, dict(os.environ))
    assert page.read_text() == PAGE


def test_a_page_that_shows_something_else(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.write_text(PAGE.replace("one\ntwo\n$", "one\nthree\n$"))
    with pytest.raises(AssertionError, match=r"page\.md"):
        consoles.check(page, tmp_path, dict(os.environ))
    monkeypatch.setenv("REPRO_REFRESH_GOLDEN", "1")
    with pytest.raises(AssertionError, match=r"page\.md"):
        consoles.check(page, tmp_path, dict(os.environ))
    assert page.read_text() == PAGE
    consoles.check(page, tmp_path, dict(os.environ))


def test_every_key_of_the_seal_is_documented() -> None:
    page = (DOCS / "reference/files.md").read_text()
    section = page.partition("### repro.lock")[2].partition("\n### ")[0]
    parser = inspect.getsource(seal.parse).partition("table.only(")[2]
    keys = set(re.findall(r'"([a-z-]+)"', parser.partition(")")[0])) - {"schema", "needs"}
    assert {"base", "as-of"} < keys
    assert [key for key in sorted(keys) if not re.search(rf"`\[*{key}\]*`", section)] == []
