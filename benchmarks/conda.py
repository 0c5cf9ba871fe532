"""How long choosing conda packages takes beside rattler alone, and beside conda's own solver."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import Command, Times, take_turns, timed
from benchmarks.workshop import Workshop
from repro.ecosystems.conda.request import CondaQuery
from repro.ecosystems.conda.resolve import resolve
from repro.models.project import CondaRequest
from tests.conda_channel import CondaChannel, serving_channel
from tests.conda_exe import write_conda
from tests.conda_packages import PYTHON
from tests.faults.server import Reply

ROUNDS = 7
SLOW_ROUNDS = 3
MANY = 200_000
"""Records of the large channel: a third of what the largest public one has for a platform."""

SPECS = ("libtiny", "pandas 2.2.*", f"python {PYTHON}.*", "toolz")
GLIBC = "2.36"
CONDA_LOCK = Path(sys.executable).with_name("conda-lock")

# The same call, and nothing of repro around it: what a program on py-rattler would be.
BARE = """\
import asyncio, os, sys
from rattler import Channel, Gateway, GenericVirtualPackage, PackageName, Version, BuildString, solve
cache, channel, *specs = sys.argv[1:]
made = [("__glibc", "2.36", "0"), ("__linux", "5.10", "0"), ("__unix", "0", "0")]
made = [GenericVirtualPackage(PackageName(a), Version(b), BuildString(c)) for a, b, c in made]
gateway = Gateway(cache_dir=cache)
found = asyncio.run(solve([Channel(channel)], specs, gateway=gateway,
    platforms=["linux-64", "noarch"], virtual_packages=made))
for record in found:
    print(record.url, record.sha256.hex())
sys.stdout.flush()
os._exit(0)
"""  # noqa: E501 - it is a script


def figures(workshop: Workshop) -> list[Figure]:
    """Measure the test channel, a large one, and conda-lock with conda's classic solver."""
    with serving_channel() as channel:
        small = _beside_rattler(workshop, channel, "small")
        conda_lock = _conda_lock(workshop, channel)
        _enlarge(channel)
        large = _beside_rattler(workshop, channel, "large")
    alone = "py-rattler alone, same channel, same cache"
    return [
        Figure(
            what="conda lock, the tests' channel",
            ours=small["ours"],
            peers=((alone, small["alone"]),),
            target=Target(ratio=1.2),
        ),
        Figure(
            what=f"conda lock, a channel of {MANY:,} records",
            ours=large["ours"],
            peers=((alone, large["alone"]),),
            target=Target(ratio=1.2),
        ),
        Figure(
            what="conda lock, beside conda's own solver",
            ours=small["ours"],
            peers=(("`conda-lock lock` with conda (classic)", conda_lock),),
            target=Target(ratio=1 / 20),
        ),
    ]


def _beside_rattler(workshop: Workshop, channel: CondaChannel, name: str) -> dict[str, Times]:
    """Both with what they kept of the channel's index: a second lock of the day."""
    script = workshop.scratch / "bare.py"
    script.write_text(BARE)
    kept = workshop.scratch / f"kept-{name}"
    request = CondaRequest(path="environment.yml", channels=(channel.address,), specs=SPECS)
    query = CondaQuery(request=request, platform="linux-amd64", glibc=GLIBC)
    argv = (sys.executable, script, kept, channel.address, *SPECS)
    return take_turns(
        {
            "ours": lambda: timed(lambda: resolve(query, cache=workshop.scratch / f"own-{name}")),
            "alone": Command(argv=argv, folder=workshop.scratch),
        },
        rounds=workshop.rounds(ROUNDS),
    )


def _conda_lock(workshop: Workshop, channel: CondaChannel) -> Times:
    folder = workshop.scratch / "conda-lock"
    folder.mkdir()
    asked = {"channels": [channel.address], "dependencies": list(SPECS), "platforms": ["linux-64"]}
    (folder / "environment.yml").write_text(json.dumps(asked))
    argv = (CONDA_LOCK, "lock", "--conda", write_conda(folder), "--file", "environment.yml")
    home = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    command = Command(argv=argv, folder=folder, extra=home)
    measure: dict[str, Callable[[], float]] = {"conda-lock": command}
    return take_turns(measure, rounds=workshop.rounds(SLOW_ROUNDS), warm_up=1)["conda-lock"]


def _enlarge(channel: CondaChannel) -> None:
    """Add records that nothing asks for: what a real channel is full of."""
    path = "/channel/linux-64/repodata.json"
    answer = channel.server.replies[path]
    assert isinstance(answer, Reply)
    index = json.loads(answer.body)
    template = channel.record("libtiny-1.3.0-h0_0.conda")
    for number in range(MANY):
        name, version = f"package-{number // 40}", f"1.{number % 40}.0"
        record = {**template, "name": name, "version": version, "depends": ["python >=3.9"]}
        index["packages.conda"][f"{name}-{version}-h0_0.conda"] = record
    channel.server.replies[path] = Reply(body=json.dumps(index).encode())
    channel.server.replies.pop(f"{path}.zst")
