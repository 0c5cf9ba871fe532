"""J79: non-UTF-8, a byte order mark, UTF-16: exit 2, with the byte offset."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import pytest

from repro.errors import AnalysisError, UsageError
from repro.measure.metrics import read_metrics
from repro.project.load import load_project
from tests.support import Cli
from tests.watch import faulted

FILES = {
    "repro.toml": "# caf\u00e9\n",
    "pyproject.toml": "# caf\u00e9 repro\n",
    "requirements.in": "six\n# caf\u00e9\n",
    "requirements.txt": "six\n# caf\u00e9\n",
    "apt.txt": "jq\n# caf\u00e9\n",
    ".python-version": "3.11\n# caf\u00e9\n",
    "runtime.txt": "python-3.11\n# caf\u00e9\n",
    "environment.yml": "# caf\u00e9\nname: x\nchannels: [a]\ndependencies:\n  - numpy\n",
    "dvc.yaml": "# caf\u00e9\nstages: {}\n",
}


def encoded(text: str) -> dict[str, tuple[bytes, int]]:
    """The faults: their bytes, and the offset that must be named."""
    at = len(text[: text.index("\u00e9")].encode())
    return {
        "latin-1": (text.encode("latin-1"), at),
        "bom": (codecs.BOM_UTF8 + text.encode(), 0),
        "utf-16": (text.encode("utf-16"), 0),
        "utf-16-be": (codecs.BOM_UTF16_BE + text.encode("utf-16-be"), 0),
        "utf-32": (text.encode("utf-32"), 0),
        "surrogate": (text.replace("\u00e9", "\ud800").encode("utf-8", "surrogatepass"), at),
        "overlong": (text.encode().replace("\u00e9".encode(), b"\xc0\xaf"), at),
        "nul": (text.encode().replace("\u00e9".encode(), b"\0"), at),
        "nul behind": (text.encode() + b"\0", len(text.encode())),
        "cut": (text.encode()[: at + 1], at),
    }


@pytest.mark.parametrize("fault", encoded("\u00e9"))
@pytest.mark.parametrize("name", FILES)
def test_the_byte_offset_is_named(tmp_path: Path, name: str, fault: str) -> None:
    if name == "dvc.yaml":
        (tmp_path / "repro.toml").write_text('[analysis]\ncommand = ["x"]\n')
    data, offset = encoded(FILES[name])[fault]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"{name}: ")
    assert caught.value.message.endswith(f"at byte {offset}")
    assert "UTF-8" in str(caught.value.hint)


@pytest.mark.parametrize("name", FILES)
def test_utf_16_without_a_mark_is_found_by_its_nuls(tmp_path: Path, name: str) -> None:
    if name == "dvc.yaml":
        (tmp_path / "repro.toml").write_text('[analysis]\ncommand = ["x"]\n')
    (tmp_path / name).write_bytes(b"a\0b\0c\0 repro")
    with pytest.raises(UsageError, match="at byte 1") as caught:
        load_project(tmp_path)
    assert caught.value.message.startswith(f"{name}: ")


@pytest.mark.parametrize("name", FILES)
def test_plain_utf_8_with_any_line_ends_is_read(tmp_path: Path, name: str) -> None:
    if name == "environment.yml":
        (tmp_path / "requirements.in").write_text("six\n")
    (tmp_path / name).write_bytes(FILES[name].replace("\n", "\r\n").encode())
    load_project(tmp_path)


@pytest.mark.parametrize("fault", encoded("\u00e9"))
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.txt", "six\n# caf\u00e9\n"),
        ("limits.txt", "six<2\n# caf\u00e9\n"),
        ("system.txt", "jq\n# caf\u00e9\n"),
        ("binder/apt.txt", "jq\n# caf\u00e9\n"),
    ],
)
def test_files_that_others_name(tmp_path: Path, name: str, text: str, fault: str) -> None:
    """Also what is included, what constrains, and what the configuration points to."""
    (tmp_path / "requirements.in").write_text("-r more.txt\n-c limits.txt\n")
    (tmp_path / "more.txt").write_text("six\n")
    (tmp_path / "limits.txt").write_text("six<2\n")
    if name == "system.txt":
        (tmp_path / "repro.toml").write_text('[environment]\napt = "system.txt"\n')
    if name.startswith("binder/"):
        (tmp_path / "binder").mkdir()
        (tmp_path / "binder/requirements.txt").write_text("six\n")
    data, offset = encoded(text)[fault]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert caught.value.message.startswith(f"{name}: ")
    assert caught.value.message.endswith(f"at byte {offset}")


METRICS = {
    "m.json": '{"a": 1, "b": "caf\u00e9"}',
    "m.yaml": "a: 1\n# caf\u00e9\n",
    "m.toml": "a = 1\n# caf\u00e9\n",
    "m.csv": "name,value\ncaf\u00e9,1\n",
}


@pytest.mark.parametrize("fault", encoded("\u00e9"))
@pytest.mark.parametrize("name", METRICS)
def test_metrics_files_are_refused_with_the_place(name: str, fault: str) -> None:
    """What the analysis wrote is its failure (G55): exit 4."""
    data, _ = encoded(METRICS[name])[fault]
    with pytest.raises(AnalysisError) as caught:
        read_metrics(data, file=name)
    assert re.match(rf"{name}, (byte|line) \d+", caught.value.message), caught.value.message


@pytest.mark.network
def test_the_command_says_it(tiny: Cli) -> None:
    config = tiny.folder / "repro.toml"
    config.write_bytes(config.read_text().encode("utf-16"))
    faulted(tiny, "verify", code=2, says=["repro.toml", "at byte 0", "UTF-8"])
