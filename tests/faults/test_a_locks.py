"""Rows A1-A9 of FAULTS.md, through the whole command, on a real lock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repro.locks import seal
from tests.support import Cli, assert_refused
from tests.watch import faulted, watching

LOCKS = Path("lockfiles/linux-amd64")
COMMANDS = (["status"], ["build"], ["run"], ["verify"], ["accept", "--reason", "x"])


def edit(cli: Cli, name: str, old: str, new: str, *, reseal: bool = False) -> None:
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
    edit(tiny, "apt.lock", r"^SHA256: (.)", lambda m: "SHA256: " + ("1" if m[1] == "0" else "0"))  # type: ignore[arg-type]
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


@pytest.mark.network
def test_a06_inputs_changed(tiny: Cli) -> None:
    (tiny.folder / "apt.txt").write_text("libgomp1\n")
    refused_everywhere(tiny, "stale", "apt.txt", "repro snapshot")


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
