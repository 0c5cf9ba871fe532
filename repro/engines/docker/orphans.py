"""Containers whose repro was killed: known by their label, removed by the next run."""

from __future__ import annotations

import os
from pathlib import Path

from repro.engines.docker.api import Daemon

LABEL = "repro.owner"
"""`<boot> <pid namespace> <pid> <start>` of the process that looks after a container.

Nothing ends a container when that process is killed: no daemon offers it.
"""


def owner() -> str:
    """Return this process's label: no other process ever has it again."""
    return f"{_here()} {os.getpid()} {_start(os.getpid())}"


def is_orphan(label: str) -> bool:
    """Whether a container's owner ran on this machine since it was booted, and is gone.

    Owners elsewhere (a daemon that machines share, another pid namespace) are left in peace.
    """
    here, _, process = label.rpartition(" ")[0].rpartition(" ")
    if here != _here() or not process.isdecimal():
        return False
    return _start(int(process)) != label.rpartition(" ")[2]


def remove_orphans(daemon: Daemon) -> tuple[str, ...]:
    """Remove them; return their names. Raises EngineError."""
    from docker.errors import APIError

    removed = []
    with daemon.doing("removing the containers of a repro that was killed"):
        for found in daemon.client.containers(all=True, filters={"label": LABEL}):
            if is_orphan(found["Labels"][LABEL]):
                try:
                    daemon.client.remove_container(found["Id"], v=True, force=True)
                except APIError as error:  # 404, 409: somebody else did, or does just now
                    if error.status_code not in (404, 409):
                        raise
                removed.append(found["Names"][0].lstrip("/"))
    return tuple(sorted(removed))


def _here() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - follows the link


def _start(process: int) -> str:
    """Clock ticks from boot to the process's start (proc(5), field 22); empty: there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[0] in "ZX" else fields[19]
