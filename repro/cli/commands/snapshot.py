"""`repro snapshot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from repro.cli.options import common, engine
from repro.cli.session import Session
from repro.errors import UsageError

if TYPE_CHECKING:
    from repro.workflows.installed import RecordOptions

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
    help="Take the pins over from another tool's lock as they are: uv.lock, pylock.toml, "
    "pixi.lock, conda-lock.yml or a hashed requirements.txt.",
)
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="Lock what is installed there, as it is: venv:DIR, conda:PREFIX, container:NAME, "
    "image:REF or host.",
)
@click.option(
    "--vendor-missing",
    is_flag=True,
    help="With --from: keep what no index has as wheels made of what is installed.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="With --from: leave a package out; * stands for anything. May be repeated.",
)
@engine
@common
@click.pass_obj
def command(
    session: Session,
    /,
    upgrade: tuple[str, ...],
    names: tuple[str, ...],
    dry_run: bool,
    as_of: str | None,
    adopt_edits: bool,
    adopt: Path | None,
    **wishes: Any,
) -> None:
    """Lock the project's pip, conda and apt packages by content.

    Writes lockfiles/linux-amd64/ (apt.lock, requirements.txt, repro.lock), a folder for every
    other platform that is asked for, and lockfiles/conda-lock.yml where there is an
    environment.yml. Pins that are there are kept unless --upgrade lets them move. With --adopt and
    --from nothing is chosen anew: another tool's lock, or what is installed there, is locked as it
    is, and inputs are written where there are none.
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
    day = "" if as_of == "now" else as_of and moment(as_of, "--as-of")
    if wishes["source"] is not None:
        if adopt_edits or adopt is not None:
            raise UsageError(
                "--from, --adopt and --adopt-edits: a lock comes from one of them",
                hint="choose one",
            )
        from repro.workflows.installed import RecordOptions
        from repro.workflows.sources import parse_source

        wishes["source"] = parse_source(wishes["source"])
        wanted = RecordOptions(as_of=day, upgrade=wish, dry_run=dry_run, **wishes)
        _record(session, wanted)
        return
    if wishes["vendor_missing"] or wishes["without"]:
        raise UsageError(
            "--vendor-missing and --without go with --from",
            hint="for example: repro snapshot --from venv:.venv --vendor-missing",
        )
    if adopt is not None and (upgrade or adopt_edits):
        raise UsageError(
            f"--adopt {adopt} takes every pin from there; --upgrade and --adopt-edits do not",
            hint="adopt it first, then let a pin move: repro snapshot --upgrade NAME",
        )
    project = session.project()
    options = SnapshotOptions(
        upgrade=wish,
        as_of=day,
        dry_run=dry_run,
        adopt_edits=adopt_edits,
        adoption=read_adoption(project, adopt) if adopt is not None else None,
    )
    result = snapshot(project, session.tools(), options)
    session.show(render(result), data(result))


def _record(session: Session, options: RecordOptions) -> None:
    """Lock what is installed somewhere, and show that."""
    from repro.report.record import data, render
    from repro.workflows.installed import snapshot_installed

    result = snapshot_installed(session.project(), session.tools(), options)
    whole = options.dry_run
    session.show(render(result, whole=whole), data(result, whole=whole))
