"""The `repro` command itself: a table of sub-commands that are imported only when called."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import click

import repro
from repro.cli.options import common, engine
from repro.cli.session import Session

COMMANDS = {
    "init": "Set up a project: configure, lock, build, run once, accept.",
    "snapshot": "Lock the project's pip, conda and apt packages by content.",
    "status": "Say what is locked, built, accepted, and what to do next.",
    "build": "Build the pinned image from the lock, bit for bit.",
    "run": "Run the analysis, or any command, in the pinned image.",
    "shell": "Open a shell in the pinned image.",
    "verify": "Rerun the analysis and judge its numbers against the baseline.",
    "accept": "Make the results of the last run the baseline.",
    "diff": "Compare two locks, two runs or two baselines; run nothing.",
    "vendor": "Keep all artifacts of the locks in a folder, for builds without a network.",
    "export": "Write the lock in another tool's format.",
    "demo": "Show a real drift: pandas 0.20.3 against 0.21.0.",
}
"""Name and short help of each command, so that `repro --help` imports none of them."""

EPILOG = (
    "Exit codes: 0 reproduced or done, 2 usage, 3 lock or integrity, 4 the analysis failed, "
    "5 engine, 6 network, 7 local files, 8 nondeterministic, 10 drift, 70 a bug in repro, "
    "130 interrupted, 143 terminated."
)


class NoSuchCommand(click.UsageError):
    """A word that is no command, with the commands that look like it."""

    def __init__(self, word: str, ctx: click.Context) -> None:
        from difflib import get_close_matches

        near = get_close_matches(word, COMMANDS, n=2)
        meant = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
        super().__init__(f"No such command {word!r}.{meant}", ctx)


class LazyGroup(click.Group):
    """A group whose commands are `repro.cli.commands.<name>.command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of COMMANDS, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f"repro.cli.commands.{cmd_name}").command
        assert isinstance(found, click.Command)
        found.short_help = COMMANDS[cmd_name]
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click; also remembers the command's name for messages and JSON."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise NoSuchCommand(args[0], ctx)
        name, found, rest = super().resolve_command(ctx, args)
        if found is not None and name is not None:
            ctx.obj = replace(ctx.ensure_object(Session), command=name)
        return name, found, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(repro.__version__, prog_name="repro")
@engine
@common
def cli() -> None:
    """Say whether an analysis gives the same numbers next year, on another machine.

    Locks pip, conda and apt packages by content, rebuilds the image bit for bit, reruns the
    analysis with the network off, and judges its metrics against a baseline.
    """
