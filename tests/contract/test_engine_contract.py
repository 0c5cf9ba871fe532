"""One suite over every engine, with identical expectations (DESIGN.md §7)."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repro import process
from repro.errors import EngineError, UsageError
from repro.models.execution import Ending, Mount
from repro.models.project import Limits
from tests.contract.conftest import ENV, PATH, Bench

pytestmark = pytest.mark.network  # once a machine: the image is bootstrapped from the mirror

DETERMINISTIC = """\
import hashlib, json, math, os, random, sys
random.seed(20)
walk = [0.0]
for _ in range(50_000):
    walk.append(walk[-1] + random.gauss(0, 1) * math.sin(walk[-1]))
facts = {
    "end": walk[-1].hex(),
    "sum": math.fsum(walk).hex(),
    "digest": hashlib.sha256(repr(walk).encode()).hexdigest(),
    "order": sorted({"b", "a", "c"}),
    "listing": sorted(os.listdir("/usr/lib")),
    "python": sys.version,
    "encoding": [sys.getfilesystemencoding(), sys.stdout.encoding],
    "argv": sys.argv,
    "limits": [open("/proc/self/limits").read().splitlines()[n] for n in (5, 8)],
}
json.dump(facts, open("facts.json", "w"), indent=1, sort_keys=True)
print("walked", len(walk))
"""

# ---- what passes through -----------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 42, 125, 126, 127, 255])
def test_exit_status_passes_through(bench: Bench, code: int) -> None:
    execution = bench.shell(f"exit {code}").execution
    assert (execution.ending, execution.code, execution.step) == (Ending.EXITED, code, 0)
    assert execution.succeeded == (code == 0)
    assert execution.engine == bench.engine.name
    assert execution.unenforced == ()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_death_by_signal_is_128_and_its_number(bench: Bench, number: signal.Signals) -> None:
    ran = bench.python(f"import os; os.kill(os.getpid(), {int(number)})")
    if number is not signal.SIGINT:  # which Python turns into an exception of its own
        assert ran.execution.ending is Ending.EXITED
        assert ran.code == 128 + number
    else:
        assert "KeyboardInterrupt" in ran.log


def test_a_program_that_is_not_there(bench: Bench) -> None:
    execution = bench.run(bench.job(("no-such-program",))).execution
    assert (execution.ending, execution.code) == (Ending.EXITED, 127)


@pytest.mark.files
def test_a_program_that_may_not_be_executed(bench: Bench) -> None:
    (bench.stage / "plain.txt").write_text("no program\n")
    execution = bench.run(bench.job(("/project/plain.txt",))).execution
    assert (execution.ending, execution.code) == (Ending.EXITED, 126)


def test_both_streams_are_logged_in_order(bench: Bench) -> None:
    ran = bench.shell("echo one; echo two >&2; echo three; printf 'no newline \\377'")
    assert sorted(ran.log.split("\n")[:3]) == ["one", "three", "two"]
    assert ran.log.endswith("no newline \ufffd")


def test_echo_passes_the_streams_on(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    ran = bench.run(bench.job(("sh", "-c", "echo to-out; echo to-err >&2"), echo=True))
    seen = capfd.readouterr()
    assert "to-out\n" in seen.out
    assert "to-err\n" in seen.err
    assert sorted(ran.log.split()) == ["to-err", "to-out"]


def test_nothing_is_echoed_unasked(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.shell("echo to-out; echo to-err >&2")
    assert capfd.readouterr() == ("", "")


def test_arguments_are_passed_as_they_are(bench: Bench) -> None:
    words = ["two words", "", "--flag", "a=b", "$HOME", "'\"", "new\nline", "ümläut", "*"]
    ran = bench.run(
        bench.job(("python3", "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words))
    )
    assert json.loads(ran.log) == words


def test_standard_input_is_empty(bench: Bench) -> None:
    assert bench.python("import sys; print(repr(sys.stdin.read()))").log == "''\n"


# ---- what the run sees -------------------------------------------------------------------------


def test_the_environment_is_what_was_given(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_CANARY", "of the host")
    monkeypatch.setenv("LD_PRELOAD_CANARY", "of the host")
    env = (*ENV, ("TRICKY", "a=b c\n'\"$X"), ("EMPTY", ""))
    job = bench.job(
        ("python3", "-c", "import os, json; print(json.dumps(dict(os.environ)))"), env=env
    )
    seen = json.loads(bench.run(job).log)
    assert seen.pop("PWD", "/project") == "/project"  # some launchers say what chdir says
    assert seen == dict(env)


def test_the_host_environment_is_nowhere(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_CANARY", "canary-of-the-host")
    text = """\
import glob
for name in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        print(name, open(name).read())
    except OSError as error:
        print(name, error)
"""
    ran = bench.python(text)
    assert "/proc/1/environ" in ran.log
    assert "canary-of-the-host" not in ran.log
    assert str(bench.folder) not in ran.log


@pytest.mark.files
def test_identity(bench: Bench) -> None:
    ran = bench.shell("id -u; id -g; id -G; pwd; hostname; cat /etc/hostname; umask")
    assert ran.log.split() == ["1000", "1000", "1000", "/project", "repro", "repro", "0022"]


def test_names(bench: Bench) -> None:
    ran = bench.python("import socket; print(socket.gethostbyname('localhost'))")
    assert ran.log == "127.0.0.1\n"
    assert bench.shell("grep -w repro /etc/hosts && test -e /etc/resolv.conf").code in (0, 1)


def test_signals_are_as_a_shell_gives_them(bench: Bench) -> None:
    """An ignored SIGPIPE would be inherited by every program of the analysis."""
    ran = bench.shell("grep -E '^Sig(Ign|Blk):' /proc/self/status; yes | head -n 1 | wc -l")
    assert ran.log.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16, "1"]


def test_no_stray_descriptors(bench: Bench) -> None:
    ran = bench.python(
        "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:3]);"
        "print([n for n in range(3, 1024) if os.path.exists(f'/dev/fd/{n}')])"
    )
    assert ran.log.splitlines() == ["[0, 1, 2]", "[]"]


def test_the_processes_are_its_own(bench: Bench) -> None:
    ran = bench.python("import os; print([n for n in os.listdir('/proc') if n.isdigit()])")
    assert len(ran.log.split()) <= 3


def test_layers_lie_over_each_other(bench: Bench) -> None:
    ran = bench.shell("cat /opt/second-layer; test -x /usr/bin/python3 && echo both")
    assert ran.log == "from the upper layer\nboth\n"


@pytest.mark.files
def test_outputs_are_the_same_bytes_on_every_engine(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first engine leaves its answer; each further one must give the same."""
    ran = bench.run(bench.job(("python3", "-c", DETERMINISTIC, "an argument")))
    assert ran.log == "walked 50001\n", ran
    facts = (bench.stage / "facts.json").read_bytes()
    before = tmp_path_factory.getbasetemp() / "contract-facts.json"
    if before.exists():
        assert facts == before.read_bytes()
    before.write_bytes(facts)


# ---- what the run may write --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/new", "/etc/new", "/opt/new", "/opt/open/new", "/opt/open/file", "/usr/lib/new"]
)
def test_the_root_is_read_only(bench: Bench, path: str) -> None:
    """Also where the modes would let anybody write."""
    ran = bench.python(f"import os; os.open({path!r}, os.O_WRONLY | os.O_CREAT)")
    assert ran.code == 1
    assert "Read-only file system" in ran.log
    assert bench.python("import os; os.open('/etc/passwd', os.O_WRONLY)").code == 1


@pytest.mark.files
@pytest.mark.parametrize("closed", ["data/inner/closed.csv", "data/inner"])
def test_data_that_only_its_owner_may_read(bench: Bench, closed: str) -> None:
    """A user's own run reads it; root's has another number, and is refused before it starts."""
    data = bench.folder / "data"
    (data / "inner").mkdir(parents=True)
    (data / "inner" / "closed.csv").write_text("value 7\n")
    (bench.stage / "data").mkdir()
    target = bench.folder / closed
    target.chmod(0o700 if target.is_dir() else 0o600)
    job = bench.job(
        ("cat", "data/inner/closed.csv"), mounts=(Mount(source=data, target="/project/data"),)
    )
    if os.geteuid() == 0:
        with pytest.raises(UsageError, match=rf"{target}: mode 0[67]00") as caught:
            bench.run(job)
        assert f"chmod -R o+rX {data}" in (caught.value.hint or "")
        assert process.run(["chmod", "-R", "o+rX", str(data)]).code == 0
    assert bench.run(job).log == "value 7\n"


@pytest.mark.files
def test_the_mounts_are_read_only(bench: Bench) -> None:
    data = bench.folder / "data"
    data.mkdir()
    (data / "table.csv").write_text("a\n1\n")
    file = bench.folder / "single.txt"
    file.write_text("one\n")
    (bench.stage / "data").mkdir()
    (bench.stage / "single.txt").touch()
    data.chmod(0o777)  # it is the mount that refuses, not the modes
    (data / "table.csv").chmod(0o666)
    file.chmod(0o666)
    mounts = (
        Mount(source=data, target="/project/data"),
        Mount(source=file, target="/project/single.txt"),
        Mount(source=data, target="/mounted/else where"),
    )
    text = """\
import errno, os
for path in ("data/table.csv", "data/new", "single.txt", "/mounted/else where/table.csv"):
    try:
        os.open(path, os.O_WRONLY | os.O_CREAT)
    except OSError as error:
        assert error.errno == errno.EROFS, error
    else:
        raise SystemExit(path)
for change in (os.unlink, os.rmdir, lambda path: os.chmod(path, 0o777)):
    for path in ("data/table.csv", "data", "single.txt"):
        try:
            change(path)
        except OSError:
            continue
        raise SystemExit(path)
print(open("data/table.csv").read() + open("single.txt").read(), end="")
print(open("/mounted/else where/table.csv").read(), end="")
"""
    ran = bench.run(bench.job(("python3", "-c", text), mounts=mounts))
    assert (ran.code, ran.log) == (0, "a\n1\none\na\n1\n")
    assert [path.name for path in data.iterdir()] == ["table.csv"]
    assert file.read_text() == "one\n"


@pytest.mark.files
def test_writes_land_in_the_stage(bench: Bench) -> None:
    (bench.stage / "given.txt").write_text("given")
    (bench.stage / "given.txt").chmod(0o600)
    text = """\
import os
os.makedirs("out/deep")
open("out/deep/new.txt", "w").write(open("given.txt").read() + " and taken")
os.unlink("given.txt")
os.mkdir("closed"); open("closed/inside", "w").close(); os.chmod("closed", 0)
os.symlink("/etc/shadow", "link")
os.mkfifo("fifo")
"""
    assert bench.python(text).code == 0
    assert (bench.stage / "out/deep/new.txt").read_text() == "given and taken"
    assert not (bench.stage / "given.txt").exists()
    assert (bench.stage / "link").readlink() == Path("/etc/shadow")
    for path in (bench.stage, *bench.stage.rglob("*")):
        state = path.lstat()
        assert (state.st_uid, state.st_gid) == (os.geteuid(), os.getegid()), path
    assert (bench.stage / "closed/inside").exists()  # the caller can look everywhere


@pytest.mark.files
def test_no_setuid_program_comes_out(bench: Bench) -> None:
    assert bench.shell("cp /bin/true mine; chmod 6755 mine; mkdir d; chmod 2777 d").code == 0
    assert stat.S_IMODE((bench.stage / "mine").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "path", ["/tmp/only-inside", "/tmp/home/only-inside", "/dev/shm/only-inside"]
)
def test_scratch_space_is_private_and_gone_afterwards(bench: Bench, path: str) -> None:
    write = ("sh", "-c", f"test ! -e {path} && echo x >{path} && cat {path}")
    ran = bench.run(bench.job(write, write))  # the second step finds it empty again
    assert (ran.code, ran.log) == (0, "x\nx\n")
    assert not Path(path).exists()


def test_scratch_space_is_sized(bench: Bench) -> None:
    text = """\
import os
for path in ("/tmp", "/dev/shm"):
    state = os.statvfs(path)
    print(path, state.f_blocks * state.f_frsize >> 20)
"""
    ran = bench.python(text, limits=Limits(timeout=60, memory=256 << 20))
    assert ran.log.split() == ["/tmp", "128", "/dev/shm", "64"]


# ---- what the run may not do -------------------------------------------------------------------


def test_no_capability_and_no_new_privileges(bench: Bench) -> None:
    ran = bench.shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
    fields = dict(line.split(":\t") for line in ran.log.splitlines())
    assert {name: value for name, value in fields.items() if name.startswith("Cap")} == {
        f"Cap{name}": "0" * 16 for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")
    }
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


@pytest.mark.parametrize(
    "call",
    [
        "unshare(0x10000000)",  # CLONE_NEWUSER: the way to most kernel faults
        "unshare(0x00020000)",  # CLONE_NEWNS
        "mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "chroot(b'/tmp')",
        "setns(0, 0)",
        "syscall(321, 0, 0, 0)",  # bpf
        "syscall(250, 0, 0, 0)",  # keyctl
        "syscall(298, 0, 0, 0)",  # perf_event_open
    ],
)
def test_dangerous_calls_are_refused(bench: Bench, call: str) -> None:
    text = f"""\
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
result = libc.{call}
print(result, errno.errorcode.get(ctypes.get_errno()))
"""
    ran = bench.python(text)
    assert ran.log.split()[0] == "-1"
    assert ran.log.split()[1] in ("EPERM", "ENOSYS"), ran.log


def test_files_that_only_root_may_read_stay_closed(bench: Bench) -> None:
    """But an ordinary user's sandbox owns what that user unpacked (SANDBOX.md)."""
    owns = bench.engine.name == "sandbox" and os.geteuid() != 0
    assert bench.shell("cat /opt/only-root").code == (0 if owns else 1)


# ---- how a run ends ----------------------------------------------------------------------------


@pytest.mark.files
def test_steps_stop_at_the_first_that_fails(bench: Bench) -> None:
    steps = [("sh", "-c", f"echo {n} >>seen; exit {code}") for n, code in ((1, 0), (2, 7), (3, 0))]
    execution = bench.run(bench.job(*steps)).execution
    assert (execution.step, execution.code) == (1, 7)
    assert (bench.stage / "seen").read_text() == "1\n2\n"


@pytest.mark.files
def test_steps_share_the_stage_and_the_log(bench: Bench) -> None:
    ran = bench.run(bench.job(("sh", "-c", "echo a | tee f"), ("cat", "f"), ("wc", "-l", "f")))
    assert (ran.execution.step, ran.log) == (2, "a\na\n1 f\n")


def test_the_log_is_cut(bench: Bench) -> None:
    limits = Limits(timeout=60, log=10_000)
    ran = bench.shell("yes 0123456789 | head -c 30000000; echo end", limits=limits)
    assert ran.execution.succeeded  # it was drained to its end
    assert ran.execution.log_cut
    assert ran.log.startswith("0123456789\n" * 900)
    assert len(ran.log) < 10_200
    assert "10000 bytes" in ran.log.splitlines()[-1]


def test_memory_is_limited(bench: Bench) -> None:
    limits = Limits(timeout=60, memory=200 << 20)
    ran = bench.python("x = [bytearray(1 << 20) for _ in range(2000)]", limits=limits)
    assert ran.execution.ending is Ending.MEMORY
    assert ran.execution.seconds < 30


def test_memory_of_a_child_counts_too(bench: Bench) -> None:
    """Whoever is killed for it may be a child, and its parent may end with 0."""
    limits = Limits(timeout=60, memory=200 << 20)
    text = "python3 -c 'import time; x = b\"x\" * (600 << 20); time.sleep(1)'; exit 0"
    assert bench.shell(text, limits=limits).execution.ending is Ending.MEMORY


def test_shared_memory_is_not_counted_twice(bench: Bench) -> None:
    """Six processes that share 60 MB after a fork use 60 MB."""
    text = """\
import os, time
block = b"x" * (60 << 20)
children = []
for _ in range(6):
    if (pid := os.fork()) == 0:
        time.sleep(1)
        os._exit(0)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children])
"""
    ran = bench.python(text, limits=Limits(timeout=60, memory=200 << 20))
    assert (ran.execution.ending, ran.log) == (Ending.EXITED, "[0, 0, 0, 0, 0, 0]\n")


def test_files_on_tmp_are_memory(bench: Bench) -> None:
    limits = Limits(timeout=60, memory=300 << 20)
    text = "open('/tmp/big', 'wb').write(bytes(100 << 20)); import time; time.sleep(1)"
    assert bench.python(text, limits=limits).execution.succeeded
    both = text.replace("import time", "x = b'x' * (240 << 20); import time")
    assert bench.python(both, limits=limits).execution.ending is Ending.MEMORY


def test_processes_are_limited(bench: Bench) -> None:
    text = """\
import errno, os, signal, time
made = []
try:
    while len(made) < 1000:
        if (pid := os.fork()) == 0:
            time.sleep(60)
            os._exit(0)
        made.append(pid)
except OSError as error:
    print(errno.errorcode[error.errno])
for pid in made:
    os.kill(pid, signal.SIGKILL)
print(len(made))
"""
    ran = bench.python(text, limits=Limits(timeout=60, pids=40))
    word, count = ran.log.split()
    assert word == "EAGAIN"
    assert 36 <= int(count) <= 40


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "processes"])
def test_a_crowd_is_seen_when_time_is_over(bench: Bench, threads: bool) -> None:
    """Who goes on trying until the end has met two limits, and says nothing of the first."""
    more = "threading.Thread(target=time.sleep, args=(60,)).start()" if threads else "os.fork()"
    text = f"""\
import os, threading, time
while True:
    try:
        {more}
    except (OSError, RuntimeError):
        time.sleep(0.05)
"""
    execution = bench.python(text, limits=Limits(timeout=2.5, pids=20)).execution
    assert (execution.ending, execution.crowded) == (Ending.TIMEOUT, True)


def test_few_processes_are_no_crowd(bench: Bench) -> None:
    execution = bench.shell("sleep 60", limits=Limits(timeout=1.5, pids=20)).execution
    assert (execution.ending, execution.crowded) == (Ending.TIMEOUT, False)


@pytest.mark.files
def test_output_is_limited(bench: Bench) -> None:
    limits = Limits(timeout=60, output=8 << 20)
    text = """\
import time
for n in range(200):
    open(f"part{n}", "wb").write(bytes(1 << 20))
    time.sleep(0.02)
"""
    execution = bench.python(text, limits=limits).execution
    assert execution.ending is Ending.OUTPUT
    assert sum(path.stat().st_size for path in bench.stage.iterdir()) < 100 << 20


@pytest.mark.files
def test_a_single_file_stops_at_the_limit(bench: Bench) -> None:
    limits = Limits(timeout=60, output=4 << 20)
    ran = bench.python("open('big', 'wb').write(bytes(40 << 20))", limits=limits)
    assert ran.execution.ending is Ending.OUTPUT
    assert (bench.stage / "big").stat().st_size <= 4 << 20


@pytest.mark.files
def test_output_cannot_be_hidden(bench: Bench) -> None:
    text = """\
import os
os.mkdir("closed")
os.chmod("closed", 0o300)  # its owner may write there, and not look
for n in range(6):
    open(f"closed/{n}", "wb").write(bytes(2 << 20))
"""
    limits = Limits(timeout=60, output=8 << 20)
    assert bench.python(text, limits=limits).execution.ending is Ending.OUTPUT


@pytest.mark.files
def test_what_was_there_before_does_not_count(bench: Bench) -> None:
    (bench.stage / "given").write_bytes(bytes(9 << 20))
    execution = bench.shell("sleep 0.5; echo x >out", limits=Limits(timeout=60, output=8 << 20))
    assert execution.execution.succeeded


@pytest.mark.files
def test_a_daemon_does_not_survive(bench: Bench) -> None:
    text = """\
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for name in (0, 1, 2):
            os.close(name)
        while True:
            open("/project/beat", "a").write(".")
            time.sleep(0.02)
    os._exit(0)
while not os.path.exists("/project/beat"):
    time.sleep(0.01)
"""
    assert bench.python(text).execution.succeeded
    beats = (bench.stage / "beat").stat().st_size
    time.sleep(0.3)
    assert (bench.stage / "beat").stat().st_size == beats


def test_a_job_without_its_image(bench: Bench) -> None:
    layer = replace(bench.image.layers[0], digest="sha256:" + "0" * 64)
    job = replace(bench.job(("true",)), image=replace(bench.image, layers=(layer,), config=b"{}"))
    with pytest.raises(EngineError, match="repro build"):
        bench.engine.run(job)


def test_path_is_the_one_given(bench: Bench) -> None:
    (bench.stage / "bin").mkdir()
    tool = bench.stage / "bin" / "mytool"
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    env = tuple((k, f"/project/bin:{PATH}" if k == "PATH" else v) for k, v in ENV)
    assert bench.run(bench.job(("mytool",), env=env)).log == "mine\n"
