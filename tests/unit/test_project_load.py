"""Detection, the root, the suite and the interpreter, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UsageError
from repro.models.project import SUITES, AptRequest
from repro.project.interpreter import Asked, choose, parse_python_version
from repro.project.load import Loaded, find_root, load_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "My Study 2"
    folder.mkdir()
    (folder / ".git").mkdir()
    return folder


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def paths(loaded: Loaded) -> list[str]:
    return [item.path for item in loaded.project.environment.pip]


def test_an_empty_folder_is_a_project_with_the_default_interpreter(root: Path) -> None:
    loaded = load_project(root)
    project = loaded.project
    assert (project.root, project.name, project.config) == (root, "my-study-2", None)
    assert (project.environment.suite, project.environment.python) == ("bookworm", "3.11")
    assert (project.environment.pip, project.environment.apt, project.analysis) == ((), (), None)
    assert loaded.notes == ()


DEPENDS = '[project]\nname = "Study.X"\ndependencies = ["scipy"]\n'


@pytest.mark.parametrize(
    ("files", "found", "note"),
    [
        ({"requirements.in": "a1", "requirements.txt": "a1==1"}, ["requirements.in"], None),
        ({"requirements.txt": "a1==1"}, ["requirements.txt"], None),
        ({"pyproject.toml": DEPENDS}, ["pyproject.toml"], None),
        (
            {"requirements.txt": "a1", "pyproject.toml": DEPENDS},
            ["requirements.txt"],
            'pip = ["requirements.txt", "pyproject.toml"]',
        ),
        ({"binder/requirements.txt": "a1"}, ["binder/requirements.txt"], None),
        ({".binder/requirements.txt": "a1"}, [".binder/requirements.txt"], None),
        ({"requirements.in": "a1", "binder/requirements.txt": "b1"}, ["requirements.in"], None),
        ({"lockfiles/linux-amd64/requirements.txt": "a1==1"}, [], None),
        ({"pyproject.toml": "[tool.poetry]\n"}, [], "[tool.poetry]: not read"),
        ({"setup.py": ""}, [], "setup.py: not read"),
        ({"pyproject.toml": '[project]\ndynamic=["dependencies"]\n'}, [], "dynamic"),
        ({"pyproject.toml": "[dependency-groups]\na=['b1']\n"}, [], "groups = [...]"),
    ],
)
def test_pip_inputs_are_found(
    root: Path, files: dict[str, str], found: list[str], note: str | None
) -> None:
    write(root, files)
    loaded = load_project(root)
    assert paths(loaded) == found
    if note is None:
        assert loaded.notes == ()
    else:
        assert any(note in said for said in loaded.notes)


def test_configuration_beats_detection_and_silence_is_detection(root: Path) -> None:
    write(
        root, {"requirements.in": "a1", "other.txt": "b1", "apt.txt": "graphviz", "mine.txt": "jq"}
    )
    write(root, {"repro.toml": '[environment]\npip = ["other.txt"]\n'})
    loaded = load_project(root)
    assert paths(loaded) == ["other.txt"]
    assert loaded.project.environment.apt == (AptRequest(name="graphviz"),)
    assert loaded.project.environment.apt_source == "apt.txt"
    write(root, {"repro.toml": '[environment]\npip = []\napt = "mine.txt"\n'})
    environment = load_project(root).project.environment
    assert (environment.pip, environment.apt_source) == ((), "mine.txt")
    write(root, {"repro.toml": '[environment]\napt = ["tree"]\n'})
    environment = load_project(root).project.environment
    assert (environment.apt, environment.apt_source) == ((AptRequest(name="tree"),), "repro.toml")


def test_missing_inputs_name_the_key(root: Path) -> None:
    write(root, {"repro.toml": '[environment]\npip = ["a.txt"]\n'})
    with pytest.raises(
        UsageError, match=r"repro.toml: environment.pip\[0\]: 'a.txt' does not exist"
    ):
        load_project(root)
    write(root, {"repro.toml": '[environment]\napt = "a.txt"\n'})
    with pytest.raises(UsageError, match=r"repro.toml: environment.apt: 'a.txt' does not exist"):
        load_project(root)


def test_tool_table_in_pyproject(root: Path) -> None:
    text = DEPENDS + '[tool.repro.analysis]\ncommand = ["python", "a.py"]\n'
    write(root, {"pyproject.toml": text})
    project = load_project(root).project
    assert (project.config, project.name) == ("pyproject.toml", "study-x")
    assert project.analysis is not None
    write(root, {"pyproject.toml": text.replace("command", "comand")})
    with pytest.raises(UsageError, match=r"pyproject.toml: tool.repro.analysis.comand: unknown"):
        load_project(root)
    write(root, {"pyproject.toml": text, "repro.toml": ""})
    with pytest.raises(UsageError, match="both configure this project"):
        load_project(root)


def test_groups_and_extras_bring_pyproject(root: Path) -> None:
    write(
        root,
        {
            "pyproject.toml": DEPENDS + "[dependency-groups]\nwork = ['rich']\n",
            "repro.toml": '[environment]\ngroups = ["work"]\n',
        },
    )
    assert load_project(root).project.environment.pip[0].lines == ("rich", "scipy")
    write(root, {"requirements.in": "a1"})
    assert paths(load_project(root)) == ["requirements.in", "pyproject.toml"]
    write(root, {"repro.toml": '[environment]\ngroups = ["work"]\npip = ["requirements.in"]\n'})
    with pytest.raises(UsageError, match="which is not listed"):
        load_project(root)


def test_the_root_is_found_from_below_but_not_above_a_work_tree(tmp_path: Path) -> None:
    top = tmp_path / "top"
    inner = top / "a/b"
    inner.mkdir(parents=True)
    (top / "repro.toml").write_text("")
    assert find_root(inner) == top
    (top / "a/pyproject.toml").write_text("[tool.repro]\n")
    assert find_root(inner) == top / "a"
    (top / "a/pyproject.toml").write_text("[tool.other]\n# repro\n")
    assert find_root(inner) == top
    (top / "a/pyproject.toml").write_text("broken repro [")
    assert find_root(inner) == top
    (top / "a/.git").mkdir()
    assert find_root(inner) == inner
    with pytest.raises(UsageError, match="is not a folder"):
        find_root(tmp_path / "absent")


def test_a_configuration_that_anybody_could_have_planted_is_not_found(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    inner = shared / "mine"
    inner.mkdir(parents=True)
    (shared / "repro.toml").write_text("")
    assert find_root(inner) == shared
    shared.chmod(0o1777)
    assert find_root(inner) == inner
    assert find_root(shared) == shared  # asked for by name


@pytest.mark.parametrize(
    ("files", "suite", "python"),
    [
        ({".python-version": "3.9.18\n"}, "bullseye", "3.9"),
        ({".python-version": "# pyenv\ncpython-3.13\n3.9\n"}, "trixie", "3.13"),
        ({"runtime.txt": "python-3.9.x"}, "bullseye", "3.9"),
        ({"binder/runtime.txt": "python-3.11"}, "bookworm", "3.11"),
        ({"pyproject.toml": "[project]\nrequires-python='>=3.12'"}, "trixie", "3.13"),
        ({"pyproject.toml": "[project]\nrequires-python='<3.10'"}, "bullseye", "3.9"),
        ({"pyproject.toml": "[project]\nrequires-python='>=3.9.2'"}, "bookworm", "3.11"),
        ({"repro.toml": "[environment]\nsuite='bullseye'"}, "bullseye", "3.9"),
        ({"repro.toml": "[environment]\npython='2.7'"}, "bullseye", "2.7"),
        (
            {"repro.toml": "[environment]\npython='3.11'", ".python-version": "3.9"},
            "bookworm",
            "3.11",
        ),
        ({".python-version": ""}, "bookworm", "3.11"),
    ],
)
def test_suite_and_python(root: Path, files: dict[str, str], suite: str, python: str) -> None:
    write(root, files)
    environment = load_project(root).project.environment
    assert (environment.suite, environment.python) == (suite, python)


@pytest.mark.parametrize(
    ("files", "said", "hint"),
    [
        (
            {".python-version": "3.10"},
            ".python-version: no suite of Debian has Python 3.10",
            'python = "3.11"',
        ),
        ({".python-version": "3.7"}, "no suite has Python 3.7", '"3.9" (bullseye)'),
        ({".python-version": "3.12"}, "no suite of Debian has Python 3.12", '"3.13" (trixie)'),
        ({".python-version": "3.12"}, "no suite of Debian", 'Ubuntu has it: suite = "noble"'),
        ({".python-version": "3.12"}, "no suite of Debian", 'image = "python:3.12-slim"'),
        ({".python-version": "3.12"}, "no suite of Debian", "python in an environment.yml"),
        ({".python-version": "2.6"}, "no suite has Python 2.6", '"2.7" (bullseye)'),
        ({".python-version": "pypy3.9"}, "'pypy3.9' is not a version of Python", "3.11"),
        ({"runtime.txt": "r-4.1-2022-01-01"}, "is not a version of Python", "3.11"),
        ({"repro.toml": "[environment]\npython='3'"}, "environment.python: '3' is not", "3.11"),
        (
            {"repro.toml": "[environment]\nsuite='bookwrm'"},
            "environment.suite: the suite 'bookwrm'",
            "bookworm has 3.11",
        ),
        (
            {"repro.toml": "[environment]\nsuite='trixie'\npython='3.11'"},
            "environment.suite: trixie has no Python 3.11",
            "bookworm has 3.11",
        ),
        (
            {"pyproject.toml": "[project]\nrequires-python='>=3.20'"},
            "no suite has a Python",
            "3.13",
        ),
        ({"pyproject.toml": "[project]\nrequires-python='three'"}, "no version specifier", ">="),
        ({"pyproject.toml": "[project]\nrequires-python=3"}, "must be a string", None),
    ],
)
def test_a_python_that_no_suite_has(
    root: Path, files: dict[str, str], said: str, hint: str | None
) -> None:
    write(root, files)
    with pytest.raises(UsageError) as caught:
        load_project(root)
    assert said in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


@given(st.integers(2, 3), st.integers(0, 30))
def test_every_choice_is_one_that_a_suite_has(major: int, minor: int) -> None:
    asked = Asked(value=f"{major}.{minor}", where="here")
    try:
        found = choose(asked, None)
    except UsageError as error:
        hint = str(error.hint)
    else:
        assert found.python == asked.value
        assert any(s.name == found.suite and found.python in s.pythons for s in SUITES)
        return
    assert all(f"{suite.name} has" in hint for suite in SUITES)


@given(st.text(max_size=30))
def test_any_version_file_is_read_or_refused(text: str) -> None:
    try:
        found = parse_python_version(text, ".python-version")
    except UsageError as error:
        said = error.message
    else:
        assert found is None or found.value[0].isdigit()
        return
    assert said.startswith(".python-version: ")


def test_notes_say_what_a_user_would_not_expect(root: Path) -> None:
    write(
        root,
        {
            "requirements.in": "-e .\nnumpy\n",
            "Pipfile": "",
            "apt.txt": "python3-numpy\ngraphviz\n",
            ".python-version": "3.11.4\n",
            "pyproject.toml": "[project]\nname='x'\nrequires-python='>=3.12'\n",
        },
    )
    notes = "\n".join(load_project(root).notes)
    assert "requirements.in: '.' is not installed: PYTHONPATH" in notes
    assert "apt.txt: python3-numpy is installed, but the analysis does not see it" in notes
    assert ".python-version asks for Python 3.11.4: bookworm decides the patch release" in notes
    assert "requires-python is '>=3.12', but Python 3.11 was chosen" in notes
    assert len(load_project(root).notes) == 4
    write(root, {"repro.toml": "[environment]\nsystem-site-packages = true\n"})
    assert "python3-numpy" not in "\n".join(load_project(root).notes)


CONDA = "name: My study\nchannels: [conda-forge]\ndependencies:\n - python=3.10\n - numpy\n"


def test_an_environment_yml_is_used_where_there_is_one(root: Path) -> None:
    write(root, {"environment.yml": CONDA + " - pip: [rich, -r more.txt]\n", "more.txt": "six\n"})
    loaded = load_project(root)
    environment = loaded.project.environment
    assert environment.conda is not None
    assert environment.conda.specs == ("numpy", "python 3.10.*")
    assert (environment.suite, environment.python) == ("bookworm", "")
    assert [(item.path, item.lines) for item in environment.pip] == [
        ("environment.yml", ("rich",)),
        ("more.txt", ("six",)),
    ]
    assert loaded.project.name == "my-study"
    assert loaded.notes == ()


def test_an_environment_yml_goes_before_requirement_files(root: Path) -> None:
    write(root, {"environment.yml": CONDA, "requirements.txt": "six\n"})
    loaded = load_project(root)
    assert loaded.project.environment.pip == ()
    [note] = loaded.notes
    assert note.startswith("requirements.txt: not read, environment.yml is; to read both: conda = ")
    both = note.partition("to read both: ")[2].replace(", pip", "\npip")
    write(root, {"repro.toml": f"[environment]\n{both}\n"})
    loaded = load_project(root)
    assert [item.lines for item in loaded.project.environment.pip] == [("six",)]
    assert loaded.project.environment.conda is not None
    assert loaded.notes == ()
    write(root, {"repro.toml": "[environment]\npip = []\n"})
    assert load_project(root).project.environment.conda is None
    (root / "repro.toml").unlink()
    write(root, {"environment.yml": CONDA + " - pip: [-r requirements.txt]\n"})
    assert load_project(root).notes == ()


def test_one_python_not_two(root: Path) -> None:
    write(root, {"environment.yml": CONDA, "repro.toml": '[environment]\npython = "3.11"\n'})
    with pytest.raises(UsageError, match=r"environment\.python: environment\.yml lists python too"):
        load_project(root)
    write(root, {"environment.yml": "channels: [conda-forge]\ndependencies: [libtiny]\n"})
    assert load_project(root).project.environment.python == "3.11"
    write(root, {"repro.toml": '[environment]\nsuite = "trixie"\n', ".python-version": "3.9\n"})
    environment = load_project(root).project.environment
    assert (environment.suite, environment.python) == ("trixie", "")


def test_an_environment_yml_of_pip_alone_is_no_conda_environment(root: Path) -> None:
    write(root, {"environment.yml": "dependencies:\n - pip: [rich]\n"})
    environment = load_project(root).project.environment
    assert environment.conda is None
    assert environment.python == "3.11"
    assert [item.lines for item in environment.pip] == [("rich",)]


DVC = """
metrics:
  - out/top.json
  - deep/m.yaml: {cache: false}
  - ../outside.json
stages:
  train:
    wdir: sub
    metrics: [scores.json, "${item}.json"]
    outs: [model]
  eval:
    metrics:
      - out/top.json:
          cache: false
"""


def test_metrics_of_dvc_are_used_where_none_are_configured(root: Path) -> None:
    write(root, {"dvc.yaml": DVC, "repro.toml": '[analysis]\ncommand = ["x"]\n'})
    loaded = load_project(root)
    assert loaded.project.metrics.files == ("out/top.json", "deep/m.yaml", "sub/scores.json")
    assert [note for note in loaded.notes if "../outside.json" in note]
    assert len(loaded.notes) == 2
    write(root, {"repro.toml": '[analysis]\ncommand = ["x"]\n[metrics]\nfiles = ["m.json"]\n'})
    assert load_project(root).project.metrics.files == ("m.json",)
    write(root, {"repro.toml": '[analysis]\ncommand = ["x"]\ndata = ["out"]\n'})
    with pytest.raises(UsageError, match="overlaps"):
        load_project(root)


@pytest.mark.parametrize("text", ["", "[]", "metrics: x", "stages: [a]", "stages: {a: b}", "a: b"])
def test_dvc_files_of_other_shapes_have_no_metrics(root: Path, text: str) -> None:
    write(root, {"dvc.yaml": text, "repro.toml": '[analysis]\ncommand = ["x"]\n'})
    assert load_project(root).project.metrics.files == ()


def test_reading_a_project_writes_nothing(root: Path) -> None:
    write(root, {"requirements.in": "a1", "apt.txt": "jq", "repro.toml": ""})
    before = sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*"))
    load_project(root)
    assert sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*")) == before


def test_the_fixtures_of_this_project_load_without_notes() -> None:
    fixtures = Path(__file__).parents[2] / "fixtures"
    found = {path.parent.name: load_project(path.parent) for path in fixtures.glob("*/repro.toml")}
    assert {"pandas-drift", "clean", "apt-matters"} <= set(found)
    assert all(loaded.notes == () for loaded in found.values())
    assert found["pandas-drift"].project.environment.python == "2.7"
