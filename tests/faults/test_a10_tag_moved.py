"""A10: the tag of the base image moves; the digest that is locked is used, the tag ignored; exit 0.

The image behind the tag gives another metric, so whoever follows the tag sees a drift.
"""

from __future__ import annotations

import tomllib

from tests.based import Based
from tests.watch import faulted

SEAL = "lockfiles/linux-amd64/repro.lock"
RECORD = "lockfiles/linux-amd64/image.toml"


def accepted(based: Based) -> str:
    """Lock, build and accept; return the digest that the lock names."""
    for words in (["snapshot"], ["build"], ["accept", "--reason", "the baseline"]):
        answer = based.cli(*words)
        assert answer.code == 0, answer
    sealed = tomllib.loads((based.cli.folder / SEAL).read_text())
    assert sealed["base"]["reference"] == based.name
    assert sealed["base"]["id"] == based.image.id
    digest: str = sealed["base"]["digest"]
    return digest


def test_a10_the_digest_is_used_where_the_tag_has_moved(based: Based) -> None:
    assert accepted(based) == based.image.digest
    assert based.move().digest != based.image.digest
    faulted(based.cli, "verify", code=0, says=["reproduced"])
    (based.cli.cache / "layers").rename(based.cli.cache / "gone")  # nothing is known any more
    (based.cli.cache / "sha256").rename(based.cli.cache / "gone too")
    based.registry.session.close()
    answer = faulted(based.cli, "verify", code=0, says=["reproduced"])
    assert "drift" not in answer.out


def test_a10_a_snapshot_keeps_the_pin_until_it_may_move(based: Based) -> None:
    digest = accepted(based)
    moved = based.move().digest
    faulted(based.cli, "snapshot", code=0, says=["unchanged"])
    assert digest in (based.cli.folder / SEAL).read_text()
    answer = based.cli("snapshot", "--upgrade", based.name)
    assert answer.code == 0, answer
    assert moved in (based.cli.folder / SEAL).read_text()
    assert based.name in answer.out
    drifted = based.cli("verify")
    assert drifted.code == 10, drifted
    assert "image" in drifted.out
