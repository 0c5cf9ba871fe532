"""Rows A1-A9 of FAULTS.md, through the whole command, on a real lock."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.locks import seal
from tests.support import TINY_CONFIG, Cli, assert_refused
from tests.watch import faulted, watching

LOCKS = Path("lockfiles/linux-amd64")
COMMANDS = (["status"], ["build"], ["run"], ["verify"], ["accept", "--reason", "x"])


New = str | Callable[[re.Match[str]], str]


def edit(cli: Cli, name: str, old: str, new: New, *, reseal: bool = False) -> None:
    path = cli.folder / LOCKS / name
    text = path.read_text()
    changed = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert changed != text
    path.write_text(changed)
    if reseal:
        sealed = cli.folder / LOCKS / "repro.lock"
        sealed.write_text(
            sealed.read_text().replace(seal.digest(text.encode()), seal.digest(changed.encode()))
        )


def refused_everywhere(cli: Cli, *says: str) -> None:
    with watching(cli) as watch:
        for command in COMMANDS:
            answer = watch.cli(*command)
            watch.said(answer.out + answer.err)
            assert_refused(answer, 3, *says)


@pytest.mark.network
def test_a01_flipped_digest(tiny: Cli) -> None:
    """The seal notices: expected and actual are shown, before any build."""
    path = tiny.folder / LOCKS / "apt.lock"
    sealed = seal.digest(path.read_bytes())
    edit(tiny, "apt.lock", r"^SHA256: (.)", lambda m: "SHA256: " + ("1" if m[1] == "0" else "0"))
    refused_everywhere(tiny, "edited", "apt.lock", sealed, seal.digest(path.read_bytes()))


@pytest.mark.network
def test_a01_flipped_digest_under_a_new_seal(tiny: Cli, tmp_path: Path) -> None:
    """Whoever edits the seal too is stopped by the content itself: nothing is built."""
    text = (tiny.folder / LOCKS / "apt.lock").read_text()
    right = re.search(r"^SHA256: (.*)$", text, re.MULTILINE)
    assert right is not None
    wrong = ("1" if right[1][0] == "0" else "0") + right[1][1:]
    edit(tiny, "apt.lock", right[1], wrong, reseal=True)
    (tiny.folder / LOCKS / "image.toml").unlink()
    faulted(tiny, "build", code=3, says=[wrong, right[1]])
    assert not (tiny.folder / LOCKS / "image.toml").exists()
    assert not (tiny.cache / "sha256" / wrong[:2] / wrong).exists()


@pytest.mark.network
def test_a02_hash_removed(tiny: Cli) -> None:
    edit(tiny, "apt.lock", r"^SHA256: .*\n", "", reseal=True)
    refused_everywhere(tiny, "apt.lock", "SHA256")


@pytest.mark.network
def test_a03_weak_hash(tiny: Cli) -> None:
    edit(tiny, "apt.lock", r"^SHA256: .*\n", "SHA1: " + "0" * 40 + "\n", reseal=True)
    refused_everywhere(tiny, "apt.lock", "adduser", "weak hash (SHA1)")


@pytest.mark.network
@pytest.mark.parametrize("evil", ["file:///etc/passwd", "../../etc/passwd", "http://example.org/x"])
def test_a04_path_elsewhere(tiny: Cli, evil: str) -> None:
    edit(tiny, "apt.lock", r"^Filename: .*$", f"Filename: {evil}", reseal=True)
    refused_everywhere(tiny, "apt.lock", "Filename")


@pytest.mark.network
def test_a05_package_added(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "requirements.txt"
    path.write_text(path.read_text() + "six==1.16.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    refused_everywhere(tiny, "edited", "requirements.txt")


@pytest.mark.network
def test_a05_package_added_under_a_new_seal(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "requirements.txt"
    old = seal.digest(path.read_bytes())
    path.write_text(path.read_text() + "six==1.16.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    sealed = tiny.folder / LOCKS / "repro.lock"
    sealed.write_text(sealed.read_text().replace(old, seal.digest(path.read_bytes())))
    refused_everywhere(tiny, "requirements.txt", "six")


@pytest.mark.network
def test_a05_package_missing(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "apt.lock"
    path.write_text("\n\n".join(path.read_text().split("\n\n")[1:]))
    refused_everywhere(tiny, "edited", "apt.lock")


@pytest.fixture
def wheel(locked_project: Path, cache: Path, tmp_path: Path) -> Cli:
    """A copy of the project that is locked to one wheel, `demo` 1.0."""
    shutil.copytree(locked_project, tmp_path / "wheel", symlinks=True)
    return Cli(cache=cache, folder=tmp_path / "wheel")


PIP_EDITS: dict[str, tuple[str, New, str]] = {
    "a01 digit": (r"sha256:(.)", lambda m: f"sha256:{'1' if m[1] == '0' else '0'}", "disagree"),
    "a02 removed": (r" \\\n    --hash=.*$", "", "no hash"),
    "a03 weak": (r"sha256:.*$", "md5:" + "0" * 32, "md5"),
    "a04 file": (r"^demo==1.0", "demo @ file:///etc/passwd", ""),
    "a04 parent": (r"^demo==1.0", "../demo", ""),
    "a04 scheme": (r"^demo==1.0", "demo @ https://me:hunter2@example.org/demo.whl", ""),
    "a04 option": (r"^demo==1.0", "--index-url https://example.org/simple", ""),
    "a05 missing": (r"^demo==1.0 \\\n.*\n", "", "demo"),
}


@pytest.mark.network
@pytest.mark.parametrize("sealed", [False, True], ids=["edited", "sealed anew"])
@pytest.mark.parametrize("name", PIP_EDITS)
def test_a01_to_a05_requirements_txt(wheel: Cli, name: str, sealed: bool) -> None:
    """One command each: that every command asks for a fresh lock is shown above."""
    old, new, says = PIP_EDITS[name]
    edit(wheel, "requirements.txt", old, new, reseal=sealed)
    cli = replace(wheel, secrets=("hunter2",))
    said = ["requirements.txt", says] if sealed else ["edited", "requirements.txt"]
    faulted(cli, "build", code=3, says=said)


@pytest.mark.network
def test_a06_an_input_that_came(tiny: Cli) -> None:
    (tiny.folder / "apt.txt").write_text("libgomp1\n")
    refused_everywhere(tiny, "stale", "apt.txt", "repro snapshot")


TRIXIE = TINY_CONFIG.replace('"bookworm"', '"trixie"').replace('"3.11"', '"3.13"')


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("requirements.in", "demo\nsix\n", "requirements.in"),
        ("requirements.in", "", "requirements.in"),
        ("repro.toml", TRIXIE, "environment.python"),
        ("repro.toml", TRIXIE, "environment.suite"),
    ],
)
def test_a06_inputs_changed(wheel: Cli, name: str, text: str, says: str) -> None:
    (wheel.folder / name).write_text(text)
    faulted(wheel, "build", code=3, says=["stale", says, "repro snapshot"])


@pytest.mark.network
def test_a06_a_comment_or_a_tolerance_makes_nothing_stale(tiny: Cli) -> None:
    config = tiny.folder / "repro.toml"
    config.write_text("# a comment\n" + config.read_text() + "default = { rel = 1e-6 }\n")
    assert tiny("status").code == 0


@pytest.mark.network
def test_a07_newer_schema(tiny: Cli) -> None:
    edit(tiny, "repro.lock", r"^schema = 1\nneeds = .*$", 'schema = 2\nneeds = "9.1"')
    refused_everywhere(tiny, "repro.lock", "needs repro >= 9.1")


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("lockfiles/linux-amd64/image.toml", "build"),
        ("baseline/linux-amd64/seal.toml", "verify"),
    ],
)
def test_a07_newer_schema_of_a_record(tiny: Cli, name: str, command: str) -> None:
    path = tiny.folder / name
    text = path.read_text()
    newer = re.sub(r"^schema = 1\nneeds = .*$", 'schema = 2\nneeds = "9.1"', text, flags=re.M)
    assert newer != text
    path.write_text(newer)
    faulted(tiny, command, code=3, says=[name, "needs repro >= 9.1"])


@pytest.mark.network
@pytest.mark.parametrize("name", ["apt.lock", "repro.lock", "requirements.txt"])
def test_a08_merge_conflict(tiny: Cli, name: str) -> None:
    path = tiny.folder / LOCKS / name
    text = path.read_text()
    broken = "<<<<<<< HEAD\n" + text + "=======\n" + text + ">>>>>>> theirs\n"
    path.write_text(broken)
    if name != "repro.lock":
        sealed = tiny.folder / LOCKS / "repro.lock"
        old, new = seal.digest(text.encode()), seal.digest(broken.encode())
        sealed.write_text(sealed.read_text().replace(old, new))
    refused_everywhere(tiny, name, "1")


@pytest.mark.network
def test_a08_half_a_file(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "apt.lock"
    text = path.read_text()
    half = text[: len(text) // 2]
    path.write_text(half)
    sealed = tiny.folder / LOCKS / "repro.lock"
    old, new = seal.digest(text.encode()), seal.digest(half.encode())
    sealed.write_text(sealed.read_text().replace(old, new))
    answer = faulted(tiny, "build", code=3, says=["apt.lock"])
    assert re.search(r"apt\.lock:\d+", answer.err), answer.err


@pytest.mark.network
def test_a09_baseline_edited(tiny: Cli) -> None:
    path = tiny.folder / "baseline/linux-amd64/outputs/out/metrics.json"
    path.write_text(path.read_text().replace("40", "41"))
    for command in (["verify"], ["status"]):
        faulted(tiny, *command, code=3, says=["outputs/out/metrics.json", "edited"])


@pytest.mark.network
@pytest.mark.parametrize("change", ["added", "missing"])
def test_a09_baseline_file_added_or_missing(tiny: Cli, change: str) -> None:
    folder = tiny.folder / "baseline/linux-amd64"
    if change == "added":
        (folder / "outputs/out/more.json").write_text("{}")
    else:
        (folder / "locks/apt.lock").unlink()
    faulted(tiny, "verify", code=3, says=["baseline/linux-amd64", "seal"])
