"""The pip lock: canonical out, strict in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError
from repro.locks.requirements import PinnedHash, parse, render
from repro.models.lock import PipArtifact

A, B = "a" * 64, "b" * 64
NUMPY = f"numpy==1.13.3 \\\n    --hash=sha256:{A}\n"
PANDAS = f"pandas==0.20.3 \\\n    --hash=sha256:{B}\n"


def artifact(name: str, version: str, sha256: str) -> PipArtifact:
    return PipArtifact(name=name, version=version, filename="x.whl", size=1, sha256=sha256)


def test_renders_pips_format_sorted_by_name() -> None:
    text = render([artifact("pandas", "0.20.3", B), artifact("numpy", "1.13.3", A)])
    assert text == NUMPY + PANDAS


def test_parses_what_it_renders() -> None:
    assert parse(NUMPY + PANDAS, where="r.txt") == (
        PinnedHash(name="numpy", version="1.13.3", sha256=A),
        PinnedHash(name="pandas", version="0.20.3", sha256=B),
    )


def test_an_empty_lock_is_empty_text() -> None:
    assert render([]) == ""
    assert parse("", where="r.txt") == ()


def test_pip_itself_reads_it() -> None:
    """pip's own parser is the judge of pip's own format."""
    from pip._internal.req.req_file import get_line_parser, preprocess

    text = render([artifact("pandas", "0.20.3", B)])
    [(_, line)] = preprocess(text)
    requirement, options = get_line_parser(None)(line)
    assert requirement.strip() == "pandas==0.20.3"
    assert options.hashes == {"sha256": [B]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--index-url x\n", "1: '--index-url x' is an option"),
        ("-e .\n", "option"),
        (f"numpy @ file:///tmp/x.whl \\\n    --hash=sha256:{A}\n", "numpy: .*address or a path"),
        (f"../numpy.whl \\\n    --hash=sha256:{A}\n", "address or a path"),
        (f"./numpy==1 \\\n    --hash=sha256:{A}\n", "not a Python project's name|path"),
        (f"git+ssh://x/y \\\n    --hash=sha256:{A}\n", "address"),
        (f"numpy==1.0; python_version<'3' \\\n    --hash=sha256:{A}\n", "numpy: .*marker"),
        (f"numpy[x]==1.0 \\\n    --hash=sha256:{A}\n", "numpy: "),
        (f"numpy>=1.0 \\\n    --hash=sha256:{A}\n", "numpy: "),
        (f"numpy==1.* \\\n    --hash=sha256:{A}\n", "not a version"),
        (f"numpy===1.0 \\\n    --hash=sha256:{A}\n", "not a version"),
        (f"NumPy==1.0 \\\n    --hash=sha256:{A}\n", "NumPy: .*normalised"),
        (f"numpy==1.0.0-rc1 \\\n    --hash=sha256:{A}\n", "numpy: .*normalised"),
        ("numpy==1.0\n", "1: numpy: no hash follows"),
        ("numpy==1.0 \\\n", "2: numpy: no hash follows"),
        (f"numpy==1.0 \\\n{PANDAS}", "2: numpy: no hash follows"),
        (f"numpy==1.0 \\\n    --hash=md5:{'a' * 32}\n", "2: numpy: only sha256.*md5"),
        (f"numpy==1.0 \\\n    --hash=sha1:{'a' * 40}\n", "numpy: only sha256.*sha1"),
        (f"numpy==1.0 \\\n    --hash=sha256:{A[1:]}\n", "2: numpy: .*not a sha256"),
        (f"numpy==1.0 \\\n    --hash=sha256:{A.upper()}\n", "numpy: .*not a sha256"),
        (NUMPY[:-1] + f" \\\n    --hash=sha256:{B}\n", "2: numpy: more than one hash"),
        (NUMPY + f"    --hash=sha256:{B}\n", "3: a hash without its package"),
        (f"<<<<<<< HEAD\n{NUMPY}", "1: a merge-conflict marker"),
        (f"{NUMPY}=======\n{PANDAS}", "3: a merge-conflict marker"),
        (f"{NUMPY}>>>>>>> other\n", "3: a merge-conflict marker"),
        (NUMPY[:-5], "2: the file ends in the middle of a line"),
        (NUMPY + PANDAS[:20], "middle of a line|no hash"),
        (PANDAS + NUMPY, "3: numpy: is not in sorted order"),
        (NUMPY + NUMPY, "3: numpy: is listed twice"),
        ("# comment\n" + NUMPY, "1: "),
        (NUMPY + "\n" + PANDAS, "3: an empty line"),
        (NUMPY.replace("\n", "\r\n"), "1: "),
        (NUMPY.replace("numpy", "nümpy"), "1: "),
        (NUMPY.replace("1.13.3", "1.13.٣"), "1: "),
        ("\ufeff" + NUMPY, "1: "),
        (NUMPY.replace(A, "\u0661" * 64), "2: "),
    ],
)
def test_refuses_anything_else_and_says_where(text: str, said: str) -> None:
    with pytest.raises(LockError, match=f"(?s)r.txt:.*({said})") as caught:
        parse(text, where="r.txt")
    assert caught.value.exit_code == 3


names = st.from_regex(r"[a-z0-9]([a-z0-9]|-(?=[a-z0-9]))*", fullmatch=True)
versions = st.builds(
    lambda release, pre, local: ".".join(map(str, release)) + pre + local,
    st.lists(st.integers(0, 9999), min_size=1, max_size=4),
    st.sampled_from(["", "a1", "b2", "rc3", ".post1", ".dev0"]),
    st.sampled_from(["", "+cpu", "+local.1"]),
)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
locks = st.lists(st.builds(artifact, names, versions, digests), unique_by=lambda a: a.name)


@given(locks)
def test_round_trip(artifacts: list[PipArtifact]) -> None:
    text = render(artifacts)
    assert [(p.name, p.version, p.sha256) for p in parse(text, where="x")] == sorted(
        (a.name, a.version, a.sha256) for a in artifacts
    )


@given(st.text() | st.text(alphabet="numpy==1.0 \\\n    --hash=sha256:abcdef0123456789;@/.-\r\t"))
def test_arbitrary_text_gives_a_lock_error_or_a_canonical_lock(text: str) -> None:
    try:
        pins = parse(text, where="x")
    except LockError as error:
        said = error.message
    else:
        said = "x:"
        assert render(artifact(p.name, p.version, p.sha256) for p in pins) == text
    assert said.startswith("x:")


@given(locks.filter(bool), st.data())
def test_any_cut_is_noticed_or_ends_at_a_package(
    artifacts: list[PipArtifact], data: st.DataObject
) -> None:
    text = render(artifacts)
    cut = data.draw(st.integers(1, len(text) - 1))
    whole = {render(sorted(artifacts, key=lambda a: a.name)[:n]) for n in range(len(artifacts))}
    if text[:cut] not in whole:
        with pytest.raises(LockError):
            parse(text[:cut], where="x")
