"""`repro vendor`."""

from __future__ import annotations

from pathlib import Path

import click

from repro.cli.options import common, engine
from repro.cli.session import Session


@click.command("vendor")
@click.argument("target", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Remove artifacts there that no lock needs any more.")
@engine
@common
@click.pass_obj
def command(session: Session, target: Path | None, prune: bool) -> None:
    """Keep all artifacts of the locks in a folder, for builds without a network.

    Writes every package that the project's locks and its baseline's need, and what source
    distributions are built with, to DIR; default: what `vendor` in repro.toml names, else
    vendor/. Only what is missing there is fetched. Then `repro build --offline` gives the same
    image on a machine that has no network at all.
    """
    from repro.report.vendor import data, render
    from repro.workflows.vendor import VendorOptions, vendor

    options = VendorOptions(folder=target, prune=prune)
    result = vendor(session.project(), session.tools(), options)
    session.show(render(result), data(result))
