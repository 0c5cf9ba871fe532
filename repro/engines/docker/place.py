"""Where a run's files lie for a daemon: here, or in a volume of its own where it does not see ours.

A volume is bound by the path that it has on the daemon's machine: so the project and each data
file are mounts of their own there too, the data read-only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from repro.engines.docker.address import OTHER_ENGINE
from repro.engines.docker.api import Daemon
from repro.engines.docker.container import in_background, kept, labels
from repro.engines.docker.streams import Line, attached, frames
from repro.engines.docker.transfer import members, unpack_folder
from repro.engines.stage import BLOCK, written
from repro.errors import EngineError
from repro.files import local_errors, remove_tree
from repro.image.ustar import END
from repro.models.execution import Job, Mount
from repro.progress import Progress, Task

VOLUME = "/repro"
"""Where the volume lies in the container that keeps it."""

_STAGE = "stage"
_FIRST = 30.0
"""Seconds for the first measure of what lies in the volume."""

# Blocks and names: empty files fill a disk too. Large trees are not walked without a pause.
_MEASURE = f"""\
cd {VOLUME}/{_STAGE} && command -v du && command -v find && command -v wc || exit 1
while :; do
    set -- $(du -sk . 2>/dev/null)
    count=$(find . 2>/dev/null | wc -l)
    echo "$1 $count"
    sleep $((count / 20000)).2
done
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """See Place: the daemon sees this machine's files."""

    job: Job
    base: int

    unenforced: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls, job: Job) -> Here:
        """The place of a job before its run."""
        return cls(job=job, base=written(job.stage))

    @property
    def project(self) -> str:
        """See Place.project."""
        return str(self.job.stage)

    def source(self, mount: Mount) -> str:
        """See Place.source."""
        return str(mount.source)

    def used(self) -> int:
        """See Place.used."""
        return written(self.job.stage) - self.base


@dataclass(kw_only=True, slots=True)
class Elsewhere:
    """See Place: in a volume of the daemon's; `folder` is its path there.

    `measured` has what lies there: bytes in blocks, and names; `final` the bytes that the run has
    written, once its files are back.
    """

    job: Job
    folder: str
    measured: list[tuple[int, int]] = field(default_factory=list)
    final: int | None = None

    @property
    def unenforced(self) -> tuple[str, ...]:
        """See Execution.unenforced."""
        return () if self.measured else ("output",)

    @property
    def project(self) -> str:
        """See Place.project."""
        return f"{self.folder}/{_STAGE}"

    def source(self, mount: Mount) -> str:
        """See Place.source."""
        return f"{self.folder}/{self.job.mounts.index(mount)}"

    def used(self) -> int:
        """See Place.used: as of the last measure, and never too much."""
        if self.final is not None:
            return self.final
        if not self.measured:
            return 0
        first, last = self.measured[0], self.measured[-1]
        return max(last[0] - first[0], (last[1] - first[1]) * BLOCK)

    def read(self, line: Line) -> None:
        """Take the measures as they are printed, until the printing ends."""
        text = b""
        for error, data in frames(line.reader, terminal=False):
            text += b"" if error else data
            *lines, text = text.split(b"\n")
            for words in (one.split() for one in lines):
                if len(words) == 2 and all(word.isdigit() for word in words):
                    measure = (int(words[0]) * 1024, int(words[1]))
                    self.measured[1:] = [measure] if self.measured else []
                    self.measured = self.measured or [measure]


@contextmanager
def elsewhere(
    daemon: Daemon, job: Job, identity: str, progress: Progress, *, owner: int | None
) -> Iterator[Elsewhere]:
    """Yield a place in a new volume that holds the job's files; bring back what the run left.

    `owner` is the number that owns them there, None: who owns them here. The volume is gone
    however the block ends; what the run wrote comes back where it ends well, no more of it than
    the job's limit. Raises EngineError, LocalError.
    """
    before = written(job.stage)
    with ExitStack() as stack:
        keeper = stack.enter_context(kept(daemon, lambda name: _keep(daemon, name, identity)))
        place = Elsewhere(job=job, folder=_folder(daemon, keeper))
        with progress.task(f"sending the project to {daemon.address}", before) as task:
            _send(daemon, keeper, job, owner, task)
        line = stack.enter_context(attached(daemon, keeper, stdin=False))
        measuring = in_background(lambda: place.read(line))
        with daemon.doing("starting to measure what the run writes"):
            daemon.client.start(keeper)
        _await_first(place, measuring, job)
        yield place
        whole = _bring_back(daemon, keeper, job, before + job.limits.output)
        place.final = written(job.stage) - before if whole else job.limits.output + 1


def _keep(daemon: Daemon, name: str, identity: str) -> None:
    """Create the container that has the volume, and that measures what lies there."""
    daemon.client.create_container(
        identity,
        command=["/bin/sh", "-c", _MEASURE],
        entrypoint=[],
        name=name,
        hostname="repro",
        user="0:0",
        working_dir="/",
        environment=["PATH=/usr/bin:/bin", "LC_ALL=C"],
        labels=labels(),
        volumes=[VOLUME],  # it goes with its container
        host_config=daemon.client.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=["DAC_READ_SEARCH"],  # to look into folders that the run has closed
            security_opt=["no-new-privileges:true"],
            read_only=True,
            init=True,
        ),
        use_config_proxy=False,
    )


def _folder(daemon: Daemon, keeper: str) -> str:
    with daemon.doing("asking where its volume lies"):
        mounts: list[dict[str, Any]] = daemon.client.inspect_container(keeper)["Mounts"]
        return next(str(one["Source"]) for one in mounts if one["Destination"] == VOLUME)


def _send(daemon: Daemon, keeper: str, job: Job, owner: int | None, task: Task) -> None:
    def chunks() -> Iterator[bytes]:
        parts: list[tuple[Path, str]] = [(job.stage, _STAGE)]
        parts += [(mount.source.resolve(), str(number)) for number, mount in enumerate(job.mounts)]
        for path, name in parts:
            for chunk in members(path, name, owner=owner):
                task.advance(len(chunk))
                yield chunk
        yield END

    client = daemon.patient()
    try:
        with daemon.doing("sending the project and its data"):
            client.put_archive(keeper, VOLUME, chunks())
    finally:
        client.close()


def _await_first(place: Elsewhere, measuring: Any, job: Job) -> None:
    """Wait until what the run writes is measured. Raises EngineError where it cannot be."""
    deadline = time.monotonic() + _FIRST
    while not place.measured and not measuring.done() and time.monotonic() < deadline:
        time.sleep(0.01)
    if not place.measured and not job.limits.best_effort:
        raise EngineError(
            "docker: what a run writes cannot be measured on a daemon that does not see this "
            "machine's files, with this image: it has no du or find",
            hint='add the package coreutils or findutils; or set limits = "best-effort"; '
            + OTHER_ENGINE,
        )


def _bring_back(daemon: Daemon, keeper: str, job: Job, most: int) -> bool:
    """Have in the stage what the run left; False where it is more than `most` bytes."""
    with local_errors(job.stage):
        for path in job.stage.iterdir():
            remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    client = daemon.patient()

    def received() -> Iterator[bytes]:
        with daemon.doing("fetching what the run wrote"):
            chunks, _ = client.get_archive(keeper, f"{VOLUME}/{_STAGE}")
            yield from chunks

    try:
        with local_errors(job.stage):
            return unpack_folder(received(), job.stage, most=most)
    finally:
        client.close()
