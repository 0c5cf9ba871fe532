"""What conda holds is "already satisfied" to pip."""

from __future__ import annotations

import pytest

from repro.ecosystems.pip.provided import among, without
from repro.ecosystems.pip.request import Package, PipRequest, Provided
from repro.errors import UsageError
from repro.models.lock import Interpreter, PipArtifact
from repro.models.project import Environment, RequirementSet

NUMPY = Provided(name="numpy", version="2.1.3", by="conda numpy 2.1.3")
ODD = Provided(name="openssl", version="1.1.1w", by="conda openssl 1.1.1w")


def request(*lines: str, there: tuple[Provided, ...] = (NUMPY,)) -> PipRequest:
    pins = tuple(
        PipArtifact(name=name, version="2.1.3", filename="x.whl", size=1, sha256="a" * 64)
        for name in ("numpy", "scipy")
    )
    return PipRequest(
        environment=Environment(
            suite="bookworm", python="", pip=(RequirementSet(path="environment.yml", lines=lines),)
        ),
        interpreter=Interpreter.of_conda("3.11"),
        glibc="2.36",
        previous=pins,
        provided=there,
    )


def test_what_is_there_constrains_and_is_not_asked_for() -> None:
    asked, there = among(request("numpy>=2", "scipy", there=(NUMPY, ODD))).environment.pip
    assert asked.lines == ("scipy",)
    assert (there.constraint, there.lines) == (True, ("numpy==2.1.3",))


def test_an_old_pin_of_it_is_let_go() -> None:
    assert [item.name for item in among(request("scipy")).previous] == ["scipy"]


def test_extras_need_more_than_what_is_there() -> None:
    asked, _ = among(request("numpy[typing]>=2")).environment.pip
    assert asked.lines == ("numpy[typing]>=2",)


def test_what_is_asked_of_another_interpreter_does_not_count() -> None:
    line = 'numpy<2 ; python_version < "3.9"'
    asked, _ = among(request(line, "numpy")).environment.pip
    assert asked.lines == (line,)
    with pytest.raises(UsageError, match="conda numpy"):
        among(request('numpy<2 ; python_version > "3.9"'))


def test_any_version_meets_a_requirement_without_one() -> None:
    odd = Provided(name="odd", version="1.1.1w_x", by="conda odd 1.1.1w_x")
    asked = among(request("odd", there=(odd,))).environment.pip[0]
    assert asked.lines == ()
    with pytest.raises(UsageError, match=r"conda odd .* is already there"):
        among(request("odd>=1", there=(odd,)))


@pytest.mark.parametrize("line", ["numpy<2", "numpy==2.0.0", "NumPy @ file:///numpy.whl"])
def test_a_requirement_that_it_does_not_meet_names_both_versions(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        among(request(line))
    assert "conda numpy 2.1.3" in caught.value.message
    assert line.lower() in caught.value.message.lower()
    assert "environment.yml" in caught.value.message


def test_what_is_there_is_not_locked_again() -> None:
    found = tuple(Package(name=name, version="1", files=()) for name in ("numpy", "scipy"))
    assert [package.name for package in without(found, (NUMPY,))] == ["scipy"]
