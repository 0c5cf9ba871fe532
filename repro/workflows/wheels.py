"""Wheels that no index has, kept in the project's vendored folder by their file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repro.errors import UsageError
from repro.files import copy_regular, digest_file, make_folder
from repro.models.installed import PipRecord
from repro.models.project import VENDOR, Project
from repro.project.detect import is_vendored
from repro.store.vendored import Vendored
from repro.workflows.tools import Tools


@dataclass(frozen=True, slots=True)
class Vendoring:
    """The vendored folder of a project."""

    project: Project
    tools: Tools

    @property
    def folder(self) -> Path:
        """Where it lies, configured or not."""
        return self.project.vendor_folder or self.project.root / VENDOR

    def keep(self, record: PipRecord) -> None:
        """Copy the wheels of a record out of the store. Raises UsageError, LocalError."""
        if not record.vendored:
            return
        if self.project.vendor_folder is None:
            if self.folder.exists() and not is_vendored(self.folder):
                raise UsageError(
                    f"{self.folder}: is there already, and is no folder of artifacts",
                    hint='name another one in repro.toml: vendor = "wheels"',
                )
            Vendored(root=make_folder(self.folder)).write_manifest(())
        made = {item.filename: item for item in record.artifacts}
        for name in record.vendored:
            target = self.folder / name
            if target.exists():
                if digest_file(target)[1] == made[name].sha256:
                    continue
                raise UsageError(
                    f"{target}: is another wheel of the same name",
                    hint="move it away, then run it again",
                )
            make_folder(self.folder)
            copy_regular(self.tools.store.path(made[name].sha256), target)
