"""Requirement files, apt.txt and pyproject.toml as inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from repro.errors import UsageError
from repro.models.project import AptRequest
from repro.project.apt import parse_apt_text
from repro.project.pip_inputs import Collected, PipInputs, collect_requirements
from repro.project.pyproject import Pyproject, dependencies
from repro.project.requirements import parse_requirements, requirement_line

HASH = "0123456789abcdef" * 4
NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,6}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda name: not name.lower().endswith((".zip", ".whl", ".tar", ".egg", ".tgz"))
)
VERSIONS = st.from_regex(
    r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}((a|b|rc|\.post|\.dev)[0-9])?", fullmatch=True
)
SPECIFIERS = st.lists(
    st.builds(
        lambda op, v: f"{op}{v}", st.sampled_from(["==", ">=", "<", "!=", "<=", ">"]), VERSIONS
    ),
    max_size=3,
).map(",".join)
MARKERS = st.sampled_from(
    ["", '; python_version < "3.9"', "; sys_platform == 'linux' and extra == 'x_y'"]
)
HASHES = st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), max_size=2)


@st.composite
def requirements(draw: st.DrawFn) -> str:
    extras = draw(st.lists(NAMES, max_size=2))
    listed = f"[{','.join(extras)}]" if extras else ""
    hashes = "".join(f" --hash=sha256:{digest}" for digest in draw(HASHES))
    return f"{draw(NAMES)}{listed}{draw(SPECIFIERS)}{draw(MARKERS)}{hashes}"


def lines(text: str) -> tuple[str, ...]:
    return parse_requirements(text, where="requirements.in").lines


@given(st.lists(requirements(), max_size=5))
def test_round_trip(rows: list[str]) -> None:
    once = lines("\n".join(rows))
    assert lines("\n".join(once)) == once
    assert once == tuple(sorted(set(once)))
    assert lines("\n".join(reversed(rows))) == once
    assert {Requirement(row.partition(" --hash")[0]) for row in rows} == {
        Requirement(row.partition(" --hash")[0]) for row in once
    }


@given(st.lists(requirements(), max_size=4), st.text(alphabet="abc #'-=\\", max_size=20))
def test_comments_and_blank_lines_change_nothing(rows: list[str], comment: str) -> None:
    plain = "\n".join(rows)
    commented = f"# {comment}\n\n" + "\n".join(
        f"  {row}  # {comment.rstrip(chr(92))}" for row in rows
    )
    assert lines(commented) == lines(plain)


@given(st.text(max_size=60) | st.text(alphabet="ab=<>.[]@/:-;#$\\ \n'\"1", max_size=60))
def test_whatever_gets_through_is_plain_requirements(text: str) -> None:
    try:
        found = lines(text)
    except UsageError:
        return
    for line in found:
        requirement = line.partition(" --hash")[0]
        assert line.isprintable()
        assert not line.startswith("-")
        assert not set(line) & set("\\#$`@")
        assert requirement_line(requirement, "again") == requirement
        assert Requirement(requirement).url is None


def test_continuations_comments_and_hashes() -> None:
    text = (
        "# top\n"
        "Pandas == 2.2.3 \\\n"
        f"    --hash=sha256:{'f' * 64} \\\n"
        "    # as in pip, a comment ends the continued line\n"
        f"numpy[Foo,bar]>=1.0,<2 ; python_version>='3.9' --hash sha256:{HASH}  # why\n"
        "six"
    )
    assert lines(text) == (
        f'numpy[bar,foo]<2,>=1.0; python_version >= "3.9" --hash=sha256:{HASH}',
        f"pandas==2.2.3 --hash=sha256:{'f' * 64}",
        "six",
    )


def test_includes_constraints_and_the_project_itself() -> None:
    text = (
        "-r base.txt\n--requirement='dev file.txt'\n-cpins.txt\n-e .\n.[Plot, x]\n--editable=./\n"
    )
    parsed = parse_requirements(text, where="requirements.in")
    assert parsed.includes == ((1, "base.txt"), (2, "dev file.txt"))
    assert parsed.constraints == ((3, "pins.txt"),)
    assert parsed.itself == ((), ("plot", "x"), ())


@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        ("--index-url https://user:hunter2@example.org/simple", "--index-url", "[indexes]"),
        ("-i https://user:hunter2@example.org/simple", "--index-url", "[indexes]"),
        ("--extra-index-url=https://hunter2@example.org", "--extra-index-url", "[indexes]"),
        ("--find-links ./wheels", "--find-links", "vendor"),
        ("-f ./wheels", "--find-links", "vendor"),
        ("--trusted-host example.org", "--trusted-host", "sha256"),
        ("--no-binary :all:", "--no-binary", "wheel"),
        ("--pre", "--pre", "pre-release"),
        ("--require-hashes", "--require-hashes", "sha256"),
        ("--config-settings x=y", "--config-settings", "remove"),
        ("a @ https://hunter2@example.org/a.whl", "a: a requirement by address", "[indexes]"),
        ("git+ssh://git@example.org/hunter2.git", "by address or version control", "release"),
        ("-e git+https://hunter2@example.org/x#egg=x", "by address or version control", "release"),
        ("https://example.org/a.whl?t=hunter2", "by address or version control", "release"),
        ("file:///tmp/a.whl", "by address or version control", "release"),
        ("./vendored/a", "local path", "src/"),
        ("-e ../other", "local path", "src/"),
        ("/opt/a", "local path", "src/"),
        ("a-1.0-py3-none-any.whl", "local path", "src/"),
        ("a --global-option=x", "'--global-option' after a requirement", "--hash"),
        (f"a --hash=md5:{HASH}", "is no sha256", "--hash=sha256"),
        ("a --hash=sha256:12", "is not a sha256", None),
        ("a==${VERSION}", "holds '$'", "nothing is expanded"),
        ("a==1.0 b==2.0", "is not a requirement", "one requirement a line"),
        ("a===1.0;b", "is not a requirement", None),
        ("a===(1)", "is not a", "=="),
        ("-r", "takes one value", None),
        ("-r a b", "takes one value", None),
        ("-r 'a", "No closing quotation", None),
        ("- a", "no option", None),
    ],
)
def test_what_is_refused_and_what_to_do_instead(line: str, said: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        lines(f"six\n\n{line}\n")
    assert caught.value.message.startswith("requirements.in:3: ")
    assert said in caught.value.message
    assert hint is None or hint in str(caught.value.hint)
    assert "hunter2" not in str(caught.value)


def collect(
    root: Path, *paths: str, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> Collected:
    named = tuple((path, "repro.toml: pip") for path in paths)
    return collect_requirements(root, PipInputs(paths=named, extras=extras, groups=groups))


def test_files_are_followed_each_once_and_cycles_end(tmp_path: Path) -> None:
    (tmp_path / "req").mkdir()
    (tmp_path / "requirements.in").write_text("-r req/dev.txt\n-c pins.txt\npandas\n")
    (tmp_path / "req/dev.txt").write_text("-r ../requirements.in\n-r ./dev.txt\npytest\n")
    (tmp_path / "pins.txt").write_text("-r more.txt\nnumpy<2\n")
    (tmp_path / "more.txt").write_text("six==1\n")
    found = collect(tmp_path, "requirements.in").sets
    assert [(s.path, s.lines, s.constraint) for s in found] == [
        ("requirements.in", ("pandas",), False),
        ("req/dev.txt", ("pytest",), False),
        ("pins.txt", ("numpy<2",), True),
        ("more.txt", ("six==1",), True),
    ]


@pytest.mark.parametrize(
    ("include", "said"),
    [
        ("../out.txt", "leaves its folder"),
        ("/etc/passwd", "absolute"),
        ("https://example.org/r.txt", "network"),
        ("missing.txt", "does not exist"),
        ("folder", "not a regular file"),
        ("link.txt", "leads out of the project"),
    ],
)
def test_includes_stay_inside(tmp_path: Path, include: str, said: str) -> None:
    root = tmp_path / "project"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "out.txt").write_text("six\n")
    (root / "link.txt").symlink_to(tmp_path / "out.txt")
    (root / "requirements.in").write_text(f"\n-r {include}\n")
    with pytest.raises(UsageError, match=said) as caught:
        collect(root, "requirements.in")
    assert "requirements.in:2" in caught.value.message


PYPROJECT = """
[project]
name = "My_Study"
dependencies = ["pandas>=2", "numpy"]
[project.optional-dependencies]
plot = ["matplotlib"]
all = ["my-study[plot]", "scipy"]
[dependency-groups]
base = ["rich"]
Analysis = [{include-group = "base"}, "statsmodels"]
"""


def pyproject(text: str) -> Pyproject:
    from repro.project import toml

    return Pyproject(path="pyproject.toml", document=toml.parse(text, where="pyproject.toml"))


def test_pyproject_extras_and_groups() -> None:
    read = pyproject(PYPROJECT)
    assert dependencies(read) == ("numpy", "pandas>=2")
    assert dependencies(read, extras=("ALL",)) == ("matplotlib", "numpy", "pandas>=2", "scipy")
    assert dependencies(read, groups=("analysis", "base")) == (
        "numpy", "pandas>=2", "rich", "statsmodels",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[project]\nname="a"\ndynamic=["dependencies"]', "project.dynamic"),
        ('[project]\ndependencies="numpy"', "project.dependencies must be a list"),
        ("[project]\ndependencies=[1]", r"project.dependencies\[0\] must be a string"),
        ('[project]\ndependencies=["a\\n--index-url x"]', r"project.dependencies\[0\]"),
        ('[project]\nname="a b"', "project.name"),
        ("project=1", "project must be a table"),
        (
            '[dependency-groups]\nx=[{include-group="y"}]\ny=[{include-group="x"}]',
            "includes itself",
        ),
        ('[dependency-groups]\nx=[{other="y"}]', r"x\[0\]: a table here holds include-group"),
        ("[dependency-groups]\nx=[]\nX=[]", "given twice"),
        ("[dependency-groups]\ny=[]", "no dependency group 'x'"),
        (
            '[dependency-groups]\nx=["a[b];python_version>\'3\'"]\n[project]\nname="a"',
            "cannot depend on a marker",
        ),
        (
            "[dependency-groups]\n"
            + "".join(f'x{i}=[{{include-group="x{i + 1}"}}]\n' for i in range(3000))
            + 'x3000=[]\nx=[{include-group="x0"}]',
            "too deeply",
        ),
    ],
)
def test_pyproject_errors_name_the_key(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        dependencies(pyproject(text), groups=("x",))
    assert caught.value.message.startswith("pyproject.toml: ")


def test_the_project_itself_brings_its_dependencies_and_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements.in").write_text("-e .[plot]\nsix\n")
    found = collect(tmp_path, "requirements.in")
    assert [(s.path, s.lines) for s in found.sets] == [
        ("requirements.in", ("six",)),
        ("pyproject.toml", ("matplotlib", "numpy", "pandas>=2")),
    ]
    assert "PYTHONPATH" in found.notes[0]


def test_what_a_build_would_compute_is_noted_not_lost(tmp_path: Path) -> None:
    (tmp_path / "requirements.in").write_text("-e .\n")
    assert "list them here" in collect(tmp_path, "requirements.in").notes[0]
    (tmp_path / "requirements.in").write_text(".[plot]\n")
    with pytest.raises(UsageError, match="extras plot of"):
        collect(tmp_path, "requirements.in")


def test_apt_text() -> None:
    text = "# system\nlibgomp1\n\n graphviz=2.42.2-7+b3 # pinned\nlibgomp1\n"
    assert parse_apt_text(text, where="apt.txt") == (
        AptRequest(name="graphviz", version="2.42.2-7+b3"),
        AptRequest(name="libgomp1"),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("libgomp1 graphviz", "one package a line"),
        ("libc6:i386", "architecture"),
        ("libc6/sid", "suite"),
        ("-y", "not a Debian package's name"),
        ("libc6-", "not a Debian package's name"),
        ("LibC6", "not a Debian package's name"),
        ("libc6=", "not a Debian version"),
        ("libc6=1 2", "one package a line"),
        ("graphviz=2", "one package, two versions"),
    ],
)
def test_apt_text_names_the_line(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_apt_text(f"graphviz\n{line}\n", where="apt.txt")
    assert caught.value.message.startswith("apt.txt:2: ")


@given(st.text(max_size=80))
def test_apt_text_never_lets_anything_else_through(text: str) -> None:
    try:
        found = parse_apt_text(text, where="apt.txt")
    except UsageError:
        return
    assert parse_apt_text("\n".join(map(str, found)), where="apt.txt") == found
    assert all(str(item).isprintable() and not str(item).startswith("-") for item in found)
