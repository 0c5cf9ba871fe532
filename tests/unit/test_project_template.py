"""`repro init`: what is guessed, and that the written text means it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.models.project import SUITES, MetricSettings
from repro.project import toml
from repro.project.config import parse_settings
from repro.project.load import load_project
from repro.project.template import InitFacts, choose_steps, init_text, look_around


def write(root: Path, files: Mapping[str, str]) -> None:
    (root / ".git").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def check_round_trip(facts: InitFacts) -> None:
    text = init_text(facts)
    found = parse_settings(toml.parse(text, where="repro.toml"), file="repro.toml")
    assert (found.suite, found.python or "") == (facts.suite, facts.python)
    assert (found.pip or ()) == facts.pip
    assert found.conda == facts.conda
    assert found.apt == facts.apt
    assert found.metrics == MetricSettings(files=facts.metrics)
    if not facts.steps:
        assert found.analysis is None
        return
    assert found.analysis is not None
    assert found.analysis.steps == facts.steps
    assert (found.analysis.data, found.analysis.outputs) == (facts.data, facts.outputs)
    assert all(len(line) < 200 or '"' in line for line in text.split("\n"))


WORDS = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/."), min_size=1, max_size=30
)
PLACES = [(suite.name, python) for suite in SUITES for python in suite.pythons]


@given(st.data())
def test_the_text_loads_back_to_its_facts(data: st.DataObject) -> None:
    def some(prefix: str, most: int = 4) -> tuple[str, ...]:
        names = data.draw(st.lists(WORDS, max_size=most, unique=True))
        return tuple(f"{prefix}-{name}" for name in names)

    suite, python = data.draw(st.sampled_from(PLACES))
    conda = data.draw(st.none() | st.just("environment.yml"))
    facts = InitFacts(
        suite=suite,
        python=python if conda is None or data.draw(st.booleans()) else "",
        pip=some("r"),
        conda=conda,
        apt=data.draw(st.none() | st.just("apt.txt")),
        scripts=some("s"),
        steps=tuple(("python", name) for name in some("c")),
        data=some("d", 9),
        outputs=some("o", 9),
        metrics=tuple(f"{name}.json" for name in some("m")),
    )
    check_round_trip(facts)


def test_a_conda_project(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "environment.yml": "channels: [a]\ndependencies: [python=3.10, {pip: [rich]}]\n",
            "requirements.txt": "six\n",
            "analysis.py": "print 'of Python 2, says the file'\n",
        },
    )
    facts = look_around(tmp_path)
    assert (facts.conda, facts.pip, facts.python) == ("environment.yml", (), "")
    assert facts.steps == (("python", "analysis.py"),)
    detected = load_project(tmp_path).project.environment
    write(tmp_path, {"repro.toml": init_text(facts)})
    assert load_project(tmp_path).project.environment == detected


def test_a_usual_project(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "requirements.txt": "pandas\n",
            "apt.txt": "graphviz\n",
            ".python-version": "3.9\n",
            "analysis.py": (
                "df = pd.read_csv('orders.csv')\n"
                "table.to_csv('by_region.csv', index=False)\n"
                'json.dump(metrics, open("metrics.json", "w"))\n'
                "plt.savefig('figures/a.png')\n"
            ),
            "test_analysis.py": "",
            "setup.py": "",
            "orders.csv": "a\n1\n",
            "by_region.csv": "left from an earlier run\n",
            "data/more.parquet": "",
            "lockfiles/x.csv": "",
            ".hidden/x.csv": "",
            "venv/x.csv": "",
        },
    )
    facts = look_around(tmp_path)
    assert (facts.suite, facts.python) == ("bullseye", "3.9")
    assert (facts.pip, facts.apt) == (("requirements.txt",), "apt.txt")
    assert facts.steps == (("python", "analysis.py"),)
    assert facts.data == ("data/", "orders.csv")
    assert facts.outputs == ("by_region.csv", "figures/", "metrics.json")
    assert facts.metrics == ("metrics.json",)
    check_round_trip(facts)
    (tmp_path / "repro.toml").write_text(init_text(facts))
    project = load_project(tmp_path).project
    assert project.config == "repro.toml"
    assert project.environment.pip[0].lines == ("pandas",)


def test_joined_paths_and_written_parts_of_the_data_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "main.py": (
                "frame = pd.read_csv('data/raw.csv'); out = Path('out')\n"
                "frame.to_csv('data/clean/a.csv')\n"
                "(out / 'metrics.yaml').write_text(text)\n"
            ),
            "helper.py": "",
            "data/raw.csv": "",
            "data/clean/a.csv": "",
            "data/deep/b.csv": "",
        },
    )
    facts = look_around(tmp_path)
    assert facts.steps == (("python", "main.py"),)
    assert facts.outputs == ("data/clean/a.csv", "out/")
    assert facts.metrics == ("out/metrics.yaml",)
    assert facts.data == ("data/deep/", "data/raw.csv")
    check_round_trip(facts)


def test_an_input_is_never_taken_for_an_output(tmp_path: Path) -> None:
    # one line reads and writes: only the call next to a path says what happens to it
    script = "pd.read_csv('data/visits.csv').dropna().to_csv(out / 'clean.csv')\n"
    write(tmp_path, {"clean.py": script, "data/visits.csv": ""})
    facts = look_around(tmp_path)
    assert facts.data == ("data/",)
    assert "data/visits.csv" not in facts.outputs


def test_nothing_to_go_by_still_gives_a_text_that_loads(tmp_path: Path) -> None:
    write(tmp_path, {"b.py": "", "a.py": ""})
    facts = look_around(tmp_path)
    assert facts.steps == ()
    assert "Scripts here: a.py, b.py" in init_text(facts)
    check_round_trip(facts)
    many = InitFacts(
        suite="bookworm",
        python="3.11",
        outputs=tuple(f"some/long/output-{i}.csv" for i in range(9)),
    )
    check_round_trip(many)


def test_dvc_metrics_win_and_hostile_ones_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "main.py": "open('metrics.json', 'w')\n",
            "dvc.yaml": "metrics: [scores.json, lockfiles/x.json, ../y.json]\n",
        },
    )
    facts = look_around(tmp_path)
    assert facts.metrics == ("scores.json",)
    assert facts.outputs == ("metrics.json", "scores.json")
    check_round_trip(facts)


def test_names_that_no_configuration_can_hold_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": "", "a\nb.csv": "", "c.csv": "", '"q".csv': ""})
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    (tmp_path / "main.py").write_bytes(b"\xff\xfe open('out/x.csv', 'w')\n" * 3)
    facts = look_around(tmp_path)
    assert facts.data == ('"q".csv', "c.csv")
    check_round_trip(facts)


@pytest.mark.parametrize(
    ("scripts", "python", "steps"),
    [
        (("train.py",), "3.11", (("python", "train.py"),)),
        (("analysis.py",), "2.7", (("python2.7", "analysis.py"),)),
        (("a.py", "run.py"), "3.11", (("python", "run.py"),)),
        (
            ("10_plot.py", "2_clean.py"),
            "3.11",
            (("python", "2_clean.py"), ("python", "10_plot.py")),
        ),
        (("1_a.py", "b.py"), "3.11", ()),
        ((), "3.11", ()),
    ],
)
def test_commands(
    scripts: tuple[str, ...], python: str, steps: tuple[tuple[str, ...], ...]
) -> None:
    assert choose_steps(scripts, python) == steps


@pytest.mark.parametrize(
    "line",
    [
        'print "hello"',
        "print total, count",
        "try:\n    pass\nexcept ValueError, error:\n    pass",
        'raise ValueError, "x"',
        "if 1 <> 2: pass",
    ],
)
def test_a_script_in_python_2_proposes_python_2(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"analysis.py": f"import sys\n{line}\n"})
    facts = look_around(tmp_path)
    assert (facts.suite, facts.python) == ("bullseye", "2.7")
    assert facts.steps == (("python2.7", "analysis.py"),)
    assert any("analysis.py" in note and "Python 2" in note for note in facts.notes)
    check_round_trip(facts)


@pytest.mark.parametrize(
    "files",
    [
        {"analysis.py": 'print("hello")\n'},
        {"analysis.py": "'''\nprint it\n'''\n"},  # words, not a statement
        {"analysis.py": "print (\n"},  # broken, but no Python 2
        {"analysis.py": 'print "hello"\n', ".python-version": "3.11\n"},
        {
            "analysis.py": 'print "hello"\n',
            "pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.9"\n',
        },
    ],
)
def test_python_2_is_not_proposed_without_need(tmp_path: Path, files: Mapping[str, str]) -> None:
    write(tmp_path, files)
    assert look_around(tmp_path).python == "3.11"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"uv.lock": "", "requirements.in": "six"}, ("--adopt uv.lock",)),
        ({"pixi.lock": "", ".venv/pyvenv.cfg": ""}, ("--adopt pixi.lock", "--from venv:.venv")),
        ({"venv/pyvenv.cfg": ""}, ("--from venv:venv",)),
        ({"venv/pyvenv.cfg": "", "requirements.in": "six"}, ()),
        ({"venv/pyvenv.cfg": "", "environment.yml": "channels: [c]\ndependencies: [python]"}, ()),
        ({"env/activate": ""}, ()),
    ],
)
def test_pins_that_are_there_already_are_named(
    tmp_path: Path, files: dict[str, str], says: tuple[str, ...]
) -> None:
    write(tmp_path, files)
    notes = [note for note in look_around(tmp_path).notes if "repro snapshot --" in note]
    assert [note.partition("repro snapshot ")[2] for note in notes] == list(says)
