"""J78: `!!python/object` and its kin in YAML: exit 2, and nothing is ever constructed."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
import yaml

from repro.errors import AnalysisError, UsageError
from repro.measure.metrics import read_metrics
from repro.project.load import load_project
from tests.support import Cli
from tests.watch import faulted


def payloads(probe: Path) -> dict[str, str]:
    """YAML values that would touch the probe when they are constructed."""
    touch = f"touch {probe}"
    return {
        "apply": f'!!python/object/apply:os.system ["{touch}"]',
        "new": f'!!python/object/new:os.system ["{touch}"]',
        "nested": f'[[{{k: !!python/object/apply:os.system ["{touch}"]}}]]',
        "subprocess": f"!!python/object/apply:subprocess.check_output [[touch, {probe}]]",
        "object": "!!python/object:collections.OrderedDict {}",
        "module": "!!python/module:antigravity ''",
        "name": "!!python/name:os.system ''",
        "verbatim": f'!<tag:yaml.org,2002:python/object/apply:os.system> ["{touch}"]',
        "binary": "!!binary " + pickle.dumps(0).hex(),
        "local": "!thing {}",
        "as a key": f'{{? !!python/object/apply:os.system ["{touch}"] : x}}',
        "in an anchor": f'&a !!python/object/apply:os.system ["{touch}"]',
    }


NAMES = payloads(Path("x"))


@pytest.mark.parametrize("file", ["dvc.yaml", "environment.yml", "binder/environment.yml"])
@pytest.mark.parametrize("name", NAMES)
def test_project_files(tmp_path: Path, name: str, file: str) -> None:
    probe = tmp_path / "probe"
    if file == "dvc.yaml":
        (tmp_path / "repro.toml").write_text('[analysis]\ncommand = ["x"]\n')
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"name: x\nvalue: {payloads(probe)[name]}\n")
    before = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"{file}: line 2: ")
    assert caught.value.hint
    assert not probe.exists()
    assert "antigravity" not in set(sys.modules) - before


@pytest.mark.parametrize("name", NAMES)
def test_metrics(tmp_path: Path, name: str) -> None:
    """What an analysis writes is no more trusted: exit 4."""
    probe = tmp_path / "probe"
    with pytest.raises(AnalysisError, match=r"^m\.yaml, line 2") as caught:
        read_metrics(f"a: 1\nvalue: {payloads(probe)[name]}\n".encode(), file="m.yaml")
    assert caught.value.exit_code == 4
    assert not probe.exists()


def test_the_payloads_are_real(tmp_path: Path) -> None:
    """An unsafe loader does what they say: else the tests above would show nothing."""
    probe = tmp_path / "probe"
    for name in ("apply", "new", "nested", "subprocess", "verbatim", "in an anchor"):
        yaml.load(payloads(probe)[name], Loader=yaml.UnsafeLoader)
        assert probe.exists(), name
        probe.unlink()


@pytest.mark.network
def test_the_command_says_it(tiny: Cli) -> None:
    probe = tiny.folder.parent / "probe"
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().split("[metrics]")[0])  # then dvc.yaml names them
    (tiny.folder / "dvc.yaml").write_text(f"metrics:\n- {payloads(probe)['apply']}\n")
    faulted(tiny, "verify", code=2, says=["dvc.yaml: line 2", "python/object/apply"])
    assert not probe.exists()
