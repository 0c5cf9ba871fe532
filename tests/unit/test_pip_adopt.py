"""A package that conda brings and a lock has for pip is one clear error."""

from __future__ import annotations

import pytest

from repro.ecosystems.pip.adopt import adopt
from repro.ecosystems.pip.request import PipRequest, PipResolution, Provided
from repro.errors import LockError
from repro.models.foreign import ForeignLock, ForeignPin
from repro.models.lock import Interpreter
from repro.models.project import Environment, RequirementSet

NOTHING = PipResolution(artifacts=(), provenance=())


def request(line: str) -> PipRequest:
    asked = RequirementSet(path="environment.yml", lines=(line,))
    return PipRequest(
        environment=Environment(suite="bookworm", python="", pip=(asked,)),
        interpreter=Interpreter.of_conda("3.11"),
        glibc="2.36",
        provided=(Provided(name="numpy", version="2.1.3", by="conda numpy 2.1.3"),),
    )


def lock(version: str, *, partial: bool) -> ForeignLock:
    pin = ForeignPin(name="numpy", version=version, where="x.lock: numpy", hashes=("a" * 64,))
    return ForeignLock(path="x.lock", kind="uv.lock", pins=(pin,), partial=partial)


@pytest.mark.parametrize(
    ("version", "partial"), [("2.1.3", False), ("1.26.4", False), ("1.26.4", True)]
)
def test_what_is_there_already_is_not_taken_over(version: str, partial: bool) -> None:
    with pytest.raises(LockError) as caught:
        adopt(lock(version, partial=partial), request("numpy"), lambda _: NOTHING)
    assert caught.value.message == (
        f"x.lock has numpy {version} for pip, and conda numpy 2.1.3 is already there"
    )


@pytest.mark.parametrize(("version", "line"), [("2.1.3", "numpy"), ("1.26.4", "wheel")])
def test_a_lock_of_more_than_is_needed_may_have_it(version: str, line: str) -> None:
    pin = ForeignPin(name="wheel", version="1", where="x.lock: wheel", hashes=("b" * 64,))
    found = lock(version, partial=True)
    whole = ForeignLock(path="x.lock", kind="uv.lock", pins=(*found.pins, pin), partial=True)
    [note] = adopt(whole, request(line), lambda _: NOTHING).notes
    assert "numpy" in note
