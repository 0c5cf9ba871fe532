"""Why a sandbox cannot be set up, in words that help."""

from __future__ import annotations

import errno

import pytest

from repro.engines.sandbox.diagnosis import failure


def nothing(name: str) -> str | None:
    """A kernel without any of the settings."""
    return None


DENIED = {"failed": "user namespace", "errno": errno.EPERM, "why": ""}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel.unprivileged_userns_clone", "0"),
        ("user.max_user_namespaces", "0"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
    ],
)
def test_the_setting_that_forbids_is_named(name: str, value: str) -> None:
    def only(asked: str) -> str | None:
        return value if asked == name else None

    for error in (
        failure(DENIED, "", only),
        failure({}, "bwrap: setting up uid map: Permission denied\n", only),
        failure({}, "bwrap: No permissions to create a new namespace\n", only),
    ):
        assert error.exit_code == 5
        assert f"sysctl {name}=" in (error.hint or "")


def test_settings_that_allow_are_not_blamed() -> None:
    def fine(name: str) -> str | None:
        return {"kernel.unprivileged_userns_clone": "1", "user.max_user_namespaces": "9"}.get(name)

    error = failure(DENIED, "", fine)
    assert "user namespace" in error.message
    assert "Operation not permitted" in error.message
    assert "container" in (error.hint or "")


def test_an_old_kernel() -> None:
    error = failure({"failed": "overlay", "errno": errno.EPERM, "why": "/mnt"}, "", nothing)
    assert "Linux 5.11" in (error.hint or "")


def test_other_failures_are_quoted() -> None:
    error = failure({}, "bwrap: Unknown option --add-seccomp-fd\n", nothing)
    assert error.message == "bwrap failed: bwrap: Unknown option --add-seccomp-fd"
    assert "0.6" in (error.hint or "")
    error = failure({"failed": "open", "errno": errno.ENOENT, "why": "/data/x"}, "", nothing)
    assert "open /data/x: No such file or directory" in error.message
    assert "said nothing" in failure({}, "", nothing).message
