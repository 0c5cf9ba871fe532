"""Reading environments from their files: versions, origins, what was asked for, what changed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from repro.ecosystems.pip.installed import find_python, parse_direct_url, read_environment
from repro.ecosystems.pip.rebuild import rebuild, wheel_name
from repro.ecosystems.pip.recorded import asked_for, changes, needed_by
from repro.ecosystems.pip.records import difference, parse_record, parse_wheel
from repro.ecosystems.pip.tags import Target, markers, supported
from repro.ecosystems.tree import Folder
from repro.errors import LockError, UsageError
from repro.models.installed import Distribution, Recorded
from tests.wheelhouse import record_line

TARGET = Target(python="3.11", glibc="2.36")
FILES = {
    "demo/__init__.py": b"V = 1\n",
    "demo/data.bin": b"\0\1",
    "../../../bin/demo-run": b"#!/home/ada/venv/bin/python3\nprint(1)\n",
    "../../../bin/demo": b"#!/home/ada/venv/bin/python3\nimport demo\n",
    "../../../share/demo/a.txt": b"a\n",
    "demo-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\n\nwords\n",
    "demo-1.0.dist-info/WHEEL": b"Root-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n",
    "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n",
    "demo-1.0.dist-info/INSTALLER": b"pip\n",
}


def make(prefix: Path, files: dict[str, bytes], *, info: str = "demo-1.0.dist-info") -> Path:
    """Write an environment with one distribution at `prefix`; return its site folder."""
    site = prefix / "lib/python3.11/site-packages"
    site.mkdir(parents=True, exist_ok=True)
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")
    rows = "".join(record_line(name, data) for name, data in files.items())
    rows += f"demo/__pycache__/x.cpython-311.pyc,,\n{info}/RECORD,,\n"
    for name, data in {**files, f"{info}/RECORD": rows.encode()}.items():
        place = site / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return site


def one(prefix: Path) -> Distribution:
    """The only distribution there."""
    [found] = read_environment(Folder(), str(prefix)).distributions
    return found


def test_an_environment_is_read_without_its_interpreter(tmp_path: Path) -> None:
    site = make(tmp_path, FILES)
    (site / "own.py").write_text("X = 1\n")
    (site / "~emo-0.9.dist-info").mkdir()
    (site / "broken-2.0.dist-info").mkdir()
    found = read_environment(Folder(), str(tmp_path))
    assert (found.python, found.full) == ("3.11", "3.11.7")
    assert [(item.name, item.version) for item in found.distributions] == [("demo", "1.0")]
    assert found.strays == ("own.py",)
    assert [item.folder.rpartition("/")[2] for item in found.unreadable] == ["broken-2.0.dist-info"]
    assert "no METADATA" in found.unreadable[0].reason


def test_a_tree_with_a_root_of_its_own_is_read_alike(tmp_path: Path) -> None:
    make(tmp_path / "root/opt/venv", FILES)
    tree = Folder(tmp_path / "root")
    (tmp_path / "root/opt/venv/bin/python3").symlink_to("/usr/bin/python3.11")
    assert find_python(tree, ("/usr/bin", "/opt/venv/bin")) == "/opt/venv"
    assert read_environment(tree, "/opt/venv").distributions[0].name == "demo"
    assert find_python(tree, ("/bin", "relative/bin")) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [("implementation = PyPy\nversion = 3.11.1\n", "PyPy"), (None, "no Python environment")],
)
def test_what_is_no_cpython_environment_is_refused(
    tmp_path: Path, settings: str | None, says: str
) -> None:
    if settings:
        (tmp_path / "pyvenv.cfg").write_text(settings)
    with pytest.raises(UsageError, match=says):
        read_environment(Folder(), str(tmp_path))


def test_a_changed_and_a_missing_file_are_found_and_bytecode_is_not(tmp_path: Path) -> None:
    site = make(tmp_path, FILES)
    assert changes(Folder(), one(tmp_path)) == ()
    (site / "demo/__init__.py").write_bytes(b"V = 2\n")
    (site / "demo/data.bin").unlink()
    (site / "demo-1.0.dist-info/INSTALLER").write_bytes(b"uv\n")
    found = {(Path(item.path).name, item.missing) for item in changes(Folder(), one(tmp_path))}
    assert found == {("__init__.py", False), ("data.bin", True)}


def test_a_wheel_made_again_is_canonical_and_is_what_was_installed(tmp_path: Path) -> None:
    make(tmp_path / "a", FILES)
    make(tmp_path / "b", dict(reversed(FILES.items())))
    wheels = []
    for name in "ab":
        path = tmp_path / f"{name}.whl"
        with path.open("wb") as file:
            rebuild(Folder(), one(tmp_path / name), file)
        wheels.append(path.read_bytes())
    assert wheels[0] == wheels[1], "the same files are the same wheel, wherever they lie"
    with zipfile.ZipFile(tmp_path / "a.whl") as archive:
        members = set(archive.namelist())
        record = parse_record(archive.read("demo-1.0.dist-info/RECORD").decode(), where="RECORD")
        script = archive.read("demo-1.0.data/scripts/demo-run")
    assert script == b"#!python\nprint(1)\n", "no path of that machine"
    assert "demo-1.0.data/data/share/demo/a.txt" in members
    assert not [name for name in members if name.endswith(("/demo", "INSTALLER", ".pyc"))]
    assert difference(record, one(tmp_path / "a").record or (), ("demo",)) is None
    assert wheel_name(one(tmp_path / "a"), supported(TARGET)) == "demo-1.0-py2.py3-none-any.whl"


def test_files_outside_the_environment_make_no_wheel(tmp_path: Path) -> None:
    make(tmp_path / "venv", {**FILES, "../../../../elsewhere.txt": b"x\n"})
    with (tmp_path / "w").open("wb") as file, pytest.raises(LockError, match="lies outside"):
        rebuild(Folder(), one(tmp_path / "venv"), file)


def distribution(name: str, *requires: str, extras: str = "", asked: bool = False) -> Distribution:
    return Distribution(
        name=name,
        version="1",
        folder="",
        site="",
        requires=requires,
        extras=tuple(extras.split()),
        requested=asked,
    )


APP = distribution("app", "lib", 'plot; extra == "pics"', extras="pics")
LIB = distribution("lib", 'win; sys_platform == "win32"')


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        pytest.param([APP, LIB], ("app",), id="nothing is marked: what nobody needs"),
        pytest.param(
            [distribution("app", "lib", asked=True), distribution("lib", asked=True)],
            ("app",),
            id="all is marked, as uv does",
        ),
        pytest.param(
            [APP, distribution("lib", asked=True), distribution("other", asked=True)],
            ("app", "lib", "other"),
            id="marked, and what they do not bring in",
        ),
        pytest.param(
            [distribution("app", 'plot; extra == "pics"', extras="pics", asked=True),
             distribution("plot")],
            ("app[pics]",),
            id="an extra",
        ),
        pytest.param(
            [distribution("a", "b"), distribution("b", "a")], ("a",), id="a circle by itself"
        ),
    ],
)  # fmt: skip
def test_what_was_asked_for(installed: list[Distribution], expected: tuple[str, ...]) -> None:
    assert asked_for(installed, markers(TARGET)) == expected


def test_what_needs_another_says_so() -> None:
    assert needed_by(LIB, [APP, LIB])
    assert not needed_by(APP, [APP, LIB])
    assert not needed_by(distribution("plot"), [APP])


def test_an_origin_shows_no_credential() -> None:
    data = b'{"url": "https://me:hunter2@git.example.org/x.git", "vcs_info": {"commit_id": "ab"}}'
    found = parse_direct_url(data, where="direct_url.json")
    assert (found.kind, found.commit) == ("vcs", "ab")
    assert "hunter2" not in found.address


WHEEL = (
    Recorded(path="demo/__init__.py", digest="sha256=aa"),
    Recorded(path="demo-1.0.data/scripts/run", digest="sha256=bb"),
    Recorded(path="demo-1.0.data/purelib/more.py", digest="sha256=cc"),
    Recorded(path="demo-1.0.dist-info/RECORD"),
)
INSTALLED = (
    Recorded(path="demo/__init__.py", digest="sha256=aa"),
    Recorded(path="../../../bin/run", digest="sha256=other first line"),
    Recorded(path="more.py", digest="sha256=cc"),
    Recorded(path="demo/__pycache__/a.pyc"),
    Recorded(path="demo-1.0.dist-info/INSTALLER", digest="sha256=dd"),
)


@pytest.mark.parametrize(
    ("installed", "scripts", "expected"),
    [
        (INSTALLED, (), None),
        ((*INSTALLED, Recorded(path="../../../bin/demo", digest="sha256=ee")), ("demo",), None),
        ((*INSTALLED, Recorded(path="../../../bin/demo")), (), "../../../bin/demo"),
        (INSTALLED[1:], (), "demo/__init__.py"),
        ((Recorded(path="demo/__init__.py", digest="sha256=ab"), *INSTALLED[1:]), (),
         "demo/__init__.py"),
        ((INSTALLED[0], *INSTALLED[2:]), (), "demo-1.0.data/scripts/run"),
        ((*INSTALLED, Recorded(path="extra.py", digest="sha256=ff")), (), "extra.py"),
    ],
)  # fmt: skip
def test_a_wheel_is_told_from_another(
    installed: tuple[Recorded, ...], scripts: tuple[str, ...], expected: str | None
) -> None:
    assert difference(WHEEL, installed, scripts) == expected


def test_a_wheel_file_that_says_little_is_a_purelib() -> None:
    facts = parse_wheel("Wheel-Version: 1.0\nTag: cp311-abi3-linux_x86_64\nBuild: 2b\n")
    assert (facts.tags, facts.build, facts.purelib) == (("cp311-abi3-linux_x86_64",), "2b", True)
