"""In CI (REPRO_CI=1) a skipped test is a failure: everything that tests need is there."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes examples slow, not wrong.
settings.register_profile(
    "repro", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("repro")


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
    if os.environ.get("REPRO_CI") == "1" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoSkips(), "repro-no-skips")
