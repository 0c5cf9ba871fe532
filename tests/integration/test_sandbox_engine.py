"""The sandbox beyond the contract: ordinary users, interruption, terminals, odd layers, hosts."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

from repro import process
from repro.engines.sandbox.engine import Sandbox
from repro.engines.sandbox.unpack import unpacked
from repro.errors import LockError
from repro.files import remove_tree
from repro.image.layer import Entry, write_layer
from repro.models.execution import Ending
from repro.models.image import Image
from repro.models.project import Limits
from repro.store.artifacts import Store
from tests.contract.conftest import Bench, contract_image, contract_store
from tests.terminal import CTRL_C, CTRL_D, terminal
from tests.watch import is_abandoned

__all__ = ["contract_image", "contract_store"]
pytestmark = pytest.mark.network  # once a machine: the image is bootstrapped from the mirror

ROOT = Path(__file__).parents[2]
ORDINARY = 12345
"""A user number that nobody on this machine has."""

# A process of its own that runs one job: what a test may interrupt, trace, or give a terminal.
DRIVER = """\
import json, os, signal, sys, termios
from pathlib import Path
from repro.engines.sandbox.engine import Sandbox
from repro.errors import Terminated
from repro.models.execution import Job
from repro.models.image import Image, Layer
from repro.models.project import Limits
from repro.store.artifacts import Store

def terminate(number, frame):
    raise Terminated

signal.signal(signal.SIGTERM, terminate)
told = json.loads(sys.argv[1])
layers = tuple(Layer(**one) for one in told["layers"])
image = Image(layers=layers, config=b"", manifest=b"", env=())
interactive = told.get("interactive", False)
job = Job(
    image=image, steps=(tuple(told["step"]),), stage=Path(told["stage"]), log=Path(told["log"]),
    env=(("HOME", "/tmp/home"), ("PATH", "/usr/bin:/bin"), ("PS1", "inside> "), ("TERM", "dumb")),
    limits=Limits(timeout=120.0), interactive=interactive,
)
before = termios.tcgetattr(0) if interactive else None
sandbox = Sandbox(Store(Path(told["store"])))
assert sandbox.probe() is None, sandbox.probe()
print("ready", flush=True)
execution = sandbox.run(job)
if interactive:
    print("modes", "restored" if termios.tcgetattr(0) == before else "changed")
    print("foreground", "ours" if os.tcgetpgrp(0) == os.getpgrp() else "lost")
print("ended", execution.ending.value, execution.code, flush=True)
"""


@pytest.fixture
def bench(contract_store: Store, contract_image: Image, tmp_path: Path) -> Bench:
    """A fresh stage on the sandbox."""
    sandbox = Sandbox(contract_store)
    if (problem := sandbox.probe()) is not None:
        pytest.skip(f"sandbox: {problem}")
    sandbox.load(contract_image)
    return Bench(engine=sandbox, image=contract_image, folder=tmp_path)


@pytest.fixture
def driver(bench: Bench, contract_store: Store) -> Callable[..., list[str]]:
    """Make the argument list of a process that runs one step on its own."""

    def words(*step: str, interactive: bool = False) -> list[str]:
        told = {
            "layers": [asdict(layer) for layer in bench.image.layers],
            "step": step,
            "stage": str(bench.stage),
            "log": str(bench.folder / "log"),
            "store": str(contract_store.root),
            "interactive": interactive,
        }
        return [sys.executable, "-c", DRIVER, json.dumps(told)]

    return words


def left_over(marker: str) -> list[str]:
    """Processes of this host whose arguments hold the marker."""
    done = process.run(["ps", "-eo", "pid,ppid,stat,args", "-ww"])
    return [line for line in done.text.splitlines() if marker in line]


def eventually(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition; AssertionError when it does not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def mounts() -> list[str]:
    """What is mounted on this host, but for containers, which come and go."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if "/docker" not in line]


# ---- an ordinary user --------------------------------------------------------------------------


def as_ordinary(env: dict[str, str]) -> list[str]:
    """The words before a command that make an ordinary user of root, with this environment."""
    number = str(ORDINARY)
    words = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    settings = [f"{name}={value}" for name, value in env.items()]
    return [*(words if os.geteuid() == 0 else []), "env", "-i", *settings]


def interpreter(env: dict[str, str]) -> str:
    """A Python of this version that an ordinary user may run, with this one's packages."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info[1]}"):
        argv = [*as_ordinary(env), candidate, "-c", "import pytest, docker"]
        if process.which(candidate) and process.run(argv).code == 0:
            return candidate
    pytest.skip("every interpreter here lies in a folder that an ordinary user may not enter")


@contextlib.contextmanager
def ordinary_home(store: Store, image: Image) -> Iterator[Path]:
    """A folder of an ordinary user's, with a cache that holds the image's layers."""
    with tempfile.TemporaryDirectory(prefix="repro-ordinary-", dir="/var/tmp") as name:
        home = Path(name)
        for layer in image.layers:
            record = store.root / "layers" / f"{layer.key}.json"
            for source in (store.layer_path(layer), record):
                target = home / "cache" / "contract" / source.relative_to(store.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        if os.geteuid() == 0:
            assert process.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", home]).code == 0
        yield home


def test_the_contract_as_an_ordinary_user(contract_store: Store, contract_image: Image) -> None:
    """The whole suite again, by somebody without rights who has a store of their own."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    with ordinary_home(contract_store, contract_image) as home:
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(home),
            "REPRO_TEST_CACHE": str(home / "cache"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]),
        }
        suite = ROOT / "tests/contract/test_engine_contract.py"
        options = ["-q", "-k", "sandbox", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
        done = process.run(
            [*as_ordinary(env), interpreter(env), "-m", "pytest", suite, *options], timeout=900
        )
        assert done.code == 0, done.text[-6000:] + done.tail()
        summary = done.text.strip().splitlines()[-1]
        assert " passed" in summary
        assert "skipped" not in summary


# ---- interruption ------------------------------------------------------------------------------

STUBBORN = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
while True:
    open("/project/beat", "a").write(".")
    time.sleep(0.02)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_engine(
    bench: Bench, driver: Callable[..., list[str]], number: signal.Signals
) -> None:
    marker = uuid.uuid4().hex
    before = mounts()
    beat = bench.stage / "beat"
    with process.started(driver("python3", "-c", STUBBORN, marker)) as child:
        eventually(lambda: beat.exists() and beat.stat().st_size > 3, "the run to begin")
        child.send_signal(number)
        child.wait(20)
    if number is signal.SIGKILL:  # nobody was left to wait for the kernel
        eventually(lambda: not left_over(marker), "the processes to end")
    assert left_over(marker) == []
    size = beat.stat().st_size
    time.sleep(0.2)
    assert beat.stat().st_size == size
    assert mounts() == before
    if number is not signal.SIGKILL:
        assert list(Path("/sys/fs/cgroup").rglob(f"repro-{child.pid}-*")) == []
        for path in (bench.stage, beat):
            assert path.stat().st_uid == os.geteuid()


def test_the_next_run_removes_the_group_of_a_killed_one(
    bench: Bench, driver: Callable[..., list[str]]
) -> None:
    with process.started(driver("sleep", "600")) as child:
        pid = child.pid
        eventually(lambda: bool(left_over("sleep 600")), "the run to begin")
        time.sleep(0.2)
        child.kill()
    eventually(lambda: not left_over("sleep 600"), "the processes to end")
    assert bench.shell("true").execution.succeeded
    assert list(Path("/sys/fs/cgroup").rglob(f"repro-{pid}-*")) == []


def test_interrupted_at_any_moment(bench: Bench, driver: Callable[..., list[str]]) -> None:
    """Killed a few milliseconds later each time: while the launcher prepares, while bwrap does."""
    marker = f"sleep {600 + os.getpid()}"
    for step in range(30):
        with process.started(driver(*marker.split())) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(step * 0.004)
            child.send_signal(signal.SIGINT)
            child.wait(20)
        assert left_over(marker) == [], step
        stray = [line for line in left_over("bwrap --args") if " 1 " in line[:16]]
        assert not any(marker in line for line in stray)


# ---- a person's terminal -----------------------------------------------------------------------


def test_a_shell_has_the_terminal(bench: Bench, driver: Callable[..., list[str]]) -> None:
    argv = driver("bash", "--norc", "--noprofile", "-i", interactive=True)
    with terminal(argv, cwd=bench.folder, env={"PYTHONPATH": str(ROOT)}) as screen:
        screen.expect("inside> ")
        screen.send(b"echo $((40 + 2)) $(pwd); tty >/dev/null && echo a tty\n")
        screen.expect("42 /project")
        screen.expect("a tty")
        screen.send(b"sleep 600\n")
        time.sleep(0.5)
        screen.send(CTRL_C)
        screen.send(b"echo still $((1 + 1))\n")
        screen.expect("still 2", 10)
        screen.send(b"stty raw -echo; exit 7\n")
        assert screen.wait() == 0
    assert "ended exited 7" in screen.text
    assert "modes restored" in screen.text
    assert "foreground ours" in screen.text
    assert "job control" not in screen.text  # what bash says when it has none


def test_ctrl_c_belongs_to_the_program(bench: Bench, driver: Callable[..., list[str]]) -> None:
    text = """\
import time
for _ in range(2):
    try:
        print("busy", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
input("more? ")
"""
    argv = driver("python3", "-c", text, interactive=True)
    with terminal(argv, cwd=bench.folder, env={"PYTHONPATH": str(ROOT)}) as screen:

        def said(word: str, times: int) -> bool:
            return screen.text.count(word) == times

        for times in (1, 2):
            screen.until(partial(said, "busy", times), "busy")
            screen.send(CTRL_C)
            screen.until(partial(said, "interrupted", times), "interrupted")
        screen.expect("more? ")
        screen.send(CTRL_D)
        assert screen.wait() == 0
    assert "EOFError" in screen.text
    assert "ended exited 1" in screen.text


def test_nobody_types_into_the_terminal_outside(
    bench: Bench, driver: Callable[..., list[str]]
) -> None:
    """TIOCSTI and TIOCLINUX, also with bits that the kernel ignores (CVE-2019-10063)."""
    text = """\
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for request in (0x5412, 0x541C, 0x1_0000_5412, 0xFFFF_FFFF_0000_541C):
    for letter in b"touch /tmp/typed\\n":
        byte = ctypes.c_char(letter)
        done = libc.syscall(16, 0, ctypes.c_ulong(request), ctypes.byref(byte))
    print(hex(request), done, ctypes.get_errno())
"""
    argv = driver("python3", "-c", text, interactive=True)
    with terminal(argv, cwd=bench.folder, env={"PYTHONPATH": str(ROOT)}) as screen:
        assert screen.wait() == 0
    for request in ("0x5412", "0x541c", "0x100005412", "0xffffffff0000541c"):
        assert f"{request} -1 1" in screen.text


# ---- odd layers --------------------------------------------------------------------------------


def with_layers(bench: Bench, store: Store, *contents: list[Entry]) -> Bench:
    """The same bench with more layers on top."""
    more = []
    for entries in contents:
        key = hashlib.sha256(repr(entries).encode()).hexdigest()
        more.append(store.keep_layer(key[:6], key, partial(write_layer, entries=entries)))
    image = replace(bench.image, layers=(*bench.image.layers, *more))
    return replace(bench, image=image)


def text_file(path: str, text: str = "x") -> Entry:
    """A plain file of a layer."""
    return Entry(path=path, mode=0o644, kind="file", data=text.encode())


def test_whiteouts_and_opaque_folders(bench: Bench, contract_store: Store) -> None:
    lower = [text_file(f"opt/{name}") for name in ("a/x", "a/y", "b/z", "b/w", "c", "d/e/f")]
    upper = [
        text_file("opt/a/.wh.x", ""),
        text_file("opt/b/.wh..wh..opq", ""),
        text_file("opt/b/new"),
        text_file("opt/.wh.c", ""),
        text_file("opt/.wh.d", ""),
    ]
    odd = with_layers(bench, contract_store, lower, upper)
    ran = odd.shell("cd /opt; find a b c d -type f 2>/dev/null | sort")
    assert ran.log.split() == ["a/y", "b/new"]


def test_links_and_modes(bench: Bench, contract_store: Store) -> None:
    entries = [
        text_file("opt/first", "shared"),
        Entry(path="opt/second", mode=0o644, kind="hardlink", link="opt/first"),
        Entry(path="opt/away", mode=0o777, kind="symlink", link="/etc/hostname"),
        Entry(path="opt/tool", mode=0o4755, kind="file", data=b"#!/bin/sh\nid -u\n"),
        Entry(path="opt/pipe", mode=0o644, kind="fifo"),
        Entry(path="opt/null", mode=0o666, kind="char", major=1, minor=3),
    ]
    odd = with_layers(bench, contract_store, entries)
    ran = odd.shell("cd /opt; cat second away; ./tool; stat -c %a tool; test -p pipe; ls null")
    assert ran.log.split()[:4] == ["sharedrepro", "1000", "755", "ls:"]
    folder = unpacked(contract_store, odd.image.layers[-1])
    assert (folder / "opt/first").stat().st_nlink == 2
    assert int((folder / "opt/first").stat().st_mtime) == 946684800


def test_an_image_may_lack_every_mount_point(bench: Bench, contract_store: Store) -> None:
    """Or have something else in their place."""
    upper = [
        text_file(".wh.tmp", ""),
        text_file(".wh.proc", ""),
        text_file(".wh.sys", ""),
        Entry(path="project", mode=0o777, kind="symlink", link="/etc"),
    ]
    odd = with_layers(bench, contract_store, upper)
    assert odd.shell("pwd; touch /tmp/x mine; test -e /proc/self && echo well").log == (
        "/project\nwell\n"
    )
    assert (odd.stage / "mine").exists()


def test_a_hundred_layers(bench: Bench, contract_store: Store) -> None:
    many = with_layers(bench, contract_store, *[[text_file(f"opt/n/{n}")] for n in range(100)])
    assert many.shell("ls /opt/n | wc -l").log == "100\n"


def test_a_damaged_layer_is_refused(bench: Bench, contract_store: Store) -> None:
    odd = with_layers(bench, contract_store, [text_file("opt/a", "a" * 5000)])
    before = set((contract_store.root / "tmp").iterdir())
    layer = odd.image.layers[-1]
    path = contract_store.layer_path(layer)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[data.index(b"aaaa")] ^= 1
    path.write_bytes(data)
    with pytest.raises(LockError, match=f"layer {layer.name}: .* is damaged: sha256 is "):
        odd.engine.load(odd.image)
    assert not unpacked(contract_store, layer).exists()
    new = set((contract_store.root / "tmp").iterdir()) - before
    assert [left for left in new if is_abandoned(left)] == []  # other tests have theirs
    assert not path.exists()
    assert contract_store.kept_aside(path.name) is not None


def test_two_at_once_unpack_once(bench: Bench, contract_store: Store) -> None:
    odd = with_layers(bench, contract_store, [text_file(f"opt/{n}") for n in range(2000)])
    if unpacked(contract_store, odd.image.layers[-1]).exists():  # by an earlier run of this test
        remove_tree(unpacked(contract_store, odd.image.layers[-1]))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: Sandbox(contract_store).load(odd.image), range(4)))
    assert len(list((unpacked(contract_store, odd.image.layers[-1]) / "opt").iterdir())) == 2000


# ---- this host ---------------------------------------------------------------------------------


def test_an_older_kernel(bench: Bench, driver: Callable[..., list[str]]) -> None:
    """Without the new mount interface, as strace makes it for the launcher."""
    if process.which("strace") is None:
        pytest.skip("needs strace: apt-get install strace")
    trace = ["strace", "-f", "-qq", "-o", str(bench.folder / "trace"), "-e", "trace=fsopen"]
    inject = ["-e", "inject=fsopen:error=ENOSYS"]
    step = ("sh", "-c", "cat /opt/second-layer; grep -c lowerdir= /proc/mounts")
    done = process.run([*trace, *inject, *driver(*step)], timeout=120)
    assert "ended exited 0" in done.text, (done, (bench.folder / "trace").read_text())
    assert (bench.folder / "log").read_text() == "from the upper layer\n1\n"
    assert "ENOSYS" in (bench.folder / "trace").read_text()


def test_no_bubblewrap(contract_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert Sandbox(contract_store).probe() == (
        "bubblewrap is not installed: apt-get install bubblewrap"
    )


def test_user_namespaces_forbidden(tmp_path: Path) -> None:
    """By the kernel's own setting, which each user namespace has for itself."""
    probe = (
        "import sys; from pathlib import Path; from repro.engines.sandbox.engine import Sandbox;"
        "from repro.store.artifacts import Store; print(Sandbox(Store(Path(sys.argv[1]))).probe())"
    )
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    done = process.run([*argv, sys.executable, "-c", probe, str(tmp_path / "store")])
    assert done.code == 0, done.tail()
    assert "sysctl user.max_user_namespaces=" in done.text
    assert "Traceback" not in done.text


def test_with_the_network(bench: Bench) -> None:
    """For the steps of a build that need it: the host's network and names, nothing else more."""
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        text = f"""\
import socket
socket.create_connection(("127.0.0.1", {server.server_address[1]}), 5)
print(open("/etc/resolv.conf").read(), end="")
"""
        ran = bench.run(bench.job(("python3", "-c", text), network=True))
        server.shutdown()
        thread.join()
    assert (ran.code, ran.log) == (0, Path("/etc/resolv.conf").read_text())
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        ran = bench.run(bench.job(("sha256sum", str(bundle)), network=True))
        assert ran.log == process.run(["sha256sum", bundle]).text


def test_limits_are_each_runs_own(bench: Bench, contract_store: Store, tmp_path: Path) -> None:
    """Two runs at once may each have all their processes."""
    text = """\
import os, time
children = []
for _ in range(28):
    if (pid := os.fork()) == 0:
        time.sleep(1.5)
        os._exit(0)
    children.append(pid)
print(sum(os.waitpid(pid, 0)[1] for pid in children))
"""

    def one(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        own = replace(bench, engine=Sandbox(contract_store), folder=folder)
        return own.python(text, limits=Limits(timeout=60, pids=40)).log

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))) == ["0\n"] * 3


def test_a_tree_too_deep_for_anybody(bench: Bench) -> None:
    text = """\
import os
os.makedirs("kept/a/b"); open("kept/a/b/file", "w").close()
os.mkdir("deep"); os.chdir("deep")
for n in range(3000):
    os.mkdir("d" * 20); os.chdir("d" * 20)
"""
    execution = bench.python(text).execution
    assert execution.ending in (Ending.EXITED, Ending.OUTPUT)
    assert (bench.stage / "kept/a/b/file").exists()
    shutil.rmtree(bench.stage)  # which fails for a deeper one
    bench.stage.mkdir(exist_ok=True)
