"""Taking over a foreign lock's conda packages: what the solver keeps must be what the lock has."""

from __future__ import annotations

from collections.abc import Sequence

from repro.errors import LockError
from repro.models.foreign import ForeignLock
from repro.models.lock import CondaPackage

_SHOWN = 10
_HINT = "lock it anew with its own tool for these inputs; or let repro resolve: repro snapshot"


def require_taken(lock: ForeignLock, found: Sequence[CondaPackage], where: str) -> None:
    """Raise LockError unless `found`, resolved with the lock's packages as pins, is the lock.

    `where` is the input that was resolved. Named are the first package that differs, one that is
    missing, those that nothing asks for.
    """
    pinned = {one.name: one for one in lock.conda}
    for one in found:
        pin = pinned.get(one.name)
        if pin is None:
            raise LockError(
                f"{where} needs the conda package {one.name} too, and {lock.path} has none",
                hint=_HINT,
            )
        if pin.sha256 != one.sha256:
            raise LockError(
                f"{lock.path}: conda {pin.name} {pin.version} ({pin.build}) cannot stay with what "
                f"{where} asks for, the channels and this image: {one.version} ({one.build}) can",
                hint=_HINT,
            )
    if left := sorted(pinned.keys() - {one.name for one in found}):
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        raise LockError(
            f"{lock.path} holds conda packages that nothing in {where} asks for: "
            + ", ".join(left[:_SHOWN])
            + more,
            hint="list them there, if the analysis needs them; or lock that input alone",
        )
