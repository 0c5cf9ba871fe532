from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import pytest

from repro.cli.failure import describe
from repro.cli.group import COMMANDS, cli
from repro.cli.main import report, run
from repro.cli.session import Session
from repro.errors import UsageError


def parse(name: str, *words: str) -> click.Context:
    """Parse a command line as the program does, without running anything."""
    context = cli.make_context("repro", [name, *words], obj=Session())
    with context:
        _, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        return command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_entry_of_the_table_is_a_command(name: str) -> None:
    command = import_module(f"repro.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_short_help_is_the_first_line_of_the_long_one(name: str) -> None:
    command = import_module(f"repro.cli.commands.{name}").command
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_overwrites_another(name: str) -> None:
    command = import_module(f"repro.cli.commands.{name}").command
    names = [param.name for param in command.params]
    assert sorted(names) == sorted(set(names))


def test_table_is_complete() -> None:
    folder = Path(import_module("repro.cli.commands").__path__[0])
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(COMMANDS)


def test_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {short}" in text for name, short in COMMANDS.items())
    assert "10 drift" in text


def test_shared_options_count_before_and_after_the_command(tmp_path: Path) -> None:
    for words in (
        (["-C", str(tmp_path), "--json", "--engine", "docker"], ["run"]),
        (["--engine", "sandbox"], ["run", "-C", str(tmp_path), "--json", "--engine", "docker"]),
    ):
        before, after = words
        group = cli.make_context("repro", [*before, *after], obj=Session())
        with group:
            rest = [*group._protected_args, *group.args]
            _, command, rest = cli.resolve_command(group, rest)
            assert command is not None
            session = command.make_context("run", rest, parent=group).obj
        assert session == Session(command="run", folder=tmp_path, json=True, engine="docker")


def test_an_option_that_is_not_given_keeps_the_one_that_is(tmp_path: Path) -> None:
    context = parse("verify", "--engine", "sandbox", "--offline")
    assert context.obj == Session(command="verify", engine="sandbox", offline=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ()),
        (("--upgrade",), ("*",)),
        (("--upgrade", "numpy"), ("numpy",)),
        (("--upgrade", "numpy", "--upgrade", "pandas"), ("numpy", "pandas")),
        (("--upgrade", "--dry-run"), ("*",)),
    ],
)
def test_upgrade_takes_a_name_or_none(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert parse("snapshot", *words).params["upgrade"] == expected


@pytest.mark.parametrize(
    "words",
    [("--", "python", "-c", "print(1)", "--json"), ("python", "-c", "print(1)", "--json")],
)
def test_run_passes_on_everything_after_its_own_options(words: tuple[str, ...]) -> None:
    context = parse("run", *words)
    assert context.params["words"] == ("python", "-c", "print(1)", "--json")
    assert not context.obj.json


def test_run_keeps_an_inner_double_dash() -> None:
    assert parse("run", "--", "env", "--", "x").params["words"] == ("env", "--", "x")


def test_diff_compares_baseline_and_last_run_by_default() -> None:
    params = parse("diff").params
    assert (params["old"], params["new"]) == ("baseline", "last")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nonsense"], "nonsense"),
        (["snapshot", "--upgrad=x"], "--upgrad"),
        (["verify", "--engine", "podman"], "podman"),
        (["status", "-C", "/no/such/folder"], "/no/such/folder"),
        (["accept"], "--reason"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error_with_a_next_step(
    words: list[str], named: str
) -> None:
    with pytest.raises(click.ClickException) as caught:
        run(words)
    failure = describe(caught.value, words)
    assert failure.exit_code == 2
    assert named in failure.message
    assert failure.hint is not None
    assert failure.hint.endswith("--help")


@pytest.mark.parametrize(
    ("word", "meant"), [("statuz", "'status'"), ("verfy", "'verify'"), ("buidl", "'build'")]
)
def test_a_misspelt_command_is_guessed(word: str, meant: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        run([word])
    assert f"Did you mean {meant}" in caught.value.format_message()


def test_nothing_is_guessed_for_a_word_of_its_own() -> None:
    with pytest.raises(click.UsageError) as caught:
        run(["xylophone"])
    assert "Did you mean" not in caught.value.format_message()


def test_repro_alone_shows_the_help_and_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.NoArgsIsHelpError) as caught:
        run([])
    assert report(caught.value, []) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: repro")
    assert "error:" not in err


def test_upgrade_takes_several_names_at_once() -> None:
    params = parse("snapshot", "--upgrade", "numpy", "pandas", "--dry-run").params
    assert (params["upgrade"], params["names"]) == (("numpy",), ("pandas",))


def test_names_without_upgrade_are_refused_with_the_right_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(["-C", str(tmp_path), "snapshot", "numpy"])
    assert caught.value.hint is not None
    assert "repro snapshot --upgrade numpy" in caught.value.hint


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_mark_that_is_meant_for_click(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run([name, "--help"])
    assert "\\b" not in capsys.readouterr().out


def test_an_unknown_completion_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_REPRO_COMPLETE", "tcsh_source")
    with pytest.raises(UsageError, match="tcsh_source"):
        run([])
