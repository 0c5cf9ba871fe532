"""Nothing reads as reproduced that was not judged against what was accepted; end to end."""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repro.engines.base import Engine
from repro.errors import LockError
from repro.progress import Silent
from repro.project.load import load_project
from repro.workflows.assemble import assemble
from repro.workflows.image_record import enforce
from repro.workflows.lockfiles import fresh_lock
from repro.workflows.tools import Tools, make_tools
from repro.workflows.verify import verify
from tests.support import Cli, assert_refused, tree_digest
from tests.watch import faulted

LOCKS = Path("lockfiles/linux-amd64")
SANDBOX = ("--engine", "sandbox")

pytestmark = pytest.mark.network


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    changed = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert changed != text
    path.write_text(changed)


def runs(cli: Cli) -> list[Path]:
    return sorted((cli.folder / ".repro/runs").iterdir())


def test_nothing_declared_is_never_reproduced(tiny: Cli) -> None:
    replaced(tiny.folder / "repro.toml", r"^files = .*$", "files = []")
    before = len(runs(tiny))
    assert_refused(tiny("verify", *SANDBOX), 2, "nothing could be judged", "[metrics] files")
    assert len(runs(tiny)) == before


def test_a_metrics_file_that_the_baseline_lacks_is_said_before_running(tiny: Cli) -> None:
    replaced(tiny.folder / "repro.toml", r"^files = .*$", 'files = ["out/metrics.json", "x.json"]')
    before = len(runs(tiny))
    assert_refused(tiny("verify", *SANDBOX), 3, "baseline", "x.json", "repro accept")
    assert len(runs(tiny)) == before


def test_accept_runs_again_for_a_metrics_file_declared_since(tiny: Cli) -> None:
    with (tiny.folder / "analysis.py").open("a") as file:
        file.write("open('x.json', 'w').write('{\"x\": 1}')\n")
    assert tiny("run", *SANDBOX).code == 0
    replaced(tiny.folder / "repro.toml", r"^files = .*$", 'files = ["out/metrics.json", "x.json"]')
    answer = tiny("accept", "--reason", "one more", "--json", *SANDBOX)
    assert answer.code == 0, answer
    assert (tiny.folder / "baseline/linux-amd64/outputs/x.json").is_file()


def test_a_tampered_run_is_neither_accepted_nor_compared(tiny: Cli) -> None:
    assert tiny("run", *SANDBOX).code == 0
    metrics = runs(tiny)[-1] / "outputs/out/metrics.json"
    metrics.write_text('{"count": 40, "mean": 1}')
    before = tree_digest(tiny.folder)
    assert_refused(tiny("accept", "--reason", "x", *SANDBOX), 3, "metrics.json")
    assert_refused(tiny("diff", "baseline", "last"), 3, "metrics.json")
    assert tree_digest(tiny.folder) == before


def test_the_last_of_quick_runs_is_the_latest(tiny: Cli) -> None:
    found = [tiny("run", "--json", *SANDBOX).json()["run"]["id"] for _ in range(3)]
    assert [path.name for path in runs(tiny)][-3:] == found


def test_a_failed_run_has_no_results_to_compare(tiny: Cli) -> None:
    (tiny.folder / "analysis.py").write_text("raise SystemExit(3)\n")
    assert tiny("run", *SANDBOX).code == 4
    assert_refused(tiny("diff", "baseline", "last"), 2, "failed", "locks")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("^system-site-packages = false", "system-site-packages = true"),
        ('^python = "3.11"', 'python = "3.9"'),
        ('^suite = "bookworm"', 'suite = "trixie"'),
    ],
)
def test_a_seal_that_contradicts_its_inputs_is_edited(tiny: Cli, old: str, new: str) -> None:
    replaced(tiny.folder / LOCKS / "repro.lock", old, new)
    before = tree_digest(tiny.folder)
    for command in ("status", "build", "verify"):
        assert_refused(tiny(command), 3, "edited", "repro.lock")
    assert tree_digest(tiny.folder) == before


def test_a_layer_edited_in_the_image_record(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "image.toml"
    digest = re.findall(r'^digest = "sha256:(.*)"$', path.read_text(), re.MULTILINE)[0]
    replaced(path, digest, "0" * 64)
    assert_refused(tiny("verify", *SANDBOX), 3, "image.toml", "edited", "--record")


def test_an_image_record_of_another_lock(tiny: Cli) -> None:
    """The lock did not change, so a record of another one was edited or is from elsewhere."""
    path = tiny.folder / LOCKS / "image.toml"
    replaced(path, r'^environment-key = ".*"$', f'environment-key = "sha256:{"0" * 64}"')
    before = tree_digest(tiny.folder)
    for command in (["build"], ["verify", *SANDBOX]):
        assert_refused(tiny(*command), 3, "image.toml", "another lock", "0" * 64, "--record")
    assert tree_digest(tiny.folder) == before
    assert tiny("build", "--record").code == 0
    assert "0" * 64 not in path.read_text()


def tools_of(cli: Cli) -> Tools:
    return make_tools(progress=Silent(), engine_name="sandbox", cache_root=cli.cache)


def test_no_image_of_a_lock_that_was_replaced_meanwhile_is_recorded(tiny: Cli) -> None:
    """A build takes minutes; its record beside a newer lock would be another lock's."""
    project, tools = load_project(tiny.folder).project, tools_of(tiny)
    lock = fresh_lock(project)
    image, _ = assemble(project, lock, tools)
    older, path = replace(lock, key=f"sha256:{'0' * 64}"), tiny.folder / LOCKS / "image.toml"
    for there in (True, False):
        if not there:
            path.unlink()
        before = tree_digest(tiny.folder)
        with pytest.raises(LockError, match="the locks changed while their image was made"):
            enforce(project, older, image, tools, record=False)
        assert tree_digest(tiny.folder) == before


def test_data_that_changes_before_it_is_read_is_not_judged(tiny: Cli) -> None:
    """Between the first look at the data and the run lie a build and the wait for others."""
    project, tools = load_project(tiny.folder).project, tools_of(tiny)

    def late() -> Engine:
        (tiny.folder / "data" / "numbers.csv").write_text("value\n1\n2\n")
        return tools.engine()

    with pytest.raises(LockError, match=r"the data is not that of the baseline: .*numbers\.csv"):
        verify(project, replace(tools, engine=late))


def test_an_image_record_that_was_removed_is_said(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "image.toml"
    before = path.read_bytes()
    path.unlink()
    answer = tiny("verify", *SANDBOX)
    assert answer.code == 0, answer
    assert "there was no image.toml for this lock; recorded the image sha256:" in answer.err
    assert path.read_bytes() == before


def test_a_new_lock_drops_the_record_of_the_old_one(tiny: Cli) -> None:
    path = tiny.folder / LOCKS / "image.toml"
    before = path.read_bytes()
    assert tiny("snapshot").code == 0
    assert path.read_bytes() == before
    replaced(tiny.folder / "repro.toml", '^python = "3.11"$', 'python = "3.11"\napt = ["tree"]')
    answer = tiny("snapshot", "--dry-run")
    assert path.read_bytes() == before
    answer = tiny("snapshot")
    assert answer.code == 0, answer
    assert "image.toml was not of this lock, and is removed" in answer.out
    assert not path.exists()


def test_the_baselines_environment_must_be_that_of_its_locks(tiny: Cli) -> None:
    path = tiny.folder / "baseline/linux-amd64/seal.toml"
    replaced(path, r'^environment-key = ".*"$', f'environment-key = "sha256:{"0" * 64}"')
    assert_refused(tiny("verify", *SANDBOX), 3, "baseline", "environment")


def test_a_baseline_file_that_became_a_link(tiny: Cli) -> None:
    path = tiny.folder / "baseline/linux-amd64/outputs/out/metrics.json"
    (tiny.folder / "same").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tiny.folder / "same")
    assert_refused(tiny("verify", *SANDBOX), 3, "metrics.json", "link")


def test_a_metrics_file_that_is_a_folder(tiny: Cli) -> None:
    (tiny.folder / "analysis.py").write_text(
        "import os; os.mkdir('out/metrics.json'); open('out/metrics.json/x', 'w').write('1')\n"
    )
    assert_refused(tiny("run", *SANDBOX), 4, "out/metrics.json", "plain file")
    assert not (tiny.folder / "out").exists(), "a run that cannot be measured is not published"


def test_a_torn_seal_leaves_a_way_out(tiny: Cli) -> None:
    replaced(tiny.folder / LOCKS / "repro.lock", r"\A", "<<<<<<< HEAD\n")
    assert_refused(tiny("snapshot"), 3, "repro.lock", "line 1", "remove")


def test_a_snapshot_offline_is_refused_at_once(tiny: Cli) -> None:
    before = tree_digest(tiny.folder)
    assert_refused(tiny("snapshot", "--offline"), 2, "--offline")
    assert tree_digest(tiny.folder) == before


def test_a_rule_that_matches_nothing_is_said(tiny: Cli) -> None:
    """A misspelt pattern leaves its metric the default: green, but not in silence."""
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text() + '"maen" = { rel = 1e-15 }\n"m*n" = { rel = 1e-9 }\n')
    answer = tiny("verify", "--json", *SANDBOX)
    assert answer.code == 0, answer
    assert answer.json()["notes"] == ["[metrics] 'maen' matches no metric: is it misspelt?"]
    config.write_text(config.read_text() + '"maen*" = { ignore = "x" }\n')
    shown = tiny("verify", *SANDBOX).out
    assert "note  [metrics] 'maen*' matches no metric" in shown


def test_when_every_metric_is_ignored_nothing_is_judged(tiny: Cli) -> None:
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text() + '"*" = { ignore = "all of them" }\n')
    before = len(runs(tiny))
    faulted(tiny, "verify", *SANDBOX, code=2, says=["nothing could be judged", "[metrics]"])
    assert len(runs(tiny)) == before


def test_the_baseline_of_another_platform_is_none_of_this(tiny: Cli) -> None:
    path = tiny.folder / "baseline/linux-amd64/seal.toml"
    replaced(path, '^platform = "linux-amd64"', 'platform = "linux-arm64"')
    says = ["baseline/linux-amd64/seal.toml", "linux-arm64"]
    for command in (["verify", *SANDBOX], ["status"]):
        faulted(tiny, *command, code=3, says=says)


@pytest.mark.parametrize("data", ["baseline", "baseline/linux-amd64/outputs", ".repro/runs"])
def test_no_run_may_see_the_results_that_it_is_compared_with(tiny: Cli, data: str) -> None:
    replaced(tiny.folder / "repro.toml", r"^data = .*$", f'data = ["{data}"]')
    faulted(tiny, "verify", *SANDBOX, code=2, says=["analysis.data[0]", data])


def test_data_that_changes_while_the_analysis_runs(tiny: Cli) -> None:
    """The data was digested before: what the run saw is not what the baseline was made of."""
    data = tiny.folder / "data/numbers.csv"
    analysis = tiny.folder / "analysis.py"
    slow = "print('it runs', flush=True)\nimport time; time.sleep(3)\n"
    analysis.write_text(analysis.read_text() + slow)
    text = data.read_text()

    def touch() -> None:
        logs = ".repro/tmp/*/run/log.txt"
        deadline = time.monotonic() + 60
        while not any("it runs" in log.read_text() for log in tiny.folder.glob(logs)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        data.write_text(text.replace("0.14", "0.15", 1))
        os.utime(data, ns=(kept.st_atime_ns, kept.st_mtime_ns))

    kept = data.stat()
    writer = threading.Thread(target=touch)
    writer.start()
    try:
        says = ["data/numbers.csv", "changed while the analysis ran"]
        faulted(tiny, "verify", *SANDBOX, code=3, says=says, changes=["data"])
    finally:
        writer.join()


def test_parameters_in_pyproject_are_code(tiny: Cli) -> None:
    """A run with other parameters is not promoted to the baseline of this tree."""
    text = (tiny.folder / "repro.toml").read_text()
    for table in ("environment", "analysis", "metrics"):
        text = text.replace(f"[{table}]", f"[tool.repro.{table}]")
    (tiny.folder / "repro.toml").unlink()
    config = tiny.folder / "pyproject.toml"
    config.write_text(f"[tool.mine]\nalpha = 1\n{text}")
    assert tiny("run", *SANDBOX).code == 0
    config.write_text(config.read_text().replace("alpha = 1", "alpha = 2"))
    answer = tiny("accept", "--reason", "other parameters", *SANDBOX)
    assert answer.code == 0, answer
    assert "a new run" in answer.out
    config.write_text(config.read_text() + "default = { rel = 1e-6 }\n")
    answer = tiny("accept", "--reason", "a tolerance is no code", *SANDBOX)
    assert answer.code == 0, answer
    assert "a new run" not in answer.out


def test_a_whole_project_by_the_name_of_a_dot(tiny: Cli) -> None:
    assert tiny("diff", "lock", ".").code == 0
