"""What launcher and bwrap are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.engines.sandbox.command import HOSTS, Host, Launch, launch
from repro.errors import EngineError
from repro.models.execution import Job, Mount
from repro.models.image import Image
from repro.models.project import Limits

HOST = Host(
    bwrap="/usr/bin/bwrap",
    parent=7,
    user=None,
    base="/mnt",
    hosts="10.0.0.1 mirror\n",
    resolver="nameserver 10.0.0.2\n",
    certificates=True,
    cpu=False,
)


def job(folder: Path, **changes: object) -> Job:
    plain = Job(
        image=Image(layers=(), config=b"", manifest=b"", env=()),
        steps=(("true",),),
        stage=folder / "secret-stage",
        env=(("A", "1"), ("B", "two words")),
        limits=Limits(memory=1 << 30, pids=10, output=99),
        log=folder / "log",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def ordered(one: Job, host: Host = HOST) -> Launch:
    return launch(
        one,
        one.steps[0],
        host=host,
        layers=(Path("/layers/base"), Path("/layers/top")),
        filters=(5, 6),
        status=9,
        go=8,
    )


def pairs(words: list[str], option: str, count: int = 2) -> list[tuple[str, ...]]:
    """The arguments of every occurrence of an option."""
    places = [n for n, word in enumerate(words) if word == option]
    return [tuple(words[n + 1 : n + 1 + count]) for n in places]


def test_isolation(tmp_path: Path) -> None:
    words = ordered(job(tmp_path))["arguments"]
    for word in (
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-net",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ):
        assert words.count(word) == 1, word
    assert pairs(words, "--uid", 1) == pairs(words, "--gid", 1) == [("1000",)]
    assert pairs(words, "--cap-drop", 1) == [("ALL",)]
    assert pairs(words, "--add-seccomp-fd", 1) == [("5",), ("6",)]
    assert pairs(words, "--json-status-fd", 1) == [("9",)]
    assert pairs(words, "--setenv") == [("A", "1"), ("B", "two words")]


def test_layers_are_listed_top_first(tmp_path: Path) -> None:
    assert ordered(job(tmp_path))["layers"] == ["/layers/top", "/layers/base"]


def test_only_the_stage_is_writable_on_disk(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    order = ordered(job(tmp_path, mounts=(Mount(source=data, target="/project/data"),)))
    writable = pairs(order["arguments"], "--bind")
    assert writable == [("/mnt/shm", "/dev/shm"), ("/mnt/tmp", "/tmp"), ("/mnt/0", "/project")]
    assert order["binds"] == [str(tmp_path / "secret-stage"), str(data)]
    assert pairs(order["arguments"], "--ro-bind") == [
        ("/mnt/root", "/"),
        ("/mnt/1", "/project/data"),
    ]
    # what bwrap is told stays visible inside
    assert not any(str(tmp_path) in word for word in order["arguments"])


def test_a_folder_is_mounted_before_what_lies_in_it(tmp_path: Path) -> None:
    mounts = (
        Mount(source=tmp_path, target="/project/data/inner"),
        Mount(source=tmp_path, target="/project/data"),
    )
    bound = pairs(ordered(job(tmp_path, mounts=mounts))["arguments"], "--ro-bind")
    assert [target for _, target in bound] == ["/", "/project/data", "/project/data/inner"]
    assert [source for source, _ in bound] == ["/mnt/root", "/mnt/2", "/mnt/1"]


def test_mount_points_outside_the_project(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.touch()
    mounts = (
        Mount(source=tmp_path, target="/data/deep"),
        Mount(source=file, target="/etc/one.txt"),
        Mount(source=file, target="/project/two.txt"),
    )
    order = ordered(job(tmp_path, mounts=mounts))
    assert "/data/deep" in order["folders"]
    assert order["files"]["/etc/one.txt"] == ""
    assert "/project/two.txt" not in order["files"]
    assert order["files"]["/etc/hosts"] == HOSTS
    assert order["files"]["/etc/resolv.conf"] == ""


@pytest.mark.parametrize("target", ["data", "/", "/a/../b", "/a//b", "/a/", "../x", ""])
def test_a_target_must_be_an_absolute_path(tmp_path: Path, target: str) -> None:
    with pytest.raises(EngineError, match="cannot mount"):
        ordered(job(tmp_path, mounts=(Mount(source=tmp_path, target=target),)))


def test_with_network(tmp_path: Path) -> None:
    order = ordered(job(tmp_path, network=True))
    assert "--unshare-net" not in order["arguments"]
    assert order["files"]["/etc/hosts"] == "10.0.0.1 mirror\n"
    assert order["files"]["/etc/resolv.conf"] == "nameserver 10.0.0.2\n"
    assert ("/mnt/1", "/etc/ssl/certs") in pairs(order["arguments"], "--ro-bind")


def test_interactive_keeps_the_terminal(tmp_path: Path) -> None:
    order = ordered(job(tmp_path, interactive=True))
    assert "--new-session" not in order["arguments"]
    assert order["interactive"]


def test_limits(tmp_path: Path) -> None:
    order = ordered(job(tmp_path))
    assert (order["pids"], order["file_size"]) == (13, 99)
    assert order["tmp"] == 512 << 20
    assert ordered(job(tmp_path, limits=Limits(memory=64 << 30)))["tmp"] == 1 << 30
