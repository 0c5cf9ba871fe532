"""What holds for all tests: no skips in CI (REPRO_CI=1), and how hard Hypothesis looks.

HYPOTHESIS_PROFILE chooses a profile: `repro` (the default on a desk: other examples in every
run, so that someone finds what CI does not), `ci` (the default in CI: one commit, one answer;
a failure prints the blob that repeats it anywhere), `thorough` (twenty times as many examples:
before a release, and after a change to a reader: `HYPOTHESIS_PROFILE=thorough pytest tests/unit
-k properties`). What was found once stays in `tests/unit/data/corpus`, and is tried by all.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes examples slow, not wrong.
COMMON = settings(
    deadline=None,
    derandomize=False,  # Hypothesis itself switches it on where it sees a CI
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("repro", COMMON)
settings.register_profile("ci", COMMON, derandomize=True, database=None)
settings.register_profile("thorough", COMMON, max_examples=2000)
settings.register_profile("middle", COMMON, max_examples=600)
IN_CI = os.environ.get("REPRO_CI") == "1"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "repro"))


class NoSkips:
    """Collects what was skipped, and fails the session for it."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._keep(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._keep(report)

    def _keep(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        why = report.longrepr
        reason = why[2] if isinstance(why, tuple) else str(why)
        self.skipped.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which fails in CI (REPRO_CI=1)", red=True)
            for line in self.skipped:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    # Workers of pytest-xdist pass their reports on; only the session that started them judges.
    if IN_CI and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoSkips(), "repro-no-skips")
