"""dpkg's record of what an image has: what apt resolves against, and what an installation adds.

Format: deb822(5), dpkg's `status`; `Status: WANT FLAG STATE` as in dpkg-query(1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from repro.errors import LockError, UsageError
from repro.locks.names import said
from repro.models.lock import BaseImage, Deb
from repro.models.project import SUITES

PATH = "var/lib/dpkg/status"
_NATIVE = ("all", "amd64")
_REQUIRED = ("Package", "Status", "Architecture")


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """One package that dpkg knows: `state` is the whole of its Status."""

    name: str
    architecture: str
    version: str
    state: str

    @property
    def whole(self) -> bool:
        """Whether it is unpacked and configured."""
        return self.state.endswith(" ok installed")

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.architecture} ({self.state})"


def parse(status: bytes, *, where: str) -> tuple[Installed, ...]:
    """Return the packages of a dpkg status file; `where` names it in messages. Raises LockError."""
    from debian.deb822 import Deb822

    found = []
    for paragraph in Deb822.iter_paragraphs(status.decode(errors="replace"), use_apt_pkg=False):
        if missing := [name for name in _REQUIRED if name not in paragraph]:
            name = said(str(paragraph.get("Package", "a package")))
            raise LockError(
                f"{where}: {name} has no {missing[0]}",
                hint="the image's record of its packages is damaged; take another image",
            )
        found.append(
            Installed(
                name=str(paragraph["Package"]),
                architecture=str(paragraph["Architecture"]),
                version=str(paragraph.get("Version", "")),
                state=" ".join(str(paragraph["Status"]).split()),
            )
        )
    return tuple(found)


def versions(status: bytes) -> Mapping[str, str]:
    """Return {name: version} of the packages of this architecture that an image has."""
    return {
        one.name: one.version
        for one in parse(status, where="the image's dpkg status")
        if one.whole and one.architecture in _NATIVE
    }


def require_added(before: bytes, after: bytes, debs: Iterable[Deb]) -> None:
    """Check that an installation brought exactly what is locked: all of it, and nothing else.

    `before` and `after` are dpkg's status files. Raises LockError naming each package that is
    not as it should be.
    """
    expected = _known(before, "the base image's dpkg status")
    for deb in debs:
        for architecture in _NATIVE:
            expected.pop((deb.name, architecture), None)
        expected[deb.name, deb.architecture] = Installed(
            name=deb.name,
            architecture=deb.architecture,
            version=deb.version,
            state="install ok installed",
        )
    found = _known(after, "dpkg's status after the installation")
    wrong = [
        f"{expected.get(one, 'not there')}: now {found.get(one, 'not there')}"
        for one in sorted(expected.keys() | found.keys())
        if expected.get(one) != found.get(one)
    ]
    if wrong:
        raise LockError(
            "what apt installed on the base image is not what is locked:\n  " + "\n  ".join(wrong),
            hint="nothing was kept; if it stays so: repro snapshot",
        )


def _known(status: bytes, where: str) -> dict[tuple[str, str], Installed]:
    return {
        (one.name, one.architecture): one
        for one in parse(status, where=where)
        if one.state.split()[-1:] != ["not-installed"]
    }


def require_apt(base: BaseImage, status: bytes | None, *, apt_source: str) -> bytes:
    """Return the status of an image that apt packages can come on top of.

    `status` is None for an image without one. Raises UsageError for an image that is not
    Debian's, or of a release that packages are not known of.
    """
    if not status or not status.strip():
        raise UsageError(
            f"{apt_source}: {base.reference} has no dpkg, and apt packages were asked for",
            hint="take an image of Debian or Ubuntu, or leave the apt packages out",
        )
    names = [suite.name for suite in SUITES]
    if base.suite not in names:
        raise UsageError(
            f"{apt_source}: {base.reference} is of "
            + (f"the release {said(base.suite)!r}" if base.suite else "no release that it names")
            + ", and no archive is known for that",
            hint=f"take an image of one of these: {', '.join(names)}; or leave the apt packages "
            "out",
        )
    return status


def require_interpreter_kept(debs: Iterable[Deb], base: BaseImage) -> None:
    """Refuse packages that would replace the image's own interpreter. Raises LockError.

    Only Debian's own can be met: it lies in /usr/bin.
    """
    folder, _, program = base.interpreter.rpartition("/")
    if folder not in ("/usr/bin", "/bin") or not program.startswith("python"):
        return
    mine = (program, f"{program}-minimal", f"lib{program}-minimal", f"lib{program}-stdlib")
    if replaced := [deb for deb in debs if deb.name in mine]:
        raise interpreter_changed(
            base, f"{replaced[0].name} {replaced[0].version} would replace it"
        )


def interpreter_changed(base: BaseImage, how: str) -> LockError:
    """Return the error for apt packages that do not leave the image's interpreter alone."""
    return LockError(
        f"{base.reference}: its interpreter {base.interpreter} would not stay what it is: {how}",
        hint="pin an image that has this version already, or leave out the package that asks for "
        "the newer one",
    )
