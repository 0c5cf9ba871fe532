"""`repro init`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from repro.cli.options import common, engine
from repro.cli.session import Session
from repro.errors import UsageError

if TYPE_CHECKING:
    from repro.models.measurement import Measurement


@click.command("init")
@click.option("-y", "--yes", is_flag=True, help="Take every step without asking.")
@engine
@common
@click.pass_obj
def command(session: Session, yes: bool) -> None:
    """Set up a project: configure, lock, build, run once, accept.

    Detects what the project uses, writes repro.toml with comments, locks the packages, builds
    the image, runs the analysis, shows its metrics, and asks whether they are the baseline. Each
    step can be declined.
    """
    from repro.report import console
    from repro.report.init import data, render
    from repro.report.run import metrics
    from repro.workflows.init import init

    def show(measured: Measurement) -> None:
        if not yes:  # else they are part of the result
            click.echo(console.render(metrics(measured)), err=True, nl=False)

    result = init(session.root(), session.tools(), _always if yes else _ask, show)
    session.show(render(result), data(result))


def _always(question: str) -> bool:
    return True


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"nobody to ask: {question}", hint="repro init --yes takes every step")
    return click.confirm(question, default=True, err=True)
