"""Console blocks of a Markdown page: run for real, in order, and compared with what stands there.

A block is fenced as `console`; a line after `$ ` is a command, lines after `> ` continue it, all
else is what it said. `REPRO_REFRESH_GOLDEN=1` writes the page anew.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
VARIES = (
    (re.compile(r"\b[0-9]{8}T[0-9]{12}-[0-9a-f]{6}\b"), "<run>"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b"), "<digest>"),
    (re.compile(r"\b[0-9]+\.[0-9] s\b"), "<time>"),
    (re.compile(r"\b[0-9]+ MB\b"), "<size>"),
    (re.compile(r"\b[0-9]+ apt\b"), "<number> apt"),  # Debian's point releases
)
"""What differs from run to run, or whenever Debian mends a package; all else must be as shown."""

PROGRESS = re.compile(r"^\S.* …$|^\S.*: done after [0-9.]+ s$")
"""Lines on stderr that a terminal shows as a bar, and wipes."""

MARK = "\x1e"


@dataclass(frozen=True)
class Command:
    """One command of a page: its text as the shell reads it, and what it is shown to say."""

    text: str
    says: str

    def shown(self) -> str:
        """The lines of the page."""
        first, *more = self.text.split("\n")
        lines = [f"$ {first}", *(f"> {line}" for line in more)]
        return "\n".join(lines) + "\n" + self.says


def commands(block: str) -> list[Command]:
    """Split the inside of one block."""
    found: list[Command] = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Command(line[2:].rstrip("\n"), ""))
        elif line.startswith("> ") and not found[-1].says:
            found[-1] = Command(f"{found[-1].text}\n{line[2:].rstrip()}", "")
        else:
            found[-1] = Command(found[-1].text, found[-1].says + line)
    return found


def run_all(page: str, folder: Path, env: Mapping[str, str]) -> list[Command]:
    """Run every command of the page in one shell, each as it was really answered."""
    asked = [command for block in FENCE.findall(page) for command in commands(block)]
    script = "".join(
        f"{command.text}\nkept=$?; printf '{MARK}'; (exit $kept)\n" for command in asked
    )
    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    said = done.stdout.split(MARK)
    assert len(said) == len(asked) + 1, done.stdout
    return [
        Command(command.text, without_progress(text))
        for command, text in zip(asked, said, strict=False)
    ]


def without_progress(text: str) -> str:
    """What stays on the screen."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not PROGRESS.match(line.rstrip("\n")))


def normal(text: str) -> str:
    """The text without what may vary."""
    for pattern, name in VARIES:
        text = pattern.sub(name, text)
    return text


def check(path: Path, folder: Path, env: Mapping[str, str]) -> None:
    """Run the page in `folder` and assert that it shows what happened (or write that to it)."""
    page = path.read_text()
    real = iter(run_all(page, folder, env))

    def rewritten(match: re.Match[str]) -> str:
        made = []
        for old in commands(match[1]):
            new = next(real)
            made.append(old if normal(old.says) == normal(new.says) else new)
        return "```console\n" + "".join(command.shown() for command in made) + "```"

    fresh = FENCE.sub(rewritten, page)
    if os.environ.get("REPRO_REFRESH_GOLDEN") == "1":
        path.write_text(fresh)
    assert fresh == page, f"{path.name} shows what is no longer so; REPRO_REFRESH_GOLDEN=1 mends it"
