"""mmdebstrap over a flat repository of the locked packages, without network (BUILD.md §2)."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro.ecosystems.apt.private import local_address
from repro.ecosystems.apt.repository import PATHS, damaged_package, fill, require_stored
from repro.errors import EngineError, ReproError
from repro.files import local_errors, make_folder, scratch, write_atomic
from repro.models.image import EPOCH
from repro.models.lock import Deb
from repro.process import Done, run, which
from repro.store.artifacts import Store

ROOM = 2 << 30
"""Bytes that a memory file system must have free for the bootstrap to work in it."""

TIMEOUT = 3600.0

# Merged /usr for every suite: mmdebstrap's own hook fails on bullseye.
_SETUP = r"""#!/bin/sh
set -eu
for name in bin sbin lib lib64; do
    mkdir -p "$1/usr/$name"
    ln -s "usr/$name" "$1/$name"
done
"""

# The user of every run, so that both engines find a name for the number; and byte code that is
# the same from every build, and valid where each source's mtime is the layer's constant:
# Python 3 is told not to look at the source (PEP 552), Python 2 compares the mtime.
# What a package compiled outside of the standard library is compiled again where it was; a file
# there that does not compile stays a source file, as its own package's script leaves it.
_CUSTOMIZE = r"""#!/bin/sh
set -eu
root=$1
echo 'repro:x:1000:1000:repro:/tmp/home:/bin/sh' >> "$root/etc/passwd"
echo 'repro:x:1000:' >> "$root/etc/group"
if [ -f "$root/etc/shadow" ]; then echo 'repro:!:10957:0:99999:7:::' >> "$root/etc/shadow"; fi
if [ -f "$root/etc/gshadow" ]; then echo 'repro:!::' >> "$root/etc/gshadow"; fi

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/nonexistent \
        PYTHONHASHSEED=0 PYTHONNOUSERSITE=1 SOURCE_DATE_EPOCH=@EPOCH@ "$@"
}
compiled=$(find "$root/usr" -type f -name '*.py[co]' -printf '/usr/%P\n' |
    sed -E 's#(/__pycache__)?/[^/]*$##' | grep -vE '^/usr/lib/python[23]\.[0-9]+(/|$)' |
    LC_ALL=C sort -u)
find "$root/usr" -type f -name '*.py[co]' -delete
for path in "$root"/usr/lib/python[23].[0-9]*; do
    python=${path##*/}
    [ -x "$root/usr/bin/$python" ] || continue
    case $python in
    python2.*)
        inside find "/usr/lib/$python" -name '*.py' -exec touch -c -d '@@EPOCH@' '{}' +
        inside "$python" -m compileall -q -f "/usr/lib/$python" ;;
    *)
        inside "$python" -m compileall -q -f -j1 --invalidation-mode unchecked-hash \
            "/usr/lib/$python"
        if [ -n "$compiled" ] && [ "$(readlink "$root/usr/bin/python3")" = "$python" ]; then
            printf '%s\n' "$compiled" | inside "$python" -m compileall -l -q -f -j1 \
                --invalidation-mode unchecked-hash -i - >&2 || true
        fi ;;
    esac
done
"""

# No network; no mount of the bootstrap outlives it or is seen by who cleans up behind it; and, in
# a pid namespace where that can be had, no process: all end with the first.
_ALONE = (
    ("unshare", "--net", "--mount", "--pid", "--kill-child", "--mount-proc"),
    ("unshare", "--net", "--mount"),
)

# When repro itself is killed, nobody would end it; the kernel does.
_WITH_US = ("setpriv", "--pdeathsig", "KILL")

_NUMBERED = re.compile(r"\b[0-9][0-9A-Za-z.+~-]*[0-9A-Za-z]\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrap:
    """A root file system to be made from these packages alone."""

    debs: tuple[Deb, ...]
    suite: str
    store: Store

    def tar(self, target: Path) -> None:
        """Write the root file system as a tar that is not canonical yet.

        Raises EngineError when mmdebstrap is missing or fails, LockError when a stored package
        is not what the lock says.
        """
        require_stored(self.debs, self.store)
        require_tools()
        with workspace(self.store) as folder:
            command = self.prepare(folder)
            with local_errors(target), target.open("wb") as file:
                done = run(
                    command,
                    env=environment(folder),
                    cwd=folder,
                    stdout=file.fileno(),
                    timeout=TIMEOUT,
                )
        if done.code:
            raise self._failure(done)

    def prepare(self, folder: Path) -> Sequence[str]:
        """Write what mmdebstrap needs into an empty folder; return its command line.

        It runs there, in `environment(folder)`, and writes the tar to its standard output.
        """
        repository = make_folder(folder / "repository")
        fill(repository, self.debs, suite=self.suite, store=self.store)
        for name, text in (("setup", _SETUP), ("customize", _customize())):
            write_atomic(folder / name, text.encode(), 0o755)
        make_folder(folder / "tmp").chmod(0o1777)
        return self._command(folder, repository)

    def _command(self, folder: Path, repository: Path) -> Sequence[str]:
        return (
            *_guarded(),
            *("mmdebstrap", "--format=tar", "--variant=essential"),
            f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
            f"--include={','.join(deb.name for deb in self.debs)}",
            f"--setup-hook={folder / 'setup'}",
            f"--customize-hook={folder / 'customize'}",
            '--aptopt=Acquire::Languages "none"',
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt={option}" for option in PATHS),
            *(self.suite, "-", f"deb [trusted=yes] {local_address(repository)} ./"),
        )

    def _failure(self, done: Done) -> ReproError:
        text = done.stderr.decode(errors="replace")
        if (damaged := damaged_package(text, self.debs, self.store)) is not None:
            return damaged
        return EngineError(
            f"mmdebstrap could not build the base (exit {done.code})\n{done.tail(12)}",
            hint="the last lines above say why; as an ordinary user it needs uidmap and "
            "user namespaces",
        )


def require_tools() -> None:
    """Raise EngineError with the exact command when this host cannot bootstrap."""
    programs = {"mmdebstrap": "mmdebstrap", "apt-get": "apt", "dpkg": "dpkg"}
    if os.geteuid() != 0:
        programs["newuidmap"] = "uidmap"
    missing = [package for program, package in programs.items() if which(program) is None]
    if missing:
        raise EngineError(
            f"not installed: {' '.join(missing)}; the base image is built with it",
            hint=f"apt-get install -y {' '.join(missing)} (as root)",
        )
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid()).pw_name
        for path in (Path("/etc/subuid"), Path("/etc/subgid")):
            lines = path.read_text().splitlines() if path.is_file() else []
            if not any(line.split(":")[0] in (user, str(os.geteuid())) for line in lines):
                raise EngineError(
                    f"{path} gives {user} no numbers, and mmdebstrap needs them without root",
                    hint="as root: usermod --add-subuids 100000-165535 "
                    f"--add-subgids 100000-165535 {user}",
                )


def tool_versions() -> tuple[tuple[str, str], ...]:
    """Return (tool, version) of what builds the base on this host; absent tools left out."""
    tools = (("apt", "apt-get"), ("dpkg", "dpkg"), ("mmdebstrap", "mmdebstrap"))
    with ThreadPoolExecutor(len(tools)) as pool:
        versions = pool.map(_version, [program for _, program in tools])
        found = zip([tool for tool, _ in tools], versions, strict=True)
        return tuple((tool, version) for tool, version in found if version)


def _version(program: str) -> str:
    """The first version number that a program says of itself, empty when there is none."""
    if which(program) is None:
        return ""
    match = _NUMBERED.search(run([program, "--version"], timeout=60).text)
    return match[0] if match else ""


def _guarded() -> tuple[str, ...]:
    """Return what goes before mmdebstrap: as much as works here (not all does in a container)."""
    namespaces = _ALONE if os.geteuid() == 0 else ()
    best = [(*_WITH_US, *words) for words in namespaces]
    wishes: list[tuple[str, ...]] = [*best, *namespaces, _WITH_US]
    for words in wishes:
        if which(words[0]) is not None and not run([*words, "true"], timeout=60).code:
            return words
    return ()


@contextmanager
def workspace(store: Store) -> Iterator[Path]:
    """Yield a scratch folder in memory where there is room, else on disk; gone afterwards.

    As an ordinary user mmdebstrap works as a subordinate user, which must be able to enter: a
    home's cache is closed to it, so the folder is then a public one (the packages are public).
    """
    with ExitStack() as stack:
        fit = [Path("/dev/shm")] if _usable(Path("/dev/shm")) else []  # noqa: S108
        if os.geteuid() != 0:
            fit += [path for path in (Path("/var/tmp"), Path("/tmp")) if _usable(path)]  # noqa: S108
            if not fit:
                raise EngineError(
                    "no folder for the bootstrap: /dev/shm, /var/tmp and /tmp lack 2 GB, "
                    "or forbid programs or devices",
                    hint="free some space there",
                )
        yield stack.enter_context(scratch(fit[0] if fit else store.staging, mode=0o755))


def _usable(path: Path) -> bool:
    """Whether a root file system can be made there: room, and no noexec or nodev."""
    if not path.is_dir():
        return False
    status = os.statvfs(path)
    forbidden = status.f_flag & (os.ST_NOEXEC | os.ST_NODEV)
    return not forbidden and status.f_bavail * status.f_frsize > ROOM


def _customize() -> str:
    return _CUSTOMIZE.replace("@EPOCH@", str(EPOCH))


def environment(folder: Path) -> dict[str, str]:
    """Return the whole environment of the bootstrap that was prepared in `folder`."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder / "tmp"),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(folder / "tmp"),
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
