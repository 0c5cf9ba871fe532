"""What a run costs over the bare process and over `docker run`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import REPRO, Command, take_turns, timed
from benchmarks.workshop import NO_DAEMON, Workshop
from repro.engines.base import Engine
from repro.engines.docker.container import OPEN_FILES, scratch_space
from repro.models.execution import PROJECT, UID, Job
from repro.models.image import Image
from repro.models.project import SHARED_MEMORY, Limits
from repro.store.artifacts import Store
from repro.workflows.assemble import assemble
from repro.workflows.execute import run_environment
from repro.workflows.tools import engine

ROUNDS = 15
WORK = ("/usr/bin/python3", "-c", "pass")


def figures(workshop: Workshop) -> list[Figure]:
    """Measure the engines alone, and the whole command."""
    tools = replace(workshop.tools, store=Store(workshop.built))
    stack = workshop.stack
    image, _ = assemble(stack.project, stack.lock, tools)
    environment = run_environment(stack.project, image)
    cache = {"REPRO_CACHE": str(workshop.built)}
    whole = (REPRO, "run", "--", *WORK)
    subjects: dict[str, Callable[[], float]] = {
        "bare process": Command(argv=WORK, folder=workshop.scratch),
        "sandbox": _engine(
            workshop, engine("sandbox", tools.store, tools.progress), image, environment
        ),
        "repro run, sandbox": Command(
            argv=whole, folder=stack.folder, extra=cache | {"DOCKER_HOST": NO_DAEMON}
        ),
    }
    if workshop.docker:
        subjects |= {
            "docker": _engine(
                workshop, engine("docker", tools.store, tools.progress), image, environment
            ),
            "docker run": _docker_run(workshop, image, environment),
            "repro run, docker": Command(argv=whole, folder=stack.folder, extra=cache),
        }
    times = take_turns(subjects, rounds=workshop.rounds(ROUNDS))
    bare = (("the bare process", times["bare process"]),)
    found = [
        Figure(
            what="a process in the sandbox",
            ours=times["sandbox"],
            peers=bare,
            target=Target(excess=0.050),
        ),
        Figure(
            what="`repro run -- COMMAND`, sandbox",
            ours=times["repro run, sandbox"],
            peers=bare,
            target=Target(),
            note="the whole command: start-up, lock, image and the record of the run",
        ),
    ]
    if workshop.docker:
        peer = (("`docker run`, same image, same limits", times["docker run"]),)
        found += [
            Figure(
                what="a process in docker",
                ours=times["docker"],
                peers=peer,
                target=Target(ratio=1.15),
            ),
            Figure(
                what="`repro run -- COMMAND`, docker",
                ours=times["repro run, docker"],
                peers=peer,
                target=Target(),
            ),
        ]
    return found


def _engine(
    workshop: Workshop, chosen: Engine, image: Image, environment: tuple[tuple[str, str], ...]
) -> Callable[[], float]:
    """Return one job on an engine that has the image, over an empty stage."""
    assert chosen.probe() is None
    chosen.load(image)

    def measure() -> float:
        stage = Path(tempfile.mkdtemp(dir=workshop.scratch, prefix="stage-"))
        job = Job(
            image=image,
            steps=(WORK,),
            stage=stage,
            env=environment,
            limits=Limits(),
            log=workshop.scratch / "log",
        )
        try:
            return timed(lambda: _succeed(chosen, job))
        finally:
            shutil.rmtree(stage)

    return measure


def _succeed(chosen: Engine, job: Job) -> None:
    done = chosen.run(job)
    assert done.succeeded, done


def _docker_run(
    workshop: Workshop, image: Image, environment: tuple[tuple[str, str], ...]
) -> Callable[[], float]:
    """Return docker's own command line for what the engine asks of the daemon."""
    stage = workshop.scratch / "stage"
    stage.mkdir()
    if os.geteuid() == 0:
        os.chown(stage, UID, UID)
    limits = Limits()
    words = ["run", "--rm", "--network", "none", "--cap-drop", "ALL", "--read-only", "--init"]
    words += ["--security-opt", "no-new-privileges:true", "--user", f"{UID}:{UID}"]
    words += ["--memory", str(limits.memory), "--memory-swap", str(limits.memory)]
    words += ["--pids-limit", str(limits.pids), "--shm-size", str(SHARED_MEMORY)]
    words += ["--ipc", "private", "--hostname", "repro", "--log-driver", "none"]
    words += ["--ulimit", f"fsize={limits.output}:{limits.output}", "--ulimit", "core=0:0"]
    words += ["--ulimit", f"nofile={OPEN_FILES[0]}:{OPEN_FILES[1]}"]
    words += ["--workdir", PROJECT, "--volume", f"{stage}:{PROJECT}"]
    words += ["--volume", "/dev/null:/etc/resolv.conf:ro"]
    for path, options in scratch_space(limits.scratch, UID, UID).items():
        words += ["--tmpfs", f"{path}:{options}"]
    for name, value in environment:
        words += ["--env", f"{name}={value}"]
    return Command(argv=("docker", *words, image.id, *WORK), folder=workshop.scratch)
