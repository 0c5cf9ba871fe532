"""A daemon that does not see this machine's files: project and data travel there and back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.engines.docker.engine import Docker
from repro.errors import EngineError
from repro.image.layer import Entry
from repro.models.execution import Ending, Execution, Job, Mount
from repro.models.project import Limits
from repro.progress import Silent
from repro.store.artifacts import Store
from tests.faults.private_daemon import PrivateDaemon, daemon_elsewhere
from tests.host_image import host_image
from tests.integration.docker_daemon import host_store
from tests.support import Cli
from tests.watch import faulted

__all__ = ["daemon_elsewhere", "host_store"]
pytestmark = pytest.mark.docker


class Said(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Bench:
    """An engine on that daemon, and a stage."""

    def __init__(self, folder: Path, store: Store, daemon: PrivateDaemon, url: str) -> None:
        self.folder, self.store, self.daemon = folder, store, daemon
        self.said = Said()
        self.engine = Docker(store, base_url=url, progress=self.said)
        self.image = host_image(store)
        self.stage = folder / "stage"
        self.stage.mkdir()
        self.engine.load(self.image)

    def shell(
        self, *scripts: str, mounts: tuple[Mount, ...] = (), limits: Limits | None = None
    ) -> Execution:
        """Run some steps."""
        return self.engine.run(
            Job(
                image=self.image,
                steps=tuple(("sh", "-c", script) for script in scripts),
                stage=self.stage,
                env=(),
                limits=limits or Limits(timeout=60),
                log=self.folder / "log",
                mounts=mounts,
            )
        )

    @property
    def log(self) -> str:
        """What the last job printed."""
        return (self.folder / "log").read_text(errors="replace")


def nothing_left(daemon: PrivateDaemon) -> bool:
    """Whether the daemon has neither container nor volume."""
    client = daemon.client()
    try:
        return not client.containers(all=True) and not client.volumes()["Volumes"]
    finally:
        client.close()


@pytest.fixture
def bench(tmp_path: Path, host_store: Store, daemon_elsewhere: PrivateDaemon) -> Iterator[Bench]:
    """The engine on its address in the network; afterwards nothing is left there."""
    yield Bench(tmp_path, host_store, daemon_elsewhere, daemon_elsewhere.tcp)
    assert nothing_left(daemon_elsewhere)


@pytest.mark.parametrize("address", ["tcp", "url"])
def test_files_travel_there_and_back(bench: Bench, address: str) -> None:
    """Data is read-only in the kernel's own sense; names, modes, times and links survive."""
    url = getattr(bench.daemon, address)  # a socket says nothing of who sees which files
    bench.engine = Docker(bench.store, base_url=url, progress=bench.said)
    odd = "a \n'\"-\u00fc"
    (bench.stage / odd).write_text("odd\n")
    (bench.stage / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (bench.stage / "run.sh").chmod(0o755)
    os.utime(bench.stage / "run.sh", (946684800, 946684800))
    (bench.stage / "goes").write_text("x")
    (bench.stage / "data").mkdir()
    (bench.stage / "one").touch()
    data = bench.folder / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "file").write_text("deep\n")
    os.utime(data / "deep" / "file", (1_000_000_000, 1_000_000_000))
    (bench.folder / "one").write_text("one\n")
    for path in (data, data / "deep" / "file", bench.folder / "one"):
        path.chmod(0o777)
    mounts = (
        Mount(source=data, target="/project/data"),
        Mount(source=bench.folder / "one", target="/project/one"),
    )
    done = bench.shell(
        "./run.sh; cat data/deep/file one a*; stat -c '%Y %a' data/deep/file run.sh; id -u;"
        " touch data/new data/deep/file one; rm -f one; ls -A /repro; true",
        "rm goes; mkdir -p out; echo result > out/result; ln -s /etc/passwd out/link;"
        " mkfifo out/pipe; echo 2 > run.sh; exit 3",
        mounts=mounts,
    )
    assert (done.ending, done.code, done.step) == (Ending.EXITED, 3, 1), bench.log
    lines = bench.log.splitlines()
    assert lines[:7] == [
        "ran", "deep", "one", "odd", "1000000000 777", "946684800 755", "1000",
    ]  # fmt: skip
    assert sum("Read-only file system" in line for line in lines) == 3
    assert any("Device or resource busy" in line for line in lines), "a mount of its own"
    assert any("/repro" in line and "No such file" in line for line in lines)
    assert (bench.stage / odd).read_text() == "odd\n"
    assert (bench.stage / "out" / "result").read_text() == "result\n"
    assert (bench.stage / "out" / "link").is_symlink()
    assert (bench.stage / "out" / "pipe").is_fifo()
    assert not (bench.stage / "goes").exists()
    assert (bench.stage / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (data / "deep" / "file").stat().st_mtime == 1_000_000_000
    assert [note for note in bench.said.notes if "does not see this machine's files" in note]


def test_a_flood_of_files_is_stopped_meanwhile(bench: Bench) -> None:
    limits = Limits(timeout=60, output=4 << 20)
    began = time.monotonic()
    done = bench.shell("while :; do n=$((n+1)); echo > f$n; done", limits=limits)
    assert done.ending is Ending.OUTPUT
    assert time.monotonic() - began < 50
    taken = sum(path.stat().st_blocks * 512 for path in bench.stage.iterdir())
    assert taken <= 8 << 20, "what came back is limited too"


def test_a_missing_file_is_not_taken_for_a_daemon_elsewhere(bench: Bench) -> None:
    with pytest.raises(EngineError, match="bind source path does not exist"):
        bench.shell("true", mounts=(Mount(source=bench.folder / "no", target="/project/no"),))
    assert bench.said.notes == []


def test_without_its_tools_nothing_can_be_measured(bench: Bench) -> None:

    bench.image = host_image(bench.store, Entry(path="usr/bin/.wh.du", mode=0, kind="file"))
    bench.engine.load(bench.image)
    with pytest.raises(EngineError, match="no du or find") as caught:
        bench.shell("true")
    assert "coreutils" in (caught.value.hint or "")
    done = bench.shell("echo x > out", limits=Limits(timeout=60, best_effort=True))
    assert "output" in done.unenforced
    assert (bench.stage / "out").read_text() == "x\n"


def test_data_larger_than_the_daemons_disk(bench: Bench) -> None:
    """F52: the step is named, and nothing stays there."""
    disk = bench.daemon.folder / "root"
    state = os.statvfs(disk)
    full, large = disk / "full", bench.folder / "large"
    (bench.stage / "large").touch()
    large.write_bytes(bytes(32 << 20))
    try:
        with full.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - (16 << 20))
        with pytest.raises(EngineError, match=r"sending the project and its data.*no space left"):
            bench.shell("true", mounts=(Mount(source=large, target="/project/large"),))
    finally:
        full.unlink()
    assert bench.shell("true", mounts=(Mount(source=large, target="/project/large"),)).succeeded


@pytest.mark.network
def test_the_whole_command(tiny: Cli, daemon_elsewhere: PrivateDaemon) -> None:
    env = {"DOCKER_HOST": daemon_elsewhere.tcp}
    faulted(tiny, "--engine", "docker", "verify", code=0, says=["reproduced"], env=env)
    assert nothing_left(daemon_elsewhere)


@pytest.mark.network
def test_h65_the_quota_is_named(tiny: Cli, daemon_elsewhere: PrivateDaemon) -> None:
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace("timeout", 'max-output = "4m"\ntimeout'))
    script = "for n in range(60):\n    open(f'part{n}', 'wb').write(bytes(1 << 19))\n"
    (tiny.folder / "analysis.py").write_text(script)
    env = {"DOCKER_HOST": daemon_elsewhere.tcp}
    says = ["wrote more", '[analysis] max-output = "4m"']
    faulted(tiny, "--engine", "docker", "verify", code=4, says=says, env=env)
    assert nothing_left(daemon_elsewhere)


def test_what_a_killed_repro_left_goes_with_the_next_run(
    tmp_path: Path, host_store: Store, daemon_elsewhere: PrivateDaemon
) -> None:
    bench = Bench(tmp_path, host_store, daemon_elsewhere, daemon_elsewhere.tcp)
    wanted = {
        "store": str(host_store.root),
        "stage": str(bench.stage),
        "log": str(tmp_path / "log"),
        "command": ["sh", "-c", "echo started; sleep 600"],
        "base_url": daemon_elsewhere.tcp,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.docker_job", json.dumps(wanted)]
    ) as child:
        deadline = time.monotonic() + 60
        while "started" not in (
            (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
    assert len(daemon_elsewhere.containers()) == 2
    shutil.rmtree(bench.stage)
    bench.stage.mkdir()
    assert bench.shell("true").succeeded
    assert sum("which a killed repro left behind" in note for note in bench.said.notes) == 2
    assert nothing_left(daemon_elsewhere)
