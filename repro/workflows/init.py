"""A data scientist's first ten minutes: from a folder of scripts to a baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from repro.files import write_atomic
from repro.models.measurement import Measurement
from repro.models.outcome import InitResult
from repro.project.load import load_project
from repro.project.template import init_text, look_around
from repro.workflows.accept import accept
from repro.workflows.build import BuildOptions, build
from repro.workflows.run import RunOptions, run
from repro.workflows.snapshot import SnapshotOptions, snapshot
from repro.workflows.tools import Tools

CONFIG = "repro.toml"


def init(
    folder: Path, tools: Tools, ask: Callable[[str], bool], show: Callable[[Measurement], None]
) -> InitResult:
    """Detect, write repro.toml, lock, build, run once and offer the metrics as the baseline.

    `ask` is asked before each step; a step that is declined ends it there. `show` is given the
    metrics before the last question. An existing configuration is kept.
    """
    root = folder.resolve()
    written = None
    if load_project(root).project.config is None:
        if not ask(f"write {CONFIG}?"):
            return InitResult(
                config_written=None, snapshot=None, build=None, run=None, accepted=None
            )
        facts = look_around(root)
        for note in facts.notes:
            tools.progress.note(f"note: {note}")
        write_atomic(root / CONFIG, init_text(facts).encode())
        written = CONFIG
    loaded = load_project(root)
    for note in loaded.notes:
        tools.progress.note(f"note: {note}")
    project = loaded.project
    if project.root != root:
        tools.progress.note(
            f"note: this folder is part of the project {project.root} (see its {project.config})"
        )
    locked = built = ran = accepted = None
    if ask("lock the packages (repro snapshot)?"):
        locked = snapshot(project, tools, SnapshotOptions())
        if ask("build the image (repro build)?"):
            built = build(project, tools, BuildOptions())
    if built is not None and project.analysis is not None and ask("run the analysis (repro run)?"):
        ran = run(project, tools, RunOptions(publish=False))
        assert ran.measurement is not None
        show(ran.measurement)
        if ask("accept these as the baseline (repro accept)?"):
            accepted = accept(project, tools, "first baseline, from repro init")
    return InitResult(
        config_written=written,
        config=project.config,
        runnable=project.analysis is not None,
        snapshot=locked,
        build=built,
        run=ran,
        accepted=accepted,
    )
