from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest

from repro import errors
from repro.cli.failure import describe
from repro.cli.main import report

SECRET = "https://user:hunter2@example.org/simple?token=hunter3"


def all_leaves() -> list[type[errors.ReproError]]:
    return errors.ReproError.__subclasses__()


@pytest.mark.parametrize("kind", all_leaves())
def test_our_errors_keep_their_code_message_and_hint(kind: type[errors.ReproError]) -> None:
    failure = describe(kind("a.lock: broken", hint="mend it"), [])
    assert (failure.message, failure.hint) == ("a.lock: broken", "mend it")
    assert failure.exit_code == kind.exit_code
    assert failure.exit_code not in (0, 1)


def abort_after(cause: BaseException) -> click.exceptions.Abort:
    """What `click.confirm` raises when the prompt ends with `cause`."""
    try:
        try:
            raise cause
        except (KeyboardInterrupt, EOFError):
            raise click.exceptions.Abort from None
    except click.exceptions.Abort as abort:
        return abort


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (errors.Terminated(), 143),
        (abort_after(KeyboardInterrupt()), 130),
        (abort_after(errors.Terminated()), 143),
        (abort_after(EOFError()), 2),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 7),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 7),
    ],
)
def test_foreign_errors(error: BaseException, code: int) -> None:
    assert describe(error, []).exit_code == code


def test_a_full_disk_names_the_path() -> None:
    failure = describe(OSError(errno.ENOSPC, "No space left on device", "/x/y"), [])
    assert "/x/y" in failure.message


def test_a_bug_leaves_a_report_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path))
    monkeypatch.delenv("REPRO_DEBUG", raising=False)
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError(f"at {SECRET}")
    assert report(caught.value, ["snapshot", f"--index={SECRET}"]) == 70
    (written,) = (tmp_path / "crashes").iterdir()
    said = capsys.readouterr()
    assert "this is a bug in repro: ZeroDivisionError" in said.err
    assert str(written) in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in written.read_text()
    for text in (said.out, said.err, written.read_text()):
        assert "hunter" not in text


def test_a_bug_with_an_unwritable_cache_is_still_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "file" / "cache"))
    failure = describe(ZeroDivisionError("x"), [])
    assert failure.exit_code == 70
    assert failure.hint is not None
    assert "no report could be written" in failure.hint


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPRO_DEBUG", "1")
    report(errors.LockError("x"), [])
    assert "LockError" in capsys.readouterr().err


def test_messages_are_inert_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.NetworkError(
        f"numpy: {SECRET}\n\x1b]0;owned\x07\n::error::fake\r", hint=f"see {SECRET}"
    )
    assert report(error, []) == 6
    said = capsys.readouterr().err
    assert "hunter" not in said
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\r" not in said
    assert "example.org" in said


def test_json_errors_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert report(errors.LockError("a.lock: bad", hint="mend"), ["verify", "--json"]) == 3
    said = capsys.readouterr()
    assert said.err == ""
    body = json.loads(said.out)
    assert body["schema"] == 1
    assert body["command"] == "verify"
    assert body["error"] == {"message": "a.lock: bad", "hint": "mend", "exit_code": 3}


def test_json_after_a_double_dash_belongs_to_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(errors.LockError("a.lock: bad"), ["run", "--", "tool", "--json"])
    assert capsys.readouterr().out == ""
