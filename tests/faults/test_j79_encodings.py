"""J79: non-UTF-8, a byte order mark, UTF-16: exit 2, with the byte offset."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.project.load import load_project

FILES = {
    "repro.toml": "# caf\u00e9\n",
    "pyproject.toml": "# caf\u00e9 repro\n",
    "requirements.in": "six\n# caf\u00e9\n",
    "requirements.txt": "six\n# caf\u00e9\n",
    "apt.txt": "jq\n# caf\u00e9\n",
    ".python-version": "3.11\n# caf\u00e9\n",
    "runtime.txt": "python-3.11\n# caf\u00e9\n",
    "environment.yml": "# caf\u00e9\nname: x\n",
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
