"""What `--json` writes is what docs/reference/schemas/ says, for every command."""

from __future__ import annotations

import json

import pytest

from repro.cli.group import COMMANDS
from repro.models.lock import LockDiff
from repro.models.outcome import DemoResult
from repro.models.verdict import Comparison, Verdict, Verification
from repro.report import console, demo
from tests import schemas
from tests.support import Answer, Cli

SANDBOX = ("--engine", "sandbox")
NONE = {"shell"}
"""Commands that have no JSON: a person's terminal."""

pytestmark = pytest.mark.network


def refused(answer: Answer, code: int) -> None:
    error = answer.json()["error"]
    assert (answer.code, error["exit_code"]) == (code, code), answer


def test_every_command_has_its_schema() -> None:
    assert schemas.names() == COMMANDS.keys() - NONE | {"common", "error"}


def test_a_key_that_no_schema_explains_is_found() -> None:
    failure = {"schema": 1, "command": "", "error": {"message": "", "hint": None, "exit_code": 2}}
    schemas.assert_valid(failure)
    for wrong in ({"new": 1}, {"schema": 2}, {"error": {"message": "", "exit_code": 2}}):
        with pytest.raises(AssertionError, match=r"error\.json"):
            schemas.assert_valid({**failure, **wrong})


def test_what_the_commands_write(tiny: Cli) -> None:
    """One whole round; `Answer.json` holds each against its schema."""
    assert tiny("status", "--json").json()["lock"] == {"stale": [], "edited": []}
    assert tiny("snapshot", "--dry-run", "--json").json()["changes"] == []
    assert tiny("build", "--json", *SANDBOX).json()["layers_built"] == 0
    assert tiny("verify", "--json", *SANDBOX).json()["verdict"] == "reproduced"
    assert tiny("run", "--json", *SANDBOX).json()["measurement"]["metrics"]["count"] == 40
    assert tiny("run", "--json", *SANDBOX, "--", "true").json()["measurement"] is None
    assert tiny("diff", "--json").json()["differs"] is False
    assert tiny("vendor", "--json").json()["obsolete"] == []
    assert tiny("accept", "--json", "--reason", "again", *SANDBOX).json()["reran"] is False
    assert tiny("export", "sbom", "--json").json()["files"] == ["sbom.cdx.json"]
    assert tiny("init", "--json", "--yes", *SANDBOX).json()["config_written"] is None


def test_a_drift_with_everything_in_it(tiny: Cli) -> None:
    analysis = tiny.folder / "analysis.py"
    text = analysis.read_text()
    with (tiny.folder / "repro.toml").open("a") as file:
        file.write('"seconds" = { ignore = "timing" }\n[[tables]]\nfile = "out/t.csv"\n')
    table = "open('out/t.csv', 'w').write('a,b\\n1,2\\n')\n"
    analysis.write_text(text.replace('"count":', '"seconds": 1.5, "count":') + table)
    assert tiny("accept", "--reason", "more to compare", *SANDBOX).code == 0
    changed = text.replace("len(values)", "float('nan')").replace('"mean"', '"average"')
    analysis.write_text(changed + table.replace("1,2", "1,x\\n3,4"))
    answer = tiny("verify", "--json", *SANDBOX)
    found = answer.json()
    assert (answer.code, found["verdict"]) == (10, "drifted")
    assert found["code_changed"] == ["analysis.py"]
    assert {m["change"] for m in found["comparison"]["metrics"]} >= {"added", "missing", "drifted"}
    assert tiny("diff", "--json").json()["differs"] is True


def test_failures_have_a_schema_of_their_own(tiny: Cli) -> None:
    refused(tiny("verify", "--json", "--engine", "no-such"), 2)
    (tiny.folder / "requirements.in").write_text("six\n")
    assert tiny("status", "--json").json()["exit_code"] == 3
    refused(tiny("verify", "--json"), 3)


def test_the_demo_is_a_verification_in_a_folder() -> None:
    """The demo takes minutes; what it writes is made of parts that are tested above."""
    verification = Verification(
        verdict=Verdict.REPRODUCED,
        comparison=Comparison(metrics=()),
        environment=LockDiff(changes=()),
        engine="sandbox",
        run_id="20261121T145209605643-bac2f9",
    )
    data = demo.data(DemoResult(folder="demo", verification=verification))
    schemas.assert_valid(json.loads(console.envelope("demo", data)))
