"""`repro diff`."""

from __future__ import annotations

import click

from repro.cli.options import common
from repro.cli.session import Session

DRIFT = 10


@click.command("diff")
@click.argument("old", default="baseline")
@click.argument("new", default="last")
@common
@click.pass_context
def command(context: click.Context, old: str, new: str) -> None:
    """Compare two locks, two runs or two baselines; run nothing.

    OLD and NEW are each a run's ID, `last`, `baseline`, `lock`, or a folder of locks, of a
    baseline, of a run or of a whole project. Default: baseline against last. Exits 10 when they
    differ.
    """
    from repro.report.diff import data, render
    from repro.workflows.diff import diff

    session = context.find_object(Session) or Session()
    result = diff(session.project(), old, new)
    session.show(render(result), data(result))
    context.exit(DRIFT if result.differs else 0)
