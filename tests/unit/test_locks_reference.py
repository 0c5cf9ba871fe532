"""Names of images: docker's grammar, docker's defaults."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repro.errors import UsageError
from repro.locks.reference import Reference, is_named, parse_reference, require_reference

DEFAULT = "registry.example.org"
HEX = "a1" * 32

WHOLE = [
    ("python", f"{DEFAULT}/library/python:latest"),
    ("python:3.12-slim", f"{DEFAULT}/library/python:3.12-slim"),
    ("team/image:1", f"{DEFAULT}/team/image:1"),
    (f"python@sha256:{HEX}", f"{DEFAULT}/library/python@sha256:{HEX}"),
    (f"python:3@sha256:{HEX}", f"{DEFAULT}/library/python:3@sha256:{HEX}"),
    (f"{DEFAULT}/python:3", f"{DEFAULT}/library/python:3"),
    (f"index.{DEFAULT}/python:3", f"{DEFAULT}/library/python:3"),
    ("localhost/python:3", "localhost/python:3"),
    ("localhost:5000/a/b/c", "localhost:5000/a/b/c:latest"),
    ("localhost:5000", f"{DEFAULT}/library/localhost:5000"),
    ("other.example.org/x__y/z-1.0:T_a.g-", "other.example.org/x__y/z-1.0:T_a.g-"),
    ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
    ("[::1]:5000/x", "[::1]:5000/x:latest"),
    ("HOST/x", "HOST/x:latest"),
]


@pytest.mark.parametrize(("text", "whole"), WHOLE)
def test_a_name_is_completed_as_docker_does(text: str, whole: str) -> None:
    found = parse_reference(text, "image", default=DEFAULT)
    assert str(found) == whole
    assert parse_reference(whole, "image", default=DEFAULT) == found
    assert is_named(whole, text)
    assert not is_named(whole.replace("/", "/x", 1), text)


REFUSED = [
    ("", "as docker does"),
    ("Python", "lower-case"),
    ("team/Image:1", "lower-case"),
    ("https://example.org/a", "without the scheme"),
    ("a//b", "as docker does"),
    ("/a", "as docker does"),
    ("a/", "as docker does"),
    ("-a", "as docker does"),
    ("a_-b", "as docker does"),
    ("a:", "as docker does"),
    ("a:-x", "as docker does"),
    ("a:" + "x" * 129, "as docker does"),
    ("a@sha256:" + "g" * 64, "hexadecimal"),
    ("a@sha256:" + "A" * 64, "hexadecimal"),
    ("a@sha512:" + "a" * 128, "as docker does"),
    (HEX, "docker tag ID NAME"),
    ("a b", "as docker does"),
    ("a\nb", "as docker does"),
    ("a\x1b[0m", "as docker does"),
    ("../a", "as docker does"),
    ("a/../b", "as docker does"),
    ("a;rm", "as docker does"),
    ("--help", "as docker does"),
]


@pytest.mark.parametrize(("text", "hint"), REFUSED)
def test_what_is_no_name_is_refused(text: str, hint: str) -> None:
    for check in (
        lambda: require_reference(text, "repro.toml: image"),
        lambda: parse_reference(text, "repro.toml: image", default=DEFAULT),
    ):
        with pytest.raises(UsageError, match=r"^repro.toml: image: ") as caught:
            check()
        assert hint in (caught.value.hint or "")
        assert "\x1b" not in str(caught.value)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="longer than the name of an image can be"):
        require_reference("a/" * 127 + "aa", "image")


PART = st.from_regex(r"\A[a-z0-9]{1,8}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,8}){0,2}\Z")


@given(
    domain=st.sampled_from([DEFAULT, "localhost", "localhost:5000", "r.example.org:443"]),
    parts=st.lists(PART, min_size=2, max_size=4),
    tag=st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z"),
    digest=st.sampled_from(["", f"sha256:{HEX}"]),
)
def test_a_whole_name_reads_as_itself(domain: str, parts: list[str], tag: str, digest: str) -> None:
    whole = Reference(domain=domain, path="/".join(parts), tag=tag, digest=digest)
    assert parse_reference(str(whole), "image", default=DEFAULT) == whole
    assert whole.version == (digest or tag)


@given(st.text(max_size=600))
@example("a" * 500 + "/")
@example("-" * 510)
@example("a-" * 250)
@example("a." * 250 + "/" + "a_" * 10)
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        found = parse_reference(text, "image", default=DEFAULT)
    except UsageError as error:
        assert error.hint  # noqa: PT017 - either end is fine
    else:
        assert parse_reference(str(found), "image", default=DEFAULT) == found
        assert ".." not in found.path.split("/")
