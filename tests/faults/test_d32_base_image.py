"""D32: the registry serves other bytes for a layer of the locked base image; exit 3, no retry."""

from __future__ import annotations

import shutil

from tests.based import Based
from tests.registry import digest_of
from tests.watch import faulted


def test_d32_a_damaged_layer_of_the_base_image(based: Based) -> None:
    """Seen where it comes, whichever layer it is; the store has nothing of it then."""
    answer = based.cli("snapshot")
    assert answer.code == 0, answer
    shutil.rmtree(based.cli.cache)
    damaged = digest_of(based.image.blobs[1])
    based.registry.damage(damaged)
    before = based.registry.log.count(f'"GET /v2/team/tools/blobs/{damaged}')
    says = ["layer 2 of 2", f" as {damaged}", "nothing was kept"]
    faulted(based.cli, "build", code=3, says=says)
    after = based.registry.log.count(f'"GET /v2/team/tools/blobs/{damaged}')
    assert after == before + 1
    based.registry.damage(damaged)  # the same byte: it is whole again
    faulted(based.cli, "build", code=0, changes=["lockfiles/linux-amd64/image.toml"])
