"""The strict grammars: what they take, what they refuse, and in which words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError, ReproError, UsageError
from repro.locks import names

GRAMMARS: tuple[Callable[[str, str, type[ReproError]], str], ...] = (
    names.debian_package,
    names.debian_version,
    names.suite,
    names.archive,
    names.index_alias,
    names.interpreter,
    names.python_name,
    names.python_version,
    names.sha256,
    names.relative_path,
    names.file_name,
)

INJECTIONS = (
    "",
    " ",
    "-y",
    "--help",
    "numpy\n",
    "numpy\nRUN id",
    "numpy --index-url=x",
    "numpy;id",
    "$(id)",
    "`id`",
    "numpy\x00",
    "numpy\x1b[31m",
    "numpy\u2028RUN",
    "num\udc80py",
)


@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.parametrize("text", INJECTIONS)
def test_no_grammar_takes_an_injection(
    grammar: Callable[[str, str, type[ReproError]], str], text: str
) -> None:
    path_like = grammar in (names.relative_path, names.file_name)
    if path_like and text.isprintable() and text and not text.startswith("-"):
        assert grammar(text, "here", UsageError) == text  # a file may be called that (J80)
        return
    if grammar is names.relative_path and text in ("-y", "--help"):
        return
    with pytest.raises(UsageError, match=r"^here: "):
        grammar(text, "here", UsageError)


@given(st.text(max_size=40))
def test_what_a_word_grammar_takes_is_plain_ascii_that_no_option_begins_with(text: str) -> None:
    for grammar in GRAMMARS[:9]:
        try:
            value = grammar(text, "here", UsageError)
        except UsageError:
            continue
        assert value.isascii()
        assert value.isprintable()
        assert not value.startswith("-")
        assert not set(value) & set(" \\$`#'\"/;|&<>")


@given(st.text(alphabet=st.sampled_from("ab./\\ \n-"), max_size=12))
def test_a_relative_path_stays_below_its_folder(text: str) -> None:
    from pathlib import PurePosixPath

    try:
        value = names.relative_path(text, "here")
    except LockError:
        return
    path = PurePosixPath("/top") / value
    assert path.is_relative_to("/top")
    assert path != PurePosixPath("/top")
    assert ".." not in path.parts
    assert str(PurePosixPath(value)) == value


@pytest.mark.parametrize(
    "name", ["libgomp1", "g++", "python3.11", "libstdc++6", "0ad", "fonts-noto", "a+", "r-cran-ca."]
)
def test_debian_names(name: str) -> None:
    assert names.debian_package(name, "apt.lock") == name


@pytest.mark.parametrize("name", ["a", "Libc6", "libc6:amd64", "libc6/sid", "libc6-", "+x", "a_b"])
def test_not_debian_names(name: str) -> None:
    with pytest.raises(LockError, match="is not a Debian package's name"):
        names.debian_package(name, "apt.lock")


@pytest.mark.parametrize("version", ["1", "1:2.3-4+b1", "0~rc1", "2.36-9+deb12u10", "3.11.2-1+b1"])
def test_debian_versions(version: str) -> None:
    assert names.debian_version(version, "apt.lock") == version


@pytest.mark.parametrize("version", ["a1", "1:2:3", ":1", "1 2", "1_2", "1/2", "*", "~1"])
def test_not_debian_versions(version: str) -> None:
    with pytest.raises(LockError):
        names.debian_version(version, "apt.lock")


def test_python_names_and_versions_are_normalised() -> None:
    assert names.python_name("Ruamel.YAML_x", "lock") == "ruamel-yaml-x"
    assert names.python_version("1.0.RC1", "lock") == "1.0rc1"


@pytest.mark.parametrize("name", ["-a", "a-", "_a", "ſklearn", "\u212aeras", "a b", "a[b]"])
def test_not_python_names(name: str) -> None:
    with pytest.raises(LockError):
        names.python_name(name, "lock")


@pytest.mark.parametrize("version", ["1.x", "9" * 5000, "１.0", "", "1.0 --pre"])
def test_not_python_versions(version: str) -> None:
    with pytest.raises(LockError, match="PEP 440"):
        names.python_version(version, "lock")


def test_sha256_is_64_lower_case_digits() -> None:
    assert names.sha256("ab" * 32, "lock") == "ab" * 32
    for text in ("AB" * 32, "ab" * 31, "ab" * 33, "xy" * 32, "ab" * 32 + "\n"):
        with pytest.raises(LockError):
            names.sha256(text, "lock")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/.", ""]
)
def test_not_relative_paths(path: str) -> None:
    with pytest.raises(LockError):
        names.relative_path(path, "seal.toml")


def test_names_of_existing_files_may_hold_control_characters_but_no_nul() -> None:
    assert names.relative_path("a\nb", "run.toml", printable=False) == "a\nb"
    with pytest.raises(LockError):
        names.relative_path("a\0b", "run.toml", printable=False)


def test_the_callers_error_class_is_raised_with_the_place_and_the_quoted_text() -> None:
    with pytest.raises(UsageError) as caught:
        names.debian_package("x\ny", "apt.txt:3", UsageError)
    assert caught.value.message == "apt.txt:3: 'x\\ny' is not a Debian package's name"


def test_shown_is_short_and_hides_credentials() -> None:
    assert len(names.shown("x" * 10_000)) < 100
    said = names.shown("https://user:hunter2@example.org/simple?token=hunter2")
    assert "hunter2" not in said
    assert "example.org" in said
    said = names.shown("https://conda.example.org/t/hunter2/forge/linux-64/x-1-0.conda")
    assert said == "'https://conda.example.org/t/…/forge/linux-64/x-1-0.conda'"
