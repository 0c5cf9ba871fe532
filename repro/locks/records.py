"""Text forms of what was built, run and accepted: image.toml, run.toml, seal.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from repro.locks import toml
from repro.locks.names import relative_path, shown
from repro.models.baseline import Baseline
from repro.models.execution import Cpu, Ending, Execution, FileDigest, Run
from repro.models.image import ImageRecord


def render_image(record: ImageRecord) -> bytes:
    """Canonical bytes of `image.toml`."""
    return toml.render(
        {
            "recipe": record.recipe,
            "environment-key": record.environment_key,
            "image-id": record.image_id,
            "manifest-digest": record.manifest_digest,
            "tools": dict(sorted(record.tools)),
            "layers": [{"name": name, "digest": digest} for name, digest in record.layers],
        }
    )


def parse_image(data: bytes, *, where: str) -> ImageRecord:
    """Read `image.toml`. Raises LockError naming the value."""
    table = toml.read(data, where=where, hint="remove it and run: repro build --record")
    return ImageRecord(
        recipe=table.number("recipe"),
        environment_key=table.digest("environment-key"),
        image_id=table.digest("image-id"),
        manifest_digest=table.digest("manifest-digest"),
        tools=table.pairs("tools"),
        layers=tuple((item.text("name"), item.digest("digest")) for item in table.tables("layers")),
    )


def render_run(run: Run) -> bytes:
    """Bytes of `run.toml`."""
    execution = run.execution
    return toml.render(
        {
            "id": run.id,
            "environment-key": run.environment_key,
            "image-id": run.image_id,
            "platform": run.platform,
            "execution": {
                "engine": execution.engine,
                "ending": execution.ending.value,
                "code": execution.code,
                "step": execution.step,
                "seconds": round(execution.seconds, 3),
                "log-cut": execution.log_cut,
                "unenforced": list(execution.unenforced),
            },
            "cpu": _cpu(run.cpu),
            "discarded": list(run.discarded),
            "code": _digests(run.code),
            "data": _digests(run.data),
            "outputs": _digests(run.outputs),
        }
    )


def parse_run(data: bytes, *, where: str, folder: Path) -> Run:
    """Read `run.toml` of the run in `folder`. Raises LockError naming the value."""
    table = toml.read(data, where=where, hint="remove that run's folder and run again")
    execution = table.table("execution")
    return Run(
        id=table.text("id"),
        folder=folder,
        environment_key=table.digest("environment-key"),
        image_id=table.digest("image-id"),
        platform=table.text("platform"),
        execution=Execution(
            engine=execution.text("engine"),
            ending=_ending(execution),
            code=execution.number("code"),
            step=execution.number("step"),
            seconds=execution.real("seconds"),
            log_cut=execution.flag("log-cut"),
            unenforced=execution.texts("unenforced"),
        ),
        cpu=_read_cpu(table.table("cpu")),
        code=_read_digests(table, "code"),
        data=_read_digests(table, "data"),
        outputs=_read_digests(table, "outputs"),
        discarded=table.texts("discarded"),
    )


def render_baseline(baseline: Baseline) -> bytes:
    """Canonical bytes of a baseline's `seal.toml`."""
    return toml.render(
        {
            "platform": baseline.platform,
            "environment-key": baseline.environment_key,
            "image-id": baseline.image_id,
            "engine": baseline.engine,
            "reason": baseline.reason,
            "cpu": _cpu(baseline.cpu),
            "code": _digests(baseline.code),
            "data": _digests(baseline.data),
            "files": _digests(baseline.files),
        }
    )


def parse_baseline(data: bytes, *, where: str, folder: Path) -> Baseline:
    """Read the `seal.toml` of the baseline in `folder`. Raises LockError naming the value."""
    hint = "restore the baseline from version control, or: repro accept --reason '…'"
    table = toml.read(data, where=where, hint=hint)
    return Baseline(
        folder=folder,
        platform=table.text("platform"),
        environment_key=table.digest("environment-key"),
        image_id=table.digest("image-id"),
        engine=table.text("engine"),
        reason=table.text("reason"),
        cpu=_read_cpu(table.table("cpu")),
        code=_read_digests(table, "code"),
        data=_read_digests(table, "data"),
        files=_read_digests(table, "files"),
    )


def _ending(table: toml.Table) -> Ending:
    said = table.text("ending")
    if said not in [ending.value for ending in Ending]:
        raise table.refuse("ending", f"cannot be {shown(said)}")
    return Ending(said)


def _cpu(cpu: Cpu) -> dict[str, Any]:
    return {"model": cpu.model, "features": sorted(cpu.features)}


def _read_cpu(table: toml.Table) -> Cpu:
    return Cpu(model=table.text("model"), features=table.texts("features"))


def _digests(files: tuple[FileDigest, ...]) -> list[dict[str, Any]]:
    return [
        {"path": item.path, "size": item.size, "sha256": item.sha256}
        for item in sorted(files, key=lambda f: f.path)
    ]


def _path(text: str, where: str) -> str:
    return relative_path(text, where, printable=False)


def _read_digests(table: toml.Table, key: str) -> tuple[FileDigest, ...]:
    found: dict[str, FileDigest] = {}
    for item in table.tables(key):
        path = item.named("path", _path)
        if path in found:  # else one of the two digests would go unchecked
            raise item.refuse("path", f"{shown(path)} is listed twice")
        found[path] = FileDigest(path=path, size=item.number("size"), sha256=item.sha256("sha256"))
    return tuple(found.values())
