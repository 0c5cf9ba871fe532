"""The docker engine on the live daemon."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from repro.engines.docker.engine import Docker
from repro.errors import EngineError, LocalError, LockError
from repro.image.config import compose
from repro.image.layer import CAPABILITY, Entry
from repro.models.execution import Ending, Mount
from repro.models.image import Image
from repro.models.project import Limits
from repro.progress import Silent
from repro.store.artifacts import Store
from tests.faults.engine_api import EngineApi, answer
from tests.host_image import host_image
from tests.integration.docker_daemon import Bench, bench, host_store, socket_group
from tests.terminal import CTRL_C, CTRL_D, terminal

__all__ = ["bench", "host_store"]
pytestmark = pytest.mark.docker
MIB = 1 << 20


# ---- loading -----------------------------------------------------------------------------


class Counting(Silent):
    """Progress that remembers how many bytes each load announced."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []

    def task(self, label: str, total: int | None = None) -> Any:
        """See Progress.task."""
        self.totals.append(total)
        return super().task(label, total)


def fresh_image(bench: Bench) -> Image:
    """An image that the daemon cannot have."""
    data = os.urandom(2000)
    return host_image(bench.store, Entry(path="opt/new", mode=0o644, kind="file", data=data))


def client() -> docker.APIClient:
    return docker.APIClient(version="auto")


def forget(image: Image) -> None:
    client().remove_image(image.id, force=True)


def test_image_has_our_id_and_our_layers(bench: Bench) -> None:
    image = fresh_image(bench)
    bench.engine.load(image)
    try:
        held = client().inspect_image(image.tag)  # type: ignore[no-untyped-call]
        assert held["Id"] in (image.id, image.manifest_digest)
        assert held["RootFS"]["Layers"] == [layer.digest for layer in image.layers]
        assert held["Config"]["User"] == "1000:1000"
    finally:
        forget(image)


def test_only_layers_that_the_daemon_lacks_are_sent(bench: Bench) -> None:
    image, progress = fresh_image(bench), Counting()
    engine = Docker(bench.store, progress=progress)
    try:
        engine.load(image)
        assert progress.totals == [image.layers[1].size]
        engine.load(image)
        assert len(progress.totals) == 1, "the second load is a look-up"
    finally:
        forget(image)


def test_same_layer_on_another_ground_is_sent_again(bench: Bench) -> None:
    image = fresh_image(bench)
    turned = compose(image.layers[::-1], env=())
    progress = Counting()
    try:
        bench.engine.load(image)
        Docker(bench.store, progress=progress).load(turned)
        assert progress.totals == [sum(layer.size for layer in image.layers)]
    finally:
        forget(image)
        forget(turned)


def test_engine_that_wants_all_layers_gets_them(bench: Bench, tmp_path: Path) -> None:
    image, progress = fresh_image(bench), Counting()
    try:
        with EngineApi(tmp_path) as api:
            api.on("POST /images/load", answer(500, "no such blob: x"))
            Docker(bench.store, base_url=api.url, progress=progress).load(image)
        small, whole = image.layers[1].size, sum(layer.size for layer in image.layers)
        assert progress.totals == [small, whole]
        assert bench.shell("cat /opt/new", image=image).succeeded
    finally:
        forget(image)


def test_lost_layer_that_the_daemon_has_is_no_matter(bench: Bench, tmp_path: Path) -> None:
    image = fresh_image(bench)
    elsewhere = Store(tmp_path / "other")
    target = elsewhere.layer_path(image.layers[1])
    target.parent.mkdir(parents=True)
    shutil.copy(bench.store.layer_path(image.layers[1]), target)
    try:
        Docker(elsewhere).load(image)
    finally:
        forget(image)


def test_foreign_image_under_our_name_is_never_run(bench: Bench) -> None:
    image = fresh_image(bench)
    repository, _, tag = image.tag.partition(":")
    client().tag(bench.image.id, repository, tag)
    try:
        with pytest.raises(EngineError, match=f"no longer has the image {image.id}") as caught:
            bench.shell("true", image=image)
        assert "repro build" in str(caught.value)
        bench.engine.load(image)
        assert bench.shell("cat /opt/new", image=image).succeeded
    finally:
        forget(image)


def test_damaged_layer_is_not_accepted(bench: Bench, tmp_path: Path) -> None:
    image = fresh_image(bench)
    store = Store(tmp_path / "damaged")
    for layer in image.layers:
        target = store.layer_path(layer)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bench.store.layer_path(layer), target)
        target.chmod(0o644)
    with store.layer_path(image.layers[1]).open("r+b") as file:
        file.seek(1500)
        file.write(b"x")
    with pytest.raises(LockError, match=f"layer {image.layers[1].name}: .* is damaged"):
        Docker(store).load(image)
    with pytest.raises(EngineError, match="no longer has"):
        bench.shell("true", image=image)


def test_every_name_arrives(bench: Bench) -> None:
    """What our tar writer says, the engine's own reader (another language's) understands."""
    names = ["n" * 100, "n" * 101, "d/" * 60 + "n" * 250, "é", "a\nb", "raw\udcff\udc80", "c d"]
    capability = (CAPABILITY, "\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0")
    entries = [
        Entry(path=f"opt/{name}", mode=0o640, kind="file", data=b"x" * n, uid=1000, gid=3_000_000)
        for n, name in enumerate(names)
    ]
    entries += [
        Entry(path="opt/zz-link", mode=0, kind="hardlink", link="opt/é"),
        Entry(path="opt/able", mode=0o755, kind="file", data=b"x", xattrs=(capability,)),
        Entry(path="opt/fifo", mode=0o600, kind="fifo"),
    ]
    image = host_image(bench.store, *entries)
    bench.engine.load(image)
    try:
        for n, name in enumerate(names):
            quoted = (
                shlex.quote(name)
                if name.isprintable()
                else "".join(letter if letter.isalnum() else "?" for letter in name)
            )
            done = bench.shell(f"stat -c '%s %u %g %a %Y' /opt/{quoted}", image=image)
            assert done.succeeded, bench.said
            assert bench.said == f"{n} 1000 3000000 640 946684800\n"
        done = bench.shell("stat -c '%F %h' /opt/fifo /opt/zz-link", image=image)
        assert done.succeeded
        assert bench.said == "fifo 1\nregular file 2\n"
    finally:
        forget(image)


# ---- what a run sees ---------------------------------------------------------------------


def test_environment_is_exactly_the_images_and_the_jobs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "canary")
    assert bench.shell("env", env=(("JOB", "a=b c"), ("IMAGE", "job"))).succeeded
    found = set(bench.said.splitlines()) - {"_=/usr/bin/env", "PWD=/project"}
    assert found == {"HOME=/tmp/home", "IMAGE=job", "JOB=a=b c", "PATH=/usr/bin:/bin"}


def test_user_folders_and_rights(bench: Bench) -> None:
    script = "id; stat -c '%a %u %n' / /project /tmp /tmp/home /dev/shm; cat /proc/self/status"
    assert bench.shell(script).succeeded
    assert "uid=1000(analyst) gid=1000 groups=1000" in bench.said
    assert "1777 0 /tmp\n755 1000 /tmp/home\n1777 0 /dev/shm" in bench.said
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{capabilities}:\t0000000000000000" in bench.said
    assert "NoNewPrivs:\t1" in bench.said
    assert "Seccomp:\t2" in bench.said


@pytest.mark.parametrize("place", ["/", "/etc", "/usr/bin", "/opt", "/var"])
def test_root_is_read_only(bench: Bench, place: str) -> None:
    image = host_image(
        bench.store,
        Entry(path="opt", mode=0o777, kind="dir"),
        Entry(path="var", mode=0o777, kind="dir"),
    )
    bench.engine.load(image)
    assert bench.shell(f"touch {place}/new", image=image).code == 1
    assert "Read-only file system" in bench.said


@pytest.mark.parametrize("place", ["/project", "/tmp", "/tmp/home", "$HOME", "/dev/shm"])
def test_some_places_are_writable_and_run_programs(bench: Bench, place: str) -> None:
    run = "" if place == "/dev/shm" else "&& ./copy -c 'echo ran'"
    assert bench.shell(f"cd {place} && cp /bin/sh copy {run}").succeeded, bench.said


def test_data_is_read_only_in_place(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "real"
    data.mkdir()
    (data / "table.csv").write_text("1,2\n")
    os.chown(data, 1000, 1000)
    os.chown(data / "table.csv", 1000, 1000)
    (bench.stage / "data").mkdir()
    (bench.stage / "one.csv").touch()
    mounts = (
        Mount(source=data, target="/project/data"),
        Mount(source=data / "table.csv", target="/project/one.csv"),
    )
    script = "cat data/table.csv one.csv; touch data/new; echo 3 >> one.csv; rm -f data/table.csv"
    assert bench.shell(script, mounts=mounts).code == 1
    assert bench.said.startswith("1,2\n1,2\n")
    assert bench.said.count("Read-only file system") == 3, bench.said
    assert [path.name for path in data.iterdir()] == ["table.csv"]


def test_no_network(bench: Bench) -> None:
    script = "ls /sys/class/net; cat /etc/resolv.conf; exec 3<>/dev/tcp/192.0.2.1/80"
    done = bench.engine.run(bench.job(("bash", "-c", script)))
    assert done.code == 1
    assert bench.said.startswith("lo\nbash: ")
    assert "Network is unreachable" in bench.said


def test_network_is_there_when_it_is_asked_for(bench: Bench) -> None:
    script = "cat /etc/resolv.conf; exec 3<>/dev/tcp/127.0.0.1/1"
    bench.engine.run(bench.job(("bash", "-c", script), network=True))
    assert "nameserver" in bench.said
    assert "Connection refused" in bench.said


def test_stage_is_ours_again(bench: Bench) -> None:
    (bench.stage / "kept").write_text("before")
    link = bench.stage / "link"
    link.symlink_to("/etc/passwd")
    before = Path("/etc/passwd").stat()
    script = (
        "echo after > kept; mkdir -p out/deep; echo 1 > out/deep/x; chmod 000 out; ln -s / away"
    )
    assert bench.shell(script).succeeded, bench.said
    me = (os.geteuid(), os.getegid())
    for path in (bench.stage, *bench.stage.rglob("*")):
        assert (path.lstat().st_uid, path.lstat().st_gid) == me
    assert (bench.stage / "kept").read_text() == "after\n"
    assert (bench.stage / "out" / "deep" / "x").read_text() == "1\n"
    assert Path("/etc/passwd").stat().st_uid == before.st_uid


def test_stage_with_a_comma_and_other_odd_letters(bench: Bench, tmp_path: Path) -> None:
    bench.stage = tmp_path / "a,b:c=d e\"f'é"
    bench.stage.mkdir()
    assert bench.shell("echo 1 > out").succeeded, bench.said
    assert (bench.stage / "out").read_text() == "1\n"


# ---- how a run ends ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("no-such", 127)],
)
def test_status_is_the_shells(bench: Bench, script: str, code: int) -> None:
    done = bench.shell(script)
    assert (done.ending, done.code, done.engine) == (Ending.EXITED, code, "docker")
    assert done.unenforced == ()
    assert bench.containers() == []


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_program_that_cannot_start_is_a_failed_run(bench: Bench, program: str, code: int) -> None:
    done = bench.engine.run(bench.job((program,)))
    assert (done.ending, done.code) == (Ending.EXITED, code)
    assert program in bench.said


def test_steps_share_the_stage_and_stop_at_the_first_failure(bench: Bench) -> None:
    steps = (
        ("sh", "-c", "echo one > file; touch /tmp/gone"),
        ("sh", "-c", "cat file; ls /tmp; exit 7"),
        ("touch", "never"),
    )
    done = bench.engine.run(bench.job(*steps))
    assert (done.step, done.code) == (1, 7)
    assert bench.said == "one\nhome\n"
    assert not (bench.stage / "never").exists()


@pytest.mark.parametrize("script", ["{eat}", "({eat}); exit 0"], ids=["itself", "a child"])
def test_memory(bench: Bench, script: str) -> None:
    eat = "head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null"
    done = bench.shell(script.format(eat=eat), limits=Limits(memory=100 * MIB, timeout=60))
    assert done.ending is Ending.MEMORY


def test_scratch_space_is_sized_and_counts_as_memory(bench: Bench) -> None:
    script = (
        "for place in /tmp /tmp/home /dev/shm; do df -k --output=size $place | tail -n 1; done;"
        "head -c 60000000 /dev/zero > /tmp/x"
    )
    done = bench.shell(script, limits=Limits(memory=100 * MIB, timeout=60))
    assert (done.ending, done.code) == (Ending.EXITED, 1)
    assert [int(line) for line in bench.said.splitlines()[:3]] == [51200, 51200, 65536]
    assert "No space left on device" in bench.said


def test_processes(bench: Bench) -> None:
    script = "i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done; echo all started"
    bench.shell(script, limits=Limits(pids=30, timeout=60))
    assert "all started" not in bench.said
    assert "fork" in bench.said


def test_output_of_many_files(bench: Bench) -> None:
    script = "i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; sleep 0.02; done"
    done = bench.shell(script, limits=Limits(output=5 * MIB, timeout=60))
    assert done.ending is Ending.OUTPUT
    assert done.seconds < 30


@pytest.mark.parametrize(
    "script",
    ["head -c 9000000 /dev/zero > f", "for n in 1 2 3; do head -c 3000000 /dev/zero > f$n; done"],
    ids=["one file", "faster than one looks"],
)
def test_output_that_is_written_at_once(bench: Bench, script: str) -> None:
    done = bench.shell(script, limits=Limits(output=5 * MIB, timeout=60))
    assert done.ending is Ending.OUTPUT
    assert sum(path.stat().st_size for path in bench.stage.iterdir()) <= 15 * MIB


def test_files_of_the_project_are_no_output(bench: Bench) -> None:
    (bench.stage / "large").write_bytes(bytes(9 * MIB))
    done = bench.shell("cat large > /dev/null; echo x > y", limits=Limits(output=MIB, timeout=60))
    assert done.succeeded, bench.said


def test_log_is_cut(bench: Bench) -> None:
    done = bench.shell("yes | head -c 50000000", limits=Limits(log=1000, timeout=60))
    assert done.log_cut
    assert bench.said.startswith("y\n" * 500)
    assert "cut here" in bench.said.splitlines()[-1]
    assert len(bench.said) < 1200


def test_output_and_errors_are_in_the_log_whole(bench: Bench) -> None:
    done = bench.shell("head -c 3000000 /dev/zero; echo out; echo err >&2")
    assert done.succeeded
    assert not done.log_cut
    assert bench.said.count("\0") == 3_000_000
    assert sorted(bench.said.strip("\0").split()) == ["err", "out"]


def test_echo_keeps_the_streams_apart(
    bench: Bench, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    bench.shell("echo out; echo err >&2", echo=True)
    assert capfdbinary.readouterr() == (b"out\n", b"err\n")
    bench.shell("echo out; echo err >&2", echo=False)
    assert capfdbinary.readouterr() == (b"", b"")


def test_log_that_cannot_be_written(bench: Bench) -> None:
    bench.log = Path("/dev/full")
    with pytest.raises(LocalError, match="/dev/full: No space left"):
        bench.shell("echo x; sleep 100")
    assert bench.containers() == []


def test_bytes_that_the_api_would_change_are_refused(bench: Bench) -> None:
    with pytest.raises(EngineError, match="is not UTF-8"):
        bench.engine.run(bench.job(("cat", "file-\udcff")))
    with pytest.raises(EngineError, match="is not UTF-8"):
        bench.shell("true", env=(("A", "\udcff"),))


def test_daemon_cannot_see_a_path(bench: Bench, tmp_path: Path) -> None:
    mounts = (Mount(source=tmp_path / "missing", target="/project/data"),)
    with pytest.raises(EngineError, match="bind source path does not exist") as caught:
        bench.shell("true", mounts=mounts)
    assert "does not see this machine's files" in str(caught.value)
    assert bench.containers() == []


# ---- trouble meanwhile -------------------------------------------------------------------


def started(bench: Bench, file: str = "started") -> None:
    """Wait until the job has made that file in the stage."""
    deadline = time.monotonic() + 30
    while not (bench.stage / file).exists():
        assert time.monotonic() < deadline, "the job does not start"
        time.sleep(0.05)


def once_started(bench: Bench, act: Callable[[], None]) -> None:
    started(bench)
    act()


def test_daemon_dies_in_the_middle(bench: Bench, tmp_path: Path) -> None:
    with EngineApi(tmp_path) as api:
        engine = Docker(bench.store, base_url=api.url)
        cutter = threading.Thread(target=once_started, args=(bench, api.vanish))
        cutter.start()
        with pytest.raises(EngineError, match="verdict is unknown") as caught:
            engine.run(bench.job(("sh", "-c", "sleep 1; touch started; sleep 100")))
        cutter.join()
    assert str(api.path) in str(caught.value)
    assert "may still be there" in str(caught.value), "it cannot be removed, and that is said"
    (left,) = bench.containers()
    assert left["Names"][0].lstrip("/") in str(caught.value)
    assert bench.stage.stat().st_uid == os.geteuid()


def test_container_is_removed_by_somebody_else(bench: Bench) -> None:
    remover = threading.Thread(target=once_started, args=(bench, bench.remove_all))
    remover.start()
    try:
        done = bench.shell("touch started; sleep 100")
    except EngineError as error:
        assert "No such container" in str(error)  # noqa: PT017 - it depends on who is faster
    else:
        assert (done.ending, done.code) == (Ending.EXITED, 137)
    finally:
        remover.join()


def in_process(bench: Bench, command: list[str], **more: Any) -> list[str]:
    """The command line of a job in a process of its own."""
    wanted = {
        "store": str(bench.store.root),
        "stage": str(bench.stage),
        "log": str(bench.log),
        "command": command,
        **more,
    }
    return [sys.executable, "-m", "tests.integration.docker_job", json.dumps(wanted)]


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(bench: Bench, number: signal.Signals, code: int) -> None:
    script = "trap '' INT TERM; touch started; while :; do sleep 1; done"
    child = subprocess.Popen(in_process(bench, ["sh", "-c", script]), cwd=ROOT)
    started(bench)
    assert len(bench.containers()) == 1
    child.send_signal(number)
    assert child.wait(30) == code
    assert bench.containers() == []
    assert bench.stage.stat().st_uid == os.geteuid()


def test_what_a_killed_repro_left_is_removed_by_the_next_run(bench: Bench, tmp_path: Path) -> None:
    child = subprocess.Popen(in_process(bench, ["sh", "-c", "touch started; sleep 1000"]), cwd=ROOT)
    started(bench)
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other", bench.store)
    assert other.shell("true").succeeded
    assert len(bench.containers()) == 1, "its owner is alive"
    child.kill()
    child.wait(30)
    assert len(bench.containers()) == 1, "nothing ends it"
    assert other.shell("true").succeeded
    assert bench.containers() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_ordinary_user_with_another_number(bench: Bench, tmp_path: Path) -> None:
    folder = Path("/var/tmp") / f"repro-test-{os.getpid()}"
    shutil.copytree(bench.store.root, folder / "store")
    bench.stage = folder / "stage"
    bench.stage.mkdir()
    bench.log = folder / "log"
    try:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 4242, 4242)
        wanted = in_process(bench, ["sh", "-c", "id -u; echo 1 > made"])
        wanted[-1] = wanted[-1].replace(str(bench.store.root), str(folder / "store"))
        user = ["setpriv", "--reuid=4242", "--regid=4242", f"--groups={socket_group()}"]
        done = subprocess.run(
            [*user, *wanted], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.stdout == "uid: uid 1000\nended: exited 0\n", done.stderr
        assert bench.said == "4242\n"
        assert (bench.stage / "made").stat().st_uid == 4242
    finally:
        shutil.rmtree(folder)


# ---- a person at a terminal --------------------------------------------------------------


def test_terminal(bench: Bench) -> None:
    argv = in_process(bench, ["bash", "--norc"], interactive=True)
    with terminal(argv, cwd=ROOT) as screen:
        screen.send(b"echo typed ahead $((1+1))\r")
        screen.expect("typed ahead 2")
        screen.send(b"stat -L -c '%F' /dev/fd/0; sleep 100\r")
        screen.expect("character special file")
        time.sleep(0.5)
        screen.send(CTRL_C)  # ends sleep inside, not the run
        screen.send(b"echo still $((40+2))\r")
        screen.expect("still 42")
        screen.send(CTRL_D)
        screen.expect("ended: exited 0")
        assert screen.wait() == 0
    assert "still 42" in bench.said
    assert bench.containers() == []


def test_terminal_follows_the_window(bench: Bench) -> None:
    script = "touch started; while :; do stty size; sleep 0.2; done"
    argv = in_process(bench, ["sh", "-c", script], interactive=True, timeout=30)
    with terminal(argv, cwd=ROOT) as screen:
        screen.expect("24 80")
        fcntl.ioctl(screen._master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        screen.expect("33 101")
        screen.send(CTRL_C)
        screen.expect("ended: exited 130")


def test_terminal_is_as_before_afterwards(bench: Bench) -> None:
    folder = bench.log.parent
    job = shlex.join(in_process(bench, ["id"], interactive=True))
    script = f"stty -a > {folder}/before; {job}; stty -a > {folder}/after"
    with terminal(["sh", "-c", script], cwd=ROOT) as screen:
        screen.wait()
    assert (folder / "before").read_text() == (folder / "after").read_text()
    assert "ended: exited 0" in screen.text


def test_input_without_a_terminal(bench: Bench) -> None:
    done = subprocess.run(
        in_process(bench, ["sh", "-c", "cat; echo end"], interactive=True),
        cwd=ROOT,
        input=b"typed\n" * 100_000,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == b"typed\n" * 100_000 + b"end\nuid: fixed\nended: exited 0\n"
    assert stat.S_ISREG(bench.log.stat().st_mode)
