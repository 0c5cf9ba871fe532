"""The directive `commands`: every command of a click group with its arguments and options.

sphinx-click repeats the options that all commands share below each of them, and stumbles over an
argument without a name of its own in the usage line (`snapshot --upgrade [NAME...]`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import cleandoc

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_VERBATIM = re.compile(r"\x08\n((?:.+\n?)+)")
"""What click is told not to wrap: from a backspace to the next empty line."""

SHARED = "They may stand before or after the command's name.\n"
ABOUT = "`repro --version` shows the version and exits.\n"


def options(command: click.Command) -> list[click.Option]:
    """Those that help shows, without --help itself and --version."""
    found = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return [option for option in found if "--version" not in option.opts]


def declared(option: click.Option) -> str:
    """`-C, --project DIR`, `--engine [auto|docker|sandbox]`."""
    names = ", ".join(sorted(option.opts, key=len))
    if option.is_flag or option.count:
        return names
    if option.metavar:
        return f"{names} {option.metavar}"
    if isinstance(option.type, click.Choice):
        return f"{names} [{'|'.join(option.type.choices)}]"
    return f"{names} {option.type.name.upper()}"


def described(option: click.Option) -> str:
    """The help text of an option; whether it must be given."""
    return f"{option.help or ''}{' (required)' if option.required else ''}"


def listing(program: str, found: Iterable[click.Option]) -> Iterator[str]:
    """Option objects in MyST, so that pages can refer to them and the search finds them."""
    yield f"```{{program}} {program}\n```\n"
    for option in found:
        yield f"```{{option}} {declared(option)}\n{described(option)}\n```\n"


class Commands(SphinxDirective):
    """`{commands} package.module:group`: the shared options, then each command in its order."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make a section a command."""
        module, _, name = self.arguments[0].partition(":")
        group = getattr(import_module(module), name)
        root = click.Context(group, info_name=group.name.replace("cli", "repro"))
        shared = {option.name: option for option in options(group)}
        program = str(root.info_name)
        text = [SHARED, *listing(program, shared.values()), ABOUT]
        made: list[nodes.Node] = [self.section("Shared options", "shared-options", text)]
        for word in group.list_commands(root):
            command = group.get_command(root, word)
            context = click.Context(command, info_name=word, parent=root)
            made.append(
                self.section(f"{program} {word}", f"{program}-{word}", body(context, set(shared)))
            )
        return made

    def section(self, title: str, anchor: str, text: Iterable[str]) -> nodes.section:
        """A section with a fixed anchor."""
        made = nodes.section("", nodes.title(text=title), ids=[anchor], names=[anchor])
        made += self.parse_text_to_nodes("\n".join(text))
        return made


def body(context: click.Context, shared: set[str | None]) -> Iterator[str]:
    """Usage, help, options of its own, and which of the shared ones it takes."""
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS] ", "")
    yield f"```text\n{context.command_path} [OPTIONS] {usage.replace('[OPTIONS]', '')}".rstrip()
    yield "```\n"
    yield _VERBATIM.sub(r"```text\n\1\n```", cleandoc(command.help or "")) + "\n"
    own = [option for option in options(command) if option.name not in shared]
    yield from listing(context.command_path, own)
    taken = [
        f"{{option}}`{max(option.opts, key=len)} <repro {max(option.opts, key=len)}>`"
        for option in options(command)
        if option.name in shared
    ]
    yield f"Also takes {', '.join(taken)}.\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive; the pages are read anew each time, since commands are no pages."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
