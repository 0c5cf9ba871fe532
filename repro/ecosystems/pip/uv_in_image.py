"""Resolving with uv inside the image: where a package's metadata needs a build."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from repro.ecosystems.pip import uv
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.indexes import Indexes
from repro.ecosystems.pip.jobs import Step, network_environment, read_result, run_step, show_local
from repro.ecosystems.pip.request import Package, PipRequest, write_inputs
from repro.files import copy_regular, scratch, write_atomic
from repro.models.execution import PROJECT


def compile_in_image(
    request: PipRequest, indexes: Indexes, *, builder: Builder, folder: Path
) -> tuple[Package, ...]:
    """Resolve with the network and with builds, in the sandbox of the image's own interpreter.

    Third-party build code runs there and nowhere else. Raises as `uv.compile_on_host`.
    """
    with scratch(folder) as work:
        stage = work / "stage"
        for name in ("stage", "stage/scratch", "stage/cache"):
            (work / name).mkdir()
        inputs = write_inputs(request.environment.pip, stage)
        if pins := uv.previous_pins(request):
            write_atomic(stage / uv.OUTPUT, pins.encode())
        copy_regular(uv.executable(), stage / "uv", mode=0o755)
        shown = show_local(indexes, stage)
        variables = uv.environment(shown.indexes, _credentials())
        python = request.interpreter.path
        done = run_step(
            builder,
            Step(
                argv=("./uv", *uv.arguments(inputs, request), "--python", python),
                stage=stage,
                env=(
                    *network_environment(stage),
                    *variables.items(),
                    ("UV_CACHE_DIR", f"{PROJECT}/cache"),
                ),
                mounts=shown.mounts,
                network=True,
            ),
            work / "log",
        )
        uv.require_dated(uv.undated(done.log), request)
        if not done.execution.succeeded:
            raise uv.failure(done.log, request)
        packages = uv.parse(read_result(stage / uv.OUTPUT), shown.indexes, request)
    return tuple(
        replace(
            package,
            files=tuple(replace(f, address=shown.on_host(f.address)) for f in package.files),
        )
        for package in packages
    )


def _credentials() -> dict[str, str]:
    """Return of the host's environment what uv needs to log in."""
    return {name: value for name, value in os.environ.items() if name.startswith("UV_INDEX_")}
