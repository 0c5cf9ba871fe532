from __future__ import annotations

import json
import math
import tracemalloc

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import AnalysisError, UsageError
from repro.measure.metrics import READERS, read_metrics
from repro.models.measurement import Scalar

SAME = {
    "m.json": b'{"rmse": 0.25, "fold": [1, 2.5], "by": {"EU": {"n": 7}}, "ok": true, "who": "x"}',
    "m.yaml": b"rmse: 0.25\nfold: [1, 2.5]\nby: {EU: {n: 7}}\nok: true\nwho: x\n",
    "m.toml": b'rmse = 0.25\nfold = [1, 2.5]\nok = true\nwho = "x"\n[by.EU]\nn = 7\n',
}


def values(data: bytes, file: str) -> dict[str, Scalar]:
    return {metric.name: metric.value for metric in read_metrics(data, file=file)}


@pytest.mark.parametrize("file", SAME)
def test_nested_names_are_joined_with_dots(file: str) -> None:
    expected = {"rmse": 0.25, "fold.0": 1, "fold.1": 2.5, "by.EU.n": 7, "ok": True, "who": "x"}
    found = values(SAME[file], file)
    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in expected.items()
    }
    assert {metric.file for metric in read_metrics(SAME[file], file=file)} == {file}


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("m.json", b'{"a": NaN, "b": Infinity, "c": -Infinity, "d": null}'),
        ("m.yaml", b"a: .nan\nb: .inf\nc: -.inf\nd: ~\n"),
        ("m.csv", b"name,value\na,NaN\nb,inf\nc,-Infinity\nd,\n"),
    ],
)
def test_values_that_are_no_finite_number(file: str, data: bytes) -> None:
    found = values(data, file)
    assert isinstance(found["a"], float)
    assert math.isnan(found["a"])
    assert (found["b"], found["c"], found["d"]) == (math.inf, -math.inf, None)


def test_empty_containers_are_seen() -> None:
    assert values(b'{"outliers": [], "by": {}, "n": 1}', "m.json") == {
        "outliers": "[]",
        "by": "{}",
        "n": 1,
    }


def test_python_and_numpy_style_floats_in_yaml_are_numbers() -> None:
    assert values(b"a: 1e-05\nb: 1.0e+16\nc: 3\n", "m.yml") == {"a": 1e-05, "b": 1e16, "c": 3}


def test_yaml_words_and_leading_zeros_stay_text() -> None:
    assert values(b"a: yes\nb: 010\nc: '1'\nd: 2020-01-01\ne: 1:30\n", "m.yaml") == {
        "a": "yes",
        "b": "010",
        "c": "1",
        "d": "2020-01-01",
        "e": "1:30",
    }


@pytest.mark.parametrize("header", [b"", b"name,value\n", b"Metric, Value\r\n"])
def test_csv_with_and_without_header(header: bytes) -> None:
    assert values(header + b"rmse,0.5\n\nn,7\nzip,01234\ncity,Nan\n", "m.csv") == {
        "rmse": 0.5,
        "n": 7,
        "zip": "01234",
        "city": "Nan",
    }


def test_toml_dates_are_text() -> None:
    assert values(b"day = 2025-06-01\nat = 07:32:00\n", "m.toml") == {
        "day": "2025-06-01",
        "at": "07:32:00",
    }


def test_other_extensions_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"out/m\.txt.*\.json"):
        read_metrics(b"a", file="out/m.txt")


MALFORMED = [
    ("cut.json", b'{"a": 1', "line 1, column 8: expected ',' or '}', found the end"),
    ("open.json", b'{"a":\n "x', "line 2, column 2: Unterminated string"),
    ("more.json", b'{"a":1} x', "line 1, column 9: more text"),
    ("comma.json", b'{"a":1,}', "line 1, column 8: expected a key"),
    ("list.json", b'{"a":[1,]}', "line 1, column 9: expected a value, found ']'"),
    ("colon.json", b'{"a" 1}', "line 1, column 6: expected ':'"),
    ("word.json", b'{"a": nul}', "line 1, column 7: expected a value"),
    ("zeros.json", b'{"a": 01}', "line 1, column 8: expected ','"),
    ("control.json", b'{"a": "\x01"}', "line 1, column 8: Invalid control character"),
    ("escape.json", b'{"a": "\\x"}', "line 1, column 8: Invalid \\escape"),
    ("lone.json", b"3", "line 1, column 1: a lone value has no name"),
    ("none.json", b"{}", "holds no metric"),
    (
        "dots.json",
        b'{"a.b": 1, "a": {"b": 2}}',
        "line 1, column 23: two values have the name 'a.b'",
    ),
    (
        "twice.json",
        b'{"a": {"x": 1}, "a": {"y": 2}}',
        "line 1, column 17: the key 'a' occurs twice",
    ),
    ("twice.yaml", b"a: {x: 1}\na: {y: 2}\n", "line 2, column 1: the key 'a' occurs twice"),
    ("tab.yaml", b"a:\n\t- 1\n", "line 2, column 1: "),
    ("cut.yaml", b"a: [1,", "line 2, column 1: "),
    ("control.yaml", b"a: \x01\n", "line 1, column 4: not valid YAML: control characters"),
    ("alias.yaml", "é: &x [1]\nb: *x\n".encode(), "line 2, column 4: the alias *x"),
    ("two.yaml", b"a: 1\n---\nb: 1\n", "line 2, column 1: a second document"),
    ("key.yaml", b"[1]: 2\n", "line 1, column 1: a key that is a list"),
    ("tag.yaml", b"a: !!python/object/apply:os.getcwd []\n", "line 1, column 4: the tag"),
    ("bad.toml", b"a = \n", "line 1, column 5: Invalid value"),
    ("end.toml", b"a = [", "line 1, column 6: Invalid value"),
    ("wide.csv", b"a,1\nb,2,3\n", "line 2: 3 cells"),
    ("open.csv", b'a,1\nb,"2\n', "line 2: unexpected end of data"),
    ("quote.csv", b'a,"1"x\n', "line 1: "),
    ("nul.csv", b"a,1\nb,\x00\n", "line 2, column 3: a NUL"),
    ("name.csv", b"a,1\n,3\n", "line 2: the value '3' has no name"),
    ("header.csv", b"name,value\n", "holds no metric"),
]


@pytest.mark.parametrize(("file", "data", "message"), MALFORMED, ids=[m[0] for m in MALFORMED])
def test_malformed_files_name_file_and_position(file: str, data: bytes, message: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        read_metrics(data, file=f"out/{file}")
    assert caught.value.message.startswith(f"out/{file}, ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("name.json", b'{"' + b"k" * 1_000_000 + b'":[' + b"0," * 100_000 + b"0]}"),
        ("many.json", b'{"a":[' + b"0," * 1_000_000 + b"0]}"),
        ("escapes.json", b'{"a": "' + b"\\n" * 1_900_000),
        ("quotes.toml", b'a = """' + b' \\"""' * 700_000),
        ("quote.toml", b'a = "' + b'\\"' * 1_900_000),
        ("dotted.toml", b"a" + b".a" * 200_000 + b" = 1"),
        ("quoted.toml", b'"a"' + b' . "a"' * 200_000 + b" = 1"),
        ("header.toml", b"[a" + b".a" * 200_000 + b"]"),
        ("blocks.yaml", b"- " * 200_000),
        ("questions.yaml", b"? " * 200_000),
        ("bomb.yaml", b"a: &a [1]\n" + b"b: &b [*a,*a]\nc: &c [*b,*b]\n"),
        ("huge.json", b'{"a": 1}' + b" " * (5 << 20)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_files_are_refused_in_little_memory(file: str, data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(AnalysisError, match=file):
            read_metrics(data, file=file)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_an_array_of_many_floats_on_one_line_is_not_deep() -> None:
    data = b"a = [" + b"1.5, " * 5000 + b"]\n"
    assert len(read_metrics(data, file="m.toml")) == 5000


NAMES = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8
).filter(lambda name: "." not in name)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NESTED = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
    max_size=5,
)


def flatten(value: object, name: str = "") -> dict[str, Scalar]:
    if isinstance(value, dict | list) and (value or not name):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        flat: dict[str, Scalar] = {}
        for key, item in pairs:
            flat |= flatten(item, f"{name}.{key}" if name else str(key))
        return flat
    if isinstance(value, dict | list):
        return {name: "{}" if isinstance(value, dict) else "[]"}
    assert value is None or isinstance(value, bool | int | float | str)
    return {name: value}


def written(value: Scalar) -> str:
    """NaN equals NaN, 1 is not True, 1 is not 1.0."""
    return f"{type(value).__name__} {value!r}"


@settings(deadline=None)
@given(NESTED, st.sampled_from([None, 2]), st.booleans())
def test_whatever_pythons_json_writes_is_read(
    data: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    found = values(text.encode(), "m.json")
    assert {k: written(v) for k, v in found.items()} == {
        k: written(v) for k, v in flatten(data).items()
    }


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), PLAIN, min_size=1))
def test_whatever_pyyaml_writes_is_read(data: dict[str, Scalar]) -> None:
    text = yaml.safe_dump({f"m_{k}": v for k, v in data.items()})
    assert values(text.encode(), "m.yaml") == {f"m_{k}": v for k, v in data.items()}


FUZZ = st.binary(max_size=200) | st.text(
    st.sampled_from("{}[]():,.'\"\\#-+=*&!?|> \n\t0123456789eEabnrtux~\x00é\ud800"), max_size=60
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@settings(deadline=None)
@given(FUZZ, st.sampled_from(sorted(READERS)))
def test_no_bytes_lead_to_another_error(data: bytes, suffix: str) -> None:
    try:
        said = str(len(read_metrics(data, file=f"m{suffix}")))
    except AnalysisError as error:
        said = error.message
    assert said.startswith(f"m{suffix}") or int(said) > 0
