"""Bounded TOML and YAML: what they read, and what stops them."""

from __future__ import annotations

import tomllib

import pytest
import tomli_w
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UsageError
from repro.locks import yaml
from repro.project import toml

SCALARS = st.none() | st.text(max_size=8) | st.integers(-99, 99) | st.booleans()
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=20,
)


def without_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value if item is not None]
    return value


@given(st.dictionaries(st.text(max_size=6), TREES, max_size=5))
def test_toml_reads_what_was_written(tree: dict[str, object]) -> None:
    wanted = without_none(tree)
    assert isinstance(wanted, dict)
    assert toml.parse(tomli_w.dumps(wanted), where="x.toml") == wanted


@given(st.text(max_size=200) | st.text(alphabet="[]{}=.\"'\\\n#ab1, ", max_size=200))
def test_toml_agrees_with_the_standard_library_or_refuses(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        with pytest.raises(UsageError, match=r"^x\.toml: "):
            toml.parse(text, where="x.toml")
        return
    try:
        found = toml.parse(text, where="x.toml")
    except UsageError as error:
        refused = error.message
    else:
        assert found == expected
        return
    assert "more than 16 nested" in refused


@pytest.mark.parametrize("quote", ['"', "'", '"""', "'''"])
def test_brackets_in_strings_and_comments_are_no_depth(quote: str) -> None:
    text = f"a = {quote}{'[' * 99}{quote} # {'[' * 99}\nb = [1.5, {'1.5, ' * 99}]\n"
    assert toml.parse(text, where="x.toml")["a"] == "[" * 99


def test_escaped_quotes_do_not_end_a_string() -> None:
    text = 'a = "\\"[[[[[[[[[[[[[[[[[[[["\nb = """x""[[[[[[[[[[[[[[[[[[["""""\n'
    assert toml.parse(text, where="x.toml")["b"] == 'x""[[[[[[[[[[[[[[[[[[[""'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\na = 2\n", "Cannot overwrite"),
        ("[t]\n[t]\n", "twice"),
        ("\n\na = " + "[" * 20, "line 3: more than 16 nested brackets"),
        ("\na" + ".b" * 20 + " = 1", "line 2: more than 16 nested parts of a dotted key"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("a = 'x' " + " " * toml.LIMIT, "larger than 256 KiB"),
    ],
)
def test_toml_says_what_and_where(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        toml.parse(text, where="x.toml")
    assert caught.value.message.startswith("x.toml: ")
    assert said in caught.value.message


def test_merge_conflicts_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        toml.parse("<<<<<<< HEAD\na = 1\n=======\n", where="repro.toml")
    assert caught.value.hint is not None
    assert "merge-conflict" in caught.value.hint


def as_text(value: object) -> object:
    """Scalars as our reader gives them."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return value


TEXTS = st.recursive(
    st.text(alphabet="abc 1.:#-", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc12", min_size=1), inner)
    ),
    max_leaves=20,
)


@given(TEXTS)
def test_yaml_reads_what_was_written(tree: object) -> None:
    assert yaml.parse(pyyaml.safe_dump(tree), where="x.yaml") == as_text(tree)


@given(st.text(max_size=100) | st.text(alphabet="[]{}:-&*!<>?|\"'\n #ab1, ", max_size=100))
def test_yaml_refuses_in_one_way_only(text: str) -> None:
    said = "x.yaml: "
    try:
        yaml.parse(text, where="x.yaml")
    except UsageError as error:
        said = error.message
    assert said.startswith("x.yaml: ")


def test_yaml_scalars_stay_text_and_merge_keys_are_applied() -> None:
    text = "base: &b {python: 3.10, a: no}\nmore: &m {a: 1, c: 2}\nx: {<<: [*b, *m], python: 3.9}\n"
    value = yaml.parse(text, where="x.yaml")
    assert isinstance(value, dict)
    assert value["base"] == {"python": "3.10", "a": "no"}
    assert value["x"] == {"python": "3.9", "a": "no", "c": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given twice"),
        ("a: &x [*x]\n", "undefined or holds itself"),
        ("a: *x\n", "undefined"),
        ("a: !!python/object/apply:os.getcwd []\n", "line 1: the tag"),
        ("\n" + "[" * 5000, "line 2: nested more than 32 deep"),
        ("[a, b]: 1\n", "a key must be a plain word"),
        ("a: 1\n--- \nb: 2\n", "not valid YAML"),
        ("a:\n\t- b\n", "not valid YAML: line 2"),
    ],
)
def test_yaml_says_what_and_where(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        yaml.parse(text, where="x.yaml")
    assert said in caught.value.message
