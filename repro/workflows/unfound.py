"""What cannot be locked as it is installed: said plainly, with the ways out."""

from __future__ import annotations

from repro.errors import LockError
from repro.models.installed import InstalledDeb, Unfound
from repro.workflows.sources import Source


def unfound_deb(one: InstalledDeb, reason: str) -> Unfound:
    """Return the finding for a package of dpkg's."""
    return Unfound(ecosystem="apt", name=one.name, version=one.version, reason=reason)


def refusal(source: Source, unfound: list[Unfound]) -> LockError:
    """Return the error that names every package which cannot be locked as it is, and why."""
    lines = [f"{one.ecosystem} {one.name} {one.version}: {one.reason}" for one in unfound]
    hints = []
    if any(one.vendorable for one in unfound):
        hints.append("keep those of pip's as wheels made of what is there: --vendor-missing")
    if any("any more" in one.reason for one in unfound):
        hints.append(
            "let those move to what the archive has: --upgrade NAME...; or lock the archive of a "
            "day on which it had them: --as-of DATE; or bring the source up to date"
        )
    hints.append("leave one out: --without NAME")
    return LockError(
        f"{source} cannot be locked as it is:\n  " + "\n  ".join(lines), hint="; ".join(hints)
    )
