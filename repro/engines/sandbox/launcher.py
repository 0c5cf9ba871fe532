"""The sandbox's launcher: builds the mounts of one run, gives its rights away, starts bwrap.

Started by path as `python -I -S launcher.py JOB_FD` with a marshalled job in a memory file;
imports little, and nothing of repro: its start is half of what a run costs (json, signal and
pathlib together would take 12 of 24 ms).
The job's keys are those of `repro.engines.sandbox.command.Launch`. A step that fails is written
to the status descriptor as `{"failed": STEP, "errno": N, "why": TEXT}`; else
`{"first": PID, "scratch": [DEVICE, …]}` and bwrap's own status documents come there.
"""

# ruff: noqa: PTH102, PTH103, PTH112, PTH116, PTH120, PTH123

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import sys

NEWNS, NEWUSER, NEWPID = 0x00020000, 0x10000000, 0x20000000  # sched.h
MS_NOSUID, MS_NODEV, MS_RDONLY, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 1, 4096, 16384, 1 << 18
SET_PDEATHSIG, SET_DUMPABLE = 1, 4  # prctl.h
SIGINT, SIGQUIT, SIGKILL = 2, 3, 9  # signal.h
SIG_SETMASK, SIGNAL_SET = 2, 128  # signal.h: what to do, bytes of a sigset_t
SIG_DFL, SIG_IGN = 0, 1
# The numbers of the new mount interface are the same on every architecture.
MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 429, 430, 431, 432
SET_FLAG, SET_STRING, CREATE = 0, 1, 6
CLOEXEC, EMPTY_PATH, HERE = 1, 4, -100
PAGE = 4096

TYPE_CHECKING = False
if TYPE_CHECKING:  # for mypy alone: at run time this script imports nothing of repro
    from repro.engines.sandbox.command import Launch

libc = ctypes.CDLL(None, use_errno=True)


class StepError(Exception):
    """One step of the preparation failed: its name, the errno, and what was refused."""

    def __init__(self, step: str, number: int, what: str) -> None:
        super().__init__(step, number, what)
        self.step, self.number, self.what = step, number, what


def checked(step: str, result: int, what: str = "") -> int:
    """Return the result of a libc call; raise StepError when it is negative."""
    if result < 0:
        raise StepError(step, ctypes.get_errno(), what)
    return result


def system(step: str, number: int, *arguments: int | bytes | None, what: str = "") -> int:
    """Call the kernel directly: Python 3.11 and older libcs have no names for these."""
    words = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    return checked(step, libc.syscall(ctypes.c_long(number), *words), what)


def mount(
    step: str, kind: str | None, source: str | None, target: str, flags: int, options: str = ""
) -> None:
    """Mount a source on a target. Raises StepError."""

    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    result = libc.mount(
        text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options or None)
    )
    checked(step, result, target)


def own_user_namespace(flags: int) -> None:
    """Enter a user namespace of which this process is root, with further namespaces."""
    uid, gid = os.geteuid(), os.getegid()
    checked("user namespace", libc.unshare(NEWUSER | flags))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {uid} 1"),
        ("gid_map", f"0 {gid} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())  # unbuffered: a refusal must be seen here
        except OSError as error:
            raise StepError("user namespace", error.errno or 0, name) from error
        finally:
            os.close(descriptor)


def become(user: int) -> None:
    """Give up root for good: this user and group number, and no other group."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    # A process that gave up root may not write its own /proc/self/uid_map unless dumpable.
    libc.prctl(SET_DUMPABLE, 1, 0, 0, 0)


def tmpfs(target: str, options: str) -> None:
    """Mount a new tmpfs on a new folder."""
    os.mkdir(target)
    mount("tmpfs", "tmpfs", "tmpfs", target, MS_NOSUID | MS_NODEV, options)


def overlay(lowers: list[str], target: str) -> None:
    """Mount folders over each other, read-only, the first on top.

    Kernels before 6.5 cannot add lower folders one by one; there all of them must fit into
    the one page of options, which the short /proc names allow for some 200.
    """
    try:
        context = system("overlay", FSOPEN, b"overlay", CLOEXEC)
        for lower in lowers:
            system("overlay", FSCONFIG, context, SET_STRING, b"lowerdir+", lower.encode(), 0)
    except StepError:
        options = "userxattr,lowerdir=" + ":".join(lowers)
        if len(options) >= PAGE:
            raise StepError("overlay", 7, f"{len(lowers)} layers") from None
        mount("overlay", "overlay", "overlay", target, MS_RDONLY | MS_NOSUID | MS_NODEV, options)
        return
    system("overlay", FSCONFIG, context, SET_FLAG, b"userxattr", None, 0)
    system("overlay", FSCONFIG, context, CREATE, None, None, 0)
    made = system("overlay", FSMOUNT, context, CLOEXEC, MS_RDONLY | MS_NOSUID | MS_NODEV)
    system("overlay", MOVE_MOUNT, made, b"", HERE, target.encode(), EMPTY_PATH)


def skeleton(root: str, folders: list[str], files: dict[str, str]) -> None:
    """Make the layer with the mount points that a read-only image cannot be given otherwise."""
    for folder in folders:
        os.makedirs(root + folder, 0o755, exist_ok=True)
    for path, text in files.items():
        os.makedirs(os.path.dirname(root + path), 0o755, exist_ok=True)
        with open(root + path, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


def pinned(path: str) -> str:
    """A name that stays valid whatever is mounted over the path later."""
    try:
        return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"
    except OSError as error:
        raise StepError("open", error.errno or 0, path) from error


def bind(source: str, target: str) -> None:
    """Bind a pinned file or folder, with all that is mounted below it, on a new name."""
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    mount("bind", None, source, target, MS_BIND | MS_REC)


def build(job: Launch) -> list[int]:
    """Mount everything that bwrap is going to show, under the job's base folder.

    Return the device numbers of the memory file systems that the run may fill.
    """
    base, user = job["base"], job["user"]
    if user is None:
        own_user_namespace(NEWNS | NEWPID)
    else:
        checked("mount namespace", libc.unshare(NEWNS))
    mount("private mounts", None, None, "/", MS_REC | MS_PRIVATE)
    # Only now: what was opened in another mount namespace cannot be mounted in this one.
    lowers = [pinned(layer) for layer in job["layers"]]
    sources = [pinned(source) for source in job["binds"]]
    # Over a folder of the host, but only this process and its children see that.
    mount("tmpfs", "tmpfs", "tmpfs", base, MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for name in ("skeleton", "empty", "root"):
        os.mkdir(f"{base}/{name}", 0o755)
    skeleton(f"{base}/skeleton", job["folders"], job["files"])
    overlay([f"{base}/skeleton", *lowers, f"{base}/empty"], f"{base}/root")
    for name, size in (("tmp", job["tmp"]), ("shm", job["shm"])):
        tmpfs(f"{base}/{name}", f"size={size},nr_inodes={job['inodes']},mode=1777")
    for number, source in enumerate(sources):
        bind(source, f"{base}/{number}")
    if user is not None:
        become(user)
        own_user_namespace(NEWPID)  # processes are counted in it, for this run alone
    os.mkdir(f"{base}/tmp/home", 0o755)  # noqa: S108 - on the tmpfs of this run
    return [os.stat(f"{base}/{name}").st_dev for name in ("tmp", "shm")]


def confine(job: Launch) -> None:
    """Set the limits and signals that bwrap and the analysis inherit."""
    for limit, soft, hard in (
        (resource.RLIMIT_NPROC, job["pids"], job["pids"]),
        (resource.RLIMIT_FSIZE, job["file_size"], job["file_size"]),
        (resource.RLIMIT_NOFILE, *job["open_files"]),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        most = resource.getrlimit(limit)[1]
        if most == resource.RLIM_INFINITY:
            most = max(soft, hard)
        resource.setrlimit(limit, (min(soft, most), min(hard, most)))  # only root may raise it
    # Python ignores SIGPIPE and SIGXFSZ, nohup and shells others for what is in the background:
    # "ignored" and "blocked" would pass through exec into the analysis.
    handle(SIG_DFL, *ignored())
    libc.sigprocmask(SIG_SETMASK, bytes(SIGNAL_SET), None)
    if job["interactive"]:
        # The keys of the terminal belong to the program inside, not to bwrap.
        handle(SIG_IGN, SIGINT, SIGQUIT)


def ignored() -> list[int]:
    """Return the signals that this process ignores (proc(5), SigIgn)."""
    with open("/proc/self/status") as status:
        [mask] = [int(line.split()[1], 16) for line in status if line.startswith("SigIgn:")]
    return [number for number in range(1, 65) if mask >> (number - 1) & 1]


def handle(how: int, *signals: int) -> None:
    """Set the kernel's own treatment of some signals."""
    for number in signals:
        libc.signal(number, ctypes.c_void_p(how))


def launch(job: Launch) -> None:
    """Prepare, start bwrap as the first process of a namespace, end with its exit status.

    Everything below ends with that process, whenever and however it ends: bwrap's own
    promise of that begins only some time after its first fork. Raises StepError, OSError.
    """
    libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != job["parent"]:
        os._exit(1)  # the engine died before that line
    os.umask(0o022)
    scratch = build(job)
    libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)  # a change of rights clears it
    confine(job)
    # Through a memory file and with no environment: /proc/1 inside shows neither host paths
    # nor the host's variables.
    options = os.memfd_create("options", 0)
    os.write(options, b"".join(os.fsencode(word) + b"\0" for word in job["arguments"]))
    os.lseek(options, 0, os.SEEK_SET)
    if not os.read(job["go"], 1):  # the engine puts this process into a control group meanwhile
        os._exit(1)
    os.close(job["go"])
    wait, go = os.pipe()
    first = os.fork()
    if first == 0:
        libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        os.close(go)
        if not os.read(wait, 1):
            os._exit(1)  # the launcher died before it could say who must be ended
        os.execve(  # noqa: S606
            job["bwrap"], ["bwrap", "--args", str(options), "--", *job["command"]], {}
        )
    # In one write, and before bwrap writes there too.
    os.write(job["status"], f'{{"first": {first}, "scratch": {scratch}}}\n'.encode())
    os.write(go, b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def fail(job: Launch, step: str, number: int, why: str) -> int:
    """Say on the status descriptor what did not work; return the exit status."""
    import json

    document = {"failed": step, "errno": number, "why": why}
    os.write(job["status"], json.dumps(document).encode() + b"\n")
    return 1


def main() -> int:
    """Read the job and launch it; return only when that did not work."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        job = marshal.loads(file.read())  # noqa: S302 - from our own parent, same interpreter
    try:
        launch(job)
    except StepError as error:
        return fail(job, error.step, error.number, error.what)
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else ""
        return fail(job, "preparation", error.errno or 0, name)
    raise AssertionError("it became another program")


if __name__ == "__main__":
    sys.exit(main())
