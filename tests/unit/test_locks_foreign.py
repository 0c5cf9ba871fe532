"""Locks of other tools, each written by its tool: what is read of them, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import cast

import pytest
from packaging.markers import Environment
from packaging.pylock import Pylock

from repro.ecosystems.pip.tags import Target, markers, supported
from repro.errors import LockError, UsageError
from repro.locks.foreign import conda_lock, pixi, pylock, requirements, uv
from repro.locks.foreign.graph import roots
from repro.locks.foreign.read import reader
from repro.locks.foreign.select import fitting
from repro.models.foreign import ForeignLock

DATA = Path(__file__).parent / "data"
FOREIGN = DATA / "foreign"
TARGETS = {
    one: Target(python=one, glibc="2.36", full=f"{one}.2") for one in ("3.9", "3.11", "3.13")
}


def text(name: str) -> str:
    return (FOREIGN / name).read_text()


def pins(lock: ForeignLock, python: str = "3.11") -> dict[str, str]:
    return {pin.name: pin.version for pin in fitting(lock, markers(TARGETS[python]))}


# ------------------------------------------------------------------------- uv.lock

OLDEST = {"importlib-metadata": "8.7.1", "iniconfig": "2.1.0", "python-dateutil": "3.0.0"}
NEWER = {"iniconfig": "2.3.1", "packaging": "26.3", "python-dateutil": "4.0.0"}
NO_FORKS = {"iniconfig": "2.1.0", "python-dateutil": "3.0.0"}
"""uv forked for interpreters only where it had to, then."""


@pytest.mark.parametrize(
    ("version", "python", "has"),
    [
        ("0.4.30", "3.9", OLDEST),
        ("0.4.30", "3.11", NO_FORKS),
        ("0.6.17", "3.9", OLDEST),
        ("0.6.17", "3.11", NEWER),
        ("0.13.9", "3.9", OLDEST),
        ("0.13.9", "3.11", NEWER),
    ],
)
def test_uv_lock_has_a_fork_for_each_interpreter(
    version: str, python: str, has: dict[str, str]
) -> None:
    lock = uv.parse(text(f"uv/{version}.lock"), where="uv.lock")
    found = pins(lock, python)
    assert has.items() <= found.items()
    assert "study" not in found, "the project itself is never installed"
    assert lock.requires_python == ">=3.9"
    assert lock.wants == (
        "colorama ; sys_platform == 'win32'",
        "importlib-metadata>=4 ; python_full_version < '3.10'",
        "iniconfig",
        "python-dateutil>=2.8",
    )
    assert all(len(pin.hashes) == 2 for pin in lock.pins), "a wheel and a source distribution"


def test_uv_lock_is_for_the_interpreters_that_it_names() -> None:
    lock = uv.parse(text("uv/conflict.lock"), where="uv.lock")
    with pytest.raises(LockError, match=r"uv.lock is for Python >=3.10, and .* has 3.9.2"):
        pins(lock, "3.9")


def test_what_extras_decide_between_is_refused_where_it_is_needed() -> None:
    lock = uv.parse(text("uv/conflict.lock"), where="uv.lock")
    found = {pin.name: pin for pin in fitting(lock, markers(TARGETS["3.11"]))}
    assert found["iniconfig"].refusal is None
    refusal = found["packaging"].refusal
    assert refusal is not None
    assert refusal.why == "is there as 23.2 and 26.3, and extras or groups decide which"
    assert "uv export" in refusal.remedy


def test_uv_lock_of_a_script_says_what_the_script_wants() -> None:
    lock = uv.parse(text("uv/script.lock"), where="script.py.lock")
    assert lock.wants == ("iniconfig", "packaging>=24")
    assert set(pins(lock)) == {"iniconfig", "packaging"}


def test_what_has_no_hash_of_an_index_is_refused_by_its_kind() -> None:
    lock = uv.parse(text("uv/sources.lock"), where="uv.lock")
    refused = {pin.name: pin.refusal.why for pin in lock.pins if pin.refusal is not None}
    assert refused == {
        "gitpen": "comes from version control",
        "member": "is the local folder 'member'",
        "pen": "is the local folder 'pen'",
    }


ENTRY = """\
version = 1
requires-python = ">=3.9"
[[package]]
name = "demo"
version = "1.0"
source = { registry = "https://index.example.org/simple" }
wheels = [{ url = "https://files.example.org/demo-1.0-py3-none-any.whl", hash = "sha256:%s" }]
""" % ("a" * 64)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version = 1\n", "version = 2\n", "version is 2, and only 1 is read"),
        ("version = 1\n", "", "version is missing"),
        ('"demo"', '"-r x"', "is not a Python project's name"),
        ('"1.0"', '"one"', "is not a version"),
        ("registry", "palace", "'palace' is not one of registry, git"),
        ("a" * 64, "a" * 63, "is not a sha256"),
        (">=3.9", "three", "is no version specifier"),
        ('version = "1.0"', "version = 1", "version must be a string"),
        ("[[package]]", "<<<<<<< ours\n[[package]]", "not TOML"),
        ("requires", 'supported-markers = ["os"]\nrequires', "is no marker"),
    ],
)
def test_uv_lock_that_is_none_names_the_place(old: str, new: str, says: str) -> None:
    assert old in ENTRY
    with pytest.raises(LockError) as caught:
        uv.parse(ENTRY.replace(old, new, 1), where="uv.lock")
    assert "uv.lock" in caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("sha256:" + "a" * 64, "md5:" + "a" * 32, "has only a md5 of 'demo-1.0-py3-none-any.whl'"),
        (', hash = "sha256:' + "a" * 64 + '"', "", "has no hash of 'demo-1.0-py3-none-any.whl'"),
        ("wheels = [", "wheels = []\nothers = [", "lists no file"),
        ('registry = "', 'url = "', "is required by address, not from an index"),
        ('registry = "https:', 'path = "', "is the local file"),
    ],
)
def test_uv_lock_s_package_that_cannot_be_taken_over(old: str, new: str, why: str) -> None:
    assert old in ENTRY
    [pin] = uv.parse(ENTRY.replace(old, new, 1), where="uv.lock").pins
    assert pin.refusal is not None
    assert why in pin.refusal.why
    assert pin.refusal.remedy


# --------------------------------------------------------------------- pylock.toml


@pytest.mark.parametrize("name", ["uv", "pip"])
@pytest.mark.parametrize("python", TARGETS)
def test_pylock_is_read_as_packaging_selects(name: str, python: str) -> None:
    """`packaging` is the specification's own reading of it."""
    lock = pylock.parse(text(f"pylock/{name}.toml"), where="pylock.toml")
    theirs = Pylock.from_dict(tomllib.loads(text(f"pylock/{name}.toml")))
    target = TARGETS[python]
    environment = cast("Environment", markers(target))
    chosen = {
        str(package.name): str(package.version)
        for package, _ in theirs.select(environment=environment, tags=supported(target))
    }
    assert pins(lock, python) == chosen


PEP751 = """\
lock-version = "1.0"
created-by = "tests"
requires-python = ">=3.9"
environments = ["sys_platform == 'linux'"]
extras = ["plot"]
dependency-groups = ["dev", "old"]
default-groups = []
[[packages]]
name = "app"
version = "1.0"
dependencies = [{ name = "lib" }]
wheels = [{ url = "https://example.org/app-1.0-py3-none-any.whl", hashes = { sha256 = "AA" } }]
[[packages]]
name = "lib"
version = "2.0"
sdist = { url = "https://example.org/lib-2.0.tar.gz", hashes = { sha256 = "BB" } }
[[packages]]
name = "pen"
version = "3.0"
marker = "'plot' in extras or 'dev' in dependency_groups"
wheels = [{ url = "https://example.org/pen-3.0-py3-none-any.whl", hashes = { sha256 = "CC" } }]
"""
for letter in "abc":
    PEP751 = PEP751.replace(f'"{letter.upper() * 2}"', f'"{letter * 64}"')


def test_pylock_s_extras_and_groups_are_left_open() -> None:
    lock = pylock.parse(PEP751, where="pylock.toml")
    assert lock.partial
    assert pins(lock) == {"app": "1.0", "lib": "2.0", "pen": "3.0"}
    assert lock.wants == ("app", "pen"), "what no other package depends on"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"1.0"\ncreated', '"2.0"\ncreated', "pylock version 2.0"),
        ('created-by = "tests"\n', "", "created-by"),
        ('"app"', '"App"', "packages[0]"),
        ("'linux'", "'win32'", "is for other environments than Python 3.11.2 on Linux"),
        (">=3.9", ">=3.12", "is for Python >=3.12"),
        ("a" * 64, "not hex", "is not a sha256"),
    ],
)
def test_pylock_that_is_none_or_for_others(old: str, new: str, says: str) -> None:
    assert old in PEP751
    with pytest.raises(LockError) as caught:
        pins(pylock.parse(PEP751.replace(old, new, 1), where="pylock.toml"))
    assert "pylock.toml" in caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ('vcs = { type = "git", url = "https://x", commit-id = "1" }', "version control"),
        ('directory = { path = "../lib" }', "is a local folder"),
        (
            f'archive = {{ url = "https://x/y.zip", hashes = {{ sha256 = "{"d" * 64}" }} }}',
            "address",
        ),
        (
            'sdist = { url = "https://example.org/lib-2.0.tar.gz", hashes = { sha512 = "00" } }',
            "only a sha512 of",
        ),
    ],
)
def test_pylock_s_package_that_cannot_be_taken_over(new: str, why: str) -> None:
    whole, count = re.subn(r"^sdist = .*$", new, PEP751, flags=re.MULTILINE)
    assert count == 1
    lock = pylock.parse(whole, where="pylock.toml")
    [lib] = [pin for pin in lock.pins if pin.name == "lib"]
    assert lib.refusal is not None
    assert why in lib.refusal.why


# ---------------------------------------------------------------- requirements.txt


@pytest.mark.parametrize("name", ["uv-export", "uv", "pip-compile"])
def test_requirements_of_each_tool(name: str) -> None:
    lock = requirements.parse(text(f"requirements/{name}.txt"), where="requirements.txt")
    assert pins(lock)["iniconfig"] == "2.3.1"
    assert "colorama" not in pins(lock)
    assert all(pin.hashes for pin in lock.pins)


def test_one_package_pinned_for_several_interpreters() -> None:
    lock = requirements.parse(text("requirements/uv-export.txt"), where="requirements.txt")
    assert pins(lock, "3.9")["iniconfig"] == "2.1.0"


def test_what_a_file_says_of_indexes_is_left_to_the_configuration() -> None:
    lock = requirements.parse(text("requirements/pip-compile.txt"), where="r.txt")
    [note] = lock.notes
    assert note.startswith("r.txt: --extra-index-url, --find-links: not taken over")
    assert "example.org" not in note


HASH = f"--hash=sha256:{'a' * 64}"

TAKEN = [
    "-i https://me:secret@index.example.org/simple",
    "--index-url=https://index.example.org/simple",
    "--extra-index-url https://index.example.org/simple",
    "--no-index",
    "-f ./wheels",
    "--find-links=./wheels",
    "--trusted-host index.example.org",
    "--require-hashes",
    "--only-binary :all:",
    "--only-binary=demo",
    "--prefer-binary",
    "--pre",
    "--use-feature=fast-deps",
    "-e .",
    "-e '.[plot]'",
    "--editable=.",
    ".",
    "# a comment",
]
REFUSED = [
    ("-r other.txt", "--requirement is not taken over"),
    ("--requirement=other.txt", "--requirement is not taken over"),
    ("-c other.txt", "--constraint is not taken over"),
    ("--no-binary :all:", "--no-binary is not taken over"),
    ("-e ./other", "editable requirement"),
    ("-e git+https://me:secret@git.example.org/x#egg=x", "editable requirement"),
    ("--new-option", "--new-option is not taken over"),
    ("-", "is no requirement and no option"),
    ("./demo-1.0-py3-none-any.whl", "is not a requirement"),
    (f"demo>=1 {HASH}", "not pinned to one version"),
    (f"demo==1.* {HASH}", "not pinned to one version"),
    (f"demo==1,!=2 {HASH}", "not pinned to one version"),
    (f"demo==1 {HASH} --config-settings=a=b", "'--config-settings' of a requirement"),
    (f"demo==1 --global-option='x' {HASH}", "'--global-option' of a requirement"),
    ("demo==1 --hash=sha256:abc", "is not a sha256"),
    (f"demo==1; os == 'x' {HASH}", "is not a requirement"),
]
"""With the options of a line and of a requirement, every one that pip has for its format."""


@pytest.mark.parametrize("line", TAKEN)
def test_an_option_that_changes_no_pin_is_read(line: str) -> None:
    [pin] = requirements.parse(f"{line}\ndemo==1 {HASH}\n", where="r.txt").pins
    assert (pin.name, pin.version, pin.hashes) == ("demo", "1", ("a" * 64,))


@pytest.mark.parametrize(("line", "says"), REFUSED)
def test_every_other_option_is_refused_by_name(line: str, says: str) -> None:
    with pytest.raises(LockError) as caught:
        requirements.parse(f"six==1 {HASH}\n{line}\n", where="r.txt")
    assert caught.value.message.startswith("r.txt:2: ")
    assert says in caught.value.message
    assert "secret" not in str(caught.value)


def test_several_hashes_and_a_weaker_one_beside_a_strong_one() -> None:
    line = f"Demo[plot]==1.0.post1 ; os_name == 'posix' \\\n {HASH} \\\n --hash sha256:{'b' * 64}"
    [pin] = requirements.parse(f"{line} --hash=md5:{'c' * 32}\n", where="r.txt").pins
    assert (pin.name, pin.version, pin.refusal) == ("demo", "1.0.post1", None)
    assert pin.hashes == ("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("demo==1", "has no hash of 'demo'"),
        ("demo==1 --hash=sha1:" + "0" * 40, "has only a sha1 of 'demo'"),
        (f"demo @ https://me:secret@files.example.org/demo-1.whl {HASH}", "required by address"),
    ],
)
def test_a_line_that_cannot_be_taken_over(line: str, why: str) -> None:
    [pin] = requirements.parse(f"{line}\n", where="r.txt").pins
    assert pin.refusal is not None
    assert why in pin.refusal.why
    assert "secret" not in str(pin)


# ------------------------------------------------------------- pixi and conda-lock


@pytest.mark.parametrize("version", ["4", "5", "6", "7"])
def test_pixi_lock_of_each_version_holds_the_same(version: str) -> None:
    """5 to 7 were written by py-rattler out of 4."""
    lock = pixi.parse(text(f"pixi/{version}.lock"), where="pixi.lock")
    assert [(one.name, one.version, one.build) for one in lock.conda] == [
        ("libtiny", "1.2.3", "h1_0"),
        ("python", "3.11.9", "hb806964_0_cpython"),
        ("six", "1.16.0", "pyh6c4a22f_0"),
    ]
    libtiny = lock.conda[0]
    assert libtiny.address == "https://conda.example.org/forge/linux-64/libtiny-1.2.3-h1_0.conda"
    assert (libtiny.size, libtiny.depends, len(libtiny.md5)) == (3141, ("__glibc >=2.17",), 32)
    assert pins(lock) == {"idna": "3.7", "python-dateutil": "2.9.0.post0", "requests": "2.31.0"}
    assert lock.channels == ("https://conda.example.org/forge",)
    assert (lock.conda_wants, lock.wants) == (("six",), ("python-dateutil", "requests"))
    assert "'test' too" in lock.notes[0]
    mac = pixi.parse(text(f"pixi/{version}.lock"), where="pixi.lock", subdir="osx-arm64")
    assert [one.subdir for one in mac.conda] == ["osx-arm64", "noarch"]


SEVEN = text("pixi/7.lock")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 7", "version: 8", "version is '8', and 4, 5, 6, 7 are read"),
        ("  default:", "  other:", "no environment 'default'; there are: 'other', 'test'"),
        ("      linux-64:", "      linux-aarch64:", "no platform linux-64"),
        ("linux-64/libtiny", "linux-64/libtony", "packages has no"),
        ("  sha256:", "  sha1:", "has only an md5, and no sha256"),
        ("- conda: https", "- conda_source: https", "is built from source"),
        ("- conda:", "- nix:", "is neither a conda nor a pypi package"),
        ("packages:\n- ", "packages:\n  a\n- ", "not valid YAML"),
    ],
)
def test_pixi_lock_that_is_none_names_the_place(old: str, new: str, says: str) -> None:
    at = SEVEN.index("packages:\n- ") if old == "  sha256:" else 0
    whole = SEVEN[:at] + SEVEN[at:].replace(old, new, 1)
    assert whole != SEVEN
    with pytest.raises(LockError) as caught:
        pixi.parse(whole, where="pixi.lock")
    assert "pixi.lock" in caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("git+https://git.example.org/idna.git?rev=1#abc", "comes from version control"),
        ("./idna", "is the local path './idna'"),
        ("file:///srv/idna-3.7-py3-none-any.whl", "is the local path"),
    ],
)
def test_pixi_s_package_that_cannot_be_taken_over(address: str, why: str) -> None:
    whole = SEVEN.replace(
        "https://files.example.org/packages/ef/idna-3.7-py3-none-any.whl", address
    )
    [idna] = [pin for pin in pixi.parse(whole, where="pixi.lock").pins if pin.name == "idna"]
    assert idna.refusal is not None
    assert why in idna.refusal.why


def test_conda_lock_yml_is_read_for_one_platform() -> None:
    whole = (DATA / "conda-lock/written-by-4.0.3.yml").read_text()
    lock = conda_lock.parse(whole, where="conda-lock.yml")
    assert "python" in {one.name for one in lock.conda}
    assert lock.conda_wants
    with pytest.raises(LockError, match="no platform osx-64; there are: "):
        conda_lock.parse(whole, where="conda-lock.yml", subdir="osx-64")


def test_roots_reach_everything_and_are_few() -> None:
    needs = {"a": ["b"], "b": ["c", "gone"], "c": [], "x": ["y"], "y": ["x"], "z": ["z"]}
    assert roots(needs) == ("a", "x", "z")


# ------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("name", "sample", "found"),
    [
        ("uv.lock", "", uv.parse),
        ("script.py.lock", "", uv.parse),
        ("pylock.toml", "", pylock.parse),
        ("pylock.linux.toml", "", pylock.parse),
        ("requirements.txt", "", requirements.parse),
        ("sub/requirements-dev.txt", "", requirements.parse),
        ("pixi.lock", "", pixi.parse),
        ("conda-lock.yml", "", conda_lock.parse),
        ("gpu.conda-lock.yaml", "", conda_lock.parse),
        ("my.lock", "uv/0.13.9.lock", uv.parse),
        ("my.lock", "uv/0.4.30.lock", uv.parse),
        ("my.lock", "pylock/pip.toml", pylock.parse),
        ("my.lock", "requirements/uv.txt", requirements.parse),
        ("my.lock", "requirements/pip-compile.txt", requirements.parse),
        ("my.lock", "pixi/7.lock", pixi.parse),
        ("my.lock", "pixi/4.lock", pixi.parse),
    ],
)
def test_the_format_is_told_from_the_name_or_the_head(
    name: str, sample: str, found: object
) -> None:
    assert reader(name, text(sample) if sample else "") is found


@pytest.mark.parametrize(
    "name", ["poetry.lock", "pdm.lock", "Pipfile.lock", "x.yaml", "Cargo.lock"]
)
def test_another_format_is_refused_with_what_is_read(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        reader(name, "")
    assert caught.value.hint
    assert name in caught.value.message
