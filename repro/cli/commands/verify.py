"""`repro verify`."""

from __future__ import annotations

import click

from repro.cli.options import common, engine
from repro.cli.session import Session


@click.command("verify")
@engine
@common
@click.pass_context
def command(context: click.Context) -> None:
    """Rerun the analysis and judge its numbers against the baseline.

    Builds the image if needed, runs with the network off, compares metrics and tables under
    their tolerances, and lists what drifted, worst first. Exits 0 when everything reproduced,
    10 on drift.
    """
    from repro.report.verification import data, render
    from repro.workflows.verify import verify

    session = context.find_object(Session) or Session()
    result = verify(session.project(), session.tools())
    session.show(render(result), data(result))
    context.exit(result.verdict.exit_code)
