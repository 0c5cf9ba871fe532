"""J76: `../`, an absolute path, or a link to outside, for data, outputs and results: exit 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.project.load import load_project

KEYS = {
    "analysis.data[0]": '[analysis]\ncommand = ["x"]\ndata = ["{}"]\n',
    "analysis.outputs[0]": '[analysis]\ncommand = ["x"]\noutputs = ["{}"]\n',
    "metrics.files[0]": '[metrics]\nfiles = ["{}"]\n',
    "tables[0].file": '[[tables]]\nfile = "{}"\n',
    "environment.pip[0]": '[environment]\npip = ["{}"]\n',
    "environment.apt": '[environment]\napt = "{}"\n',
    "vendor": 'vendor = "{}"\n',
}
PATHS = (
    "../outside", "/etc/passwd", "a/../../outside", "link.csv", "link.csv/below.csv", "a//b",
    "a/./b", "..", "",
    "/", "./", "a\\u0000b", "a\\nb",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", KEYS)
def test_the_key_is_named(tmp_path: Path, key: str, path: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "link.csv").symlink_to(tmp_path / "outside")
    (root / "repro.toml").write_text(KEYS[key].format(path))
    with pytest.raises(UsageError) as caught:
        load_project(root)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"repro.toml: {key}")
    assert caught.value.message.isprintable()
    if path.startswith("link"):
        assert str(tmp_path / "outside") in caught.value.message


def test_keys_in_pyproject_are_named_with_their_table(tmp_path: Path) -> None:
    text = '[tool.repro.analysis]\ncommand = ["x"]\noutputs = ["out/", "../x"]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert caught.value.message.startswith("pyproject.toml: tool.repro.analysis.outputs[1]: '../x'")


def test_a_link_that_appears_later_is_found_at_the_next_reading(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "repro.toml").write_text(KEYS["analysis.outputs[0]"].format("out/"))
    load_project(root)
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(UsageError, match=r"analysis\.outputs\[0\]"):
        load_project(root)
