"""`repro snapshot`."""

from __future__ import annotations

from pathlib import Path

import click

from repro.cli.options import common, engine
from repro.cli.session import Session
from repro.errors import UsageError

ALL = "*"


@click.command("snapshot")
@click.option(
    "--upgrade",
    multiple=True,
    is_flag=False,
    flag_value=ALL,
    metavar="[NAME...]",
    help="Let every pin move, or those of the packages named. Other pins are kept.",
)
@click.argument("names", nargs=-1, metavar="")
@click.option("--dry-run", is_flag=True, help="Say what would change; write nothing.")
@click.option(
    "--as-of",
    metavar="DATE",
    help="Lock every index as it was on that day (2025-06-01), or now.",
)
@click.option(
    "--adopt-edits",
    is_flag=True,
    help="Check a lock that was edited (for example by a bot) by resolving, and seal it.",
)
@click.option(
    "--adopt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take pip's pins over from another tool's lock as they are: uv.lock, pylock.toml or a "
    "hashed requirements.txt.",
)
@engine
@common
@click.pass_obj
def command(
    session: Session,
    upgrade: tuple[str, ...],
    names: tuple[str, ...],
    dry_run: bool,
    as_of: str | None,
    adopt_edits: bool,
    adopt: Path | None,
) -> None:
    """Lock the project's pip and apt packages by content.

    Writes lockfiles/linux-amd64/ (apt.lock, requirements.txt, repro.lock). Pins that are there
    are kept unless --upgrade lets them move.
    """
    from repro.models.lock import Upgrade
    from repro.project.moment import moment
    from repro.report.snapshot import data, render
    from repro.workflows.adoption import read_adoption
    from repro.workflows.snapshot import SnapshotOptions, snapshot

    if names and not upgrade:
        raise UsageError(
            f"snapshot takes no names: {' '.join(names)}",
            hint=f"to let their pins move: repro snapshot --upgrade {' '.join(names)}",
        )
    chosen = tuple(name for name in (*upgrade, *names) if name != ALL)
    wish = Upgrade(everything=ALL in upgrade, names=chosen)
    if adopt is not None and (upgrade or adopt_edits):
        raise UsageError(
            f"--adopt {adopt} takes every pin from there; --upgrade and --adopt-edits do not",
            hint="adopt it first, then let a pin move: repro snapshot --upgrade NAME",
        )
    project = session.project()
    options = SnapshotOptions(
        upgrade=wish,
        as_of="" if as_of == "now" else as_of and moment(as_of, "--as-of"),
        dry_run=dry_run,
        adopt_edits=adopt_edits,
        adoption=read_adoption(project, adopt) if adopt is not None else None,
    )
    result = snapshot(project, session.tools(), options)
    session.show(render(result), data(result))
