"""`repro accept`."""

from __future__ import annotations

import click

from repro.cli.options import common, engine
from repro.cli.session import Session


@click.command("accept")
@click.option("--reason", required=True, help="Why these numbers are right; kept with them.")
@engine
@common
@click.pass_obj
def command(session: Session, reason: str) -> None:
    """Make the results of the last run the baseline.

    The last run counts if environment, code and data are still the same; else the analysis is
    run first. A failed run is never accepted.
    """
    from repro.report.accept import data, render
    from repro.workflows.accept import accept

    result = accept(session.project(), session.tools(), reason)
    session.show(render(result), data(result))
