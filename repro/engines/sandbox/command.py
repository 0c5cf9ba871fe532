"""What the launcher and bwrap are told for one step: pure, from a job to arguments."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from repro.errors import EngineError
from repro.models.execution import PROJECT, UID, Job, Mount
from repro.models.project import SHARED_MEMORY

HOSTNAME = "repro"
HOSTS = f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost ip6-localhost\n"
INODES = 1 << 18
"""Files that /tmp and /dev/shm may each hold: 256 MiB of kernel memory at most."""
SHM = "/dev/shm"  # noqa: S108 - the sandbox's own
OPEN_FILES = (1024, 4096)
"""Soft and hard, as in docker."""
CERTIFICATES = "/etc/ssl/certs"
CPU = "/sys/devices/system"
"""The one part of /sys that numeric libraries read: processors, nodes, caches."""
OWN_PROCESSES = 3
"""The launcher, bwrap, and its reaper inside; they count against the same limit."""
_BASES = ("/mnt", "/media", "/srv", "/opt", "/tmp")  # noqa: S108 - mounted over, never written


class Launch(TypedDict):
    """The job that the launcher reads; paths are the host's unless said otherwise.

    `base` is a folder that is mounted over, `layers` are listed top first, `binds` come to lie
    at `base/0`, `base/1`, …; `folders` and `files` make the skeleton (paths inside). `user` is
    the kernel's user number to become (None: stay). `tmp`, `shm` and `file_size` are in bytes.
    `status` is the descriptor to report on, `go` the one to wait for before bwrap is started;
    `arguments` are bwrap's.
    """

    parent: int
    base: str
    user: int | None
    layers: list[str]
    binds: list[str]
    folders: list[str]
    files: dict[str, str]
    tmp: int
    shm: int
    inodes: int
    open_files: tuple[int, int]
    pids: int
    file_size: int
    interactive: bool
    status: int
    go: int
    bwrap: str
    arguments: list[str]
    command: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What a launch needs to know of this host and this process.

    `hosts` and `resolver` are the contents of the host's /etc/hosts and /etc/resolv.conf,
    which a run with network sees.
    """

    bwrap: str
    parent: int
    user: int | None
    base: str
    hosts: str = ""
    resolver: str = ""
    certificates: bool = False
    cpu: bool = True


def base_folder() -> str:
    """A folder of this host to mount over. Raises EngineError."""
    for base in _BASES:
        if Path(base).is_dir() and not Path(base).is_symlink():
            return base
    raise EngineError(
        f"none of {', '.join(_BASES)} is a folder", hint="make one of them: mkdir /mnt"
    )


def launch(
    job: Job,
    step: Sequence[str],
    *,
    host: Host,
    layers: Sequence[Path],
    filters: Sequence[int],
    status: int,
    go: int,
) -> Launch:
    """Return what the launcher does for one step of a job.

    `layers` are unpacked folders, base first; `filters` are descriptors of seccomp programs,
    `status` and `go` of the pipes from and to the launcher.
    Raises EngineError for a mount target that is no absolute path.
    """
    mounts = (*job.mounts, *_host_mounts(job, host))
    binds = [str(job.stage), *(str(mount.source) for mount in mounts)]
    return {
        "parent": host.parent,
        "base": host.base,
        "user": host.user,
        "layers": [str(layer) for layer in reversed(layers)],
        "binds": binds,
        "folders": _folders(mounts),
        "files": _files(mounts, job.network, host),
        "tmp": job.limits.scratch,
        "shm": SHARED_MEMORY,
        "inodes": INODES,
        "open_files": OPEN_FILES,
        "pids": job.limits.pids + OWN_PROCESSES,
        "file_size": job.limits.output,
        "interactive": job.interactive,
        "status": status,
        "go": go,
        "bwrap": host.bwrap,
        "arguments": [
            *_isolation(job),
            *_view(host.base, mounts),
            *_environment(job),
            *_filtered(filters),
            *("--json-status-fd", str(status)),
        ],
        "command": list(step),
    }


def _isolation(job: Job) -> list[str]:
    words = ["--unshare-user", "--uid", str(UID), "--gid", str(UID)]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", HOSTNAME, "--die-with-parent", "--cap-drop", "ALL"]
    if not job.network:
        words.append("--unshare-net")
    if not job.interactive:
        words.append("--new-session")
    return words


def _view(base: str, mounts: Sequence[Mount]) -> list[str]:
    words = ["--ro-bind", f"{base}/root", "/", "--proc", "/proc"]
    words += ["--dev", "/dev", "--bind", f"{base}/shm", SHM, "--remount-ro", "/dev"]
    words += ["--bind", f"{base}/tmp", "/tmp"]  # noqa: S108 - the sandbox's own
    words += ["--bind", f"{base}/0", PROJECT]
    numbered = sorted(enumerate(mounts, 1), key=lambda item: item[1].target)
    for number, mount in numbered:  # a folder before what is mounted inside it
        words += ["--ro-bind", f"{base}/{number}", mount.target]
    return [*words, "--chdir", PROJECT]


def _environment(job: Job) -> list[str]:
    words = ["--clearenv"]
    for name, value in job.env:
        words += ["--setenv", name, value]
    return words


def _filtered(filters: Sequence[int]) -> list[str]:
    return [word for number in filters for word in ("--add-seccomp-fd", str(number))]


def _host_mounts(job: Job, host: Host) -> tuple[Mount, ...]:
    found = []
    if host.cpu:
        found.append(Mount(source=Path(CPU), target=CPU))
    if job.network and host.certificates:
        found.append(Mount(source=Path(CERTIFICATES), target=CERTIFICATES))
    return tuple(found)


def _folders(mounts: Sequence[Mount]) -> list[str]:
    folders = ["/dev", "/proc", "/sys", "/tmp", PROJECT]  # noqa: S108 - mount points inside
    return folders + [
        _target(mount) for mount in mounts if _in_skeleton(mount) and mount.source.is_dir()
    ]


def _files(mounts: Sequence[Mount], network: bool, host: Host) -> dict[str, str]:
    files = {
        "/etc/hosts": host.hosts if network and host.hosts else HOSTS,
        "/etc/hostname": f"{HOSTNAME}\n",
        "/etc/resolv.conf": host.resolver if network else "",
    }
    for mount in mounts:
        if _in_skeleton(mount) and not mount.source.is_dir():
            files.setdefault(_target(mount), "")
    return files


def _in_skeleton(mount: Mount) -> bool:
    inside = (PROJECT, "/tmp", "/dev", "/proc")  # noqa: S108 - their mount points lie elsewhere
    return not any(mount.target.startswith(f"{top}/") for top in inside)


def _target(mount: Mount) -> str:
    target = mount.target
    if posixpath.normpath(target) != target or not target.startswith("/") or target == "/":
        raise EngineError(
            f"cannot mount {mount.source} at {target!r}", hint="name an absolute path inside"
        )
    return target
