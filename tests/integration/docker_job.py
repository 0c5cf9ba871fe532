"""A job on docker in a process of its own: for signals and terminals. Arguments: one JSON."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from repro.engines.docker.engine import Docker
from repro.errors import EngineError, Terminated
from repro.models.execution import Job
from repro.models.project import Limits
from repro.store.artifacts import Store
from tests.host_image import host_image


def terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated


def main(text: str) -> int:
    wanted = json.loads(text)
    signal.signal(signal.SIGTERM, terminated)
    store = Store(Path(wanted["store"]))
    engine = Docker(store, base_url=wanted.get("base_url"))
    job = Job(
        image=host_image(store),
        steps=(tuple(wanted["command"]),),
        stage=Path(wanted["stage"]),
        env=(),
        limits=Limits(timeout=wanted.get("timeout", 60)),
        log=Path(wanted["log"]),
        interactive=wanted.get("interactive", False),
        echo=wanted.get("echo", False),
    )
    try:
        engine.load(job.image)
        done = engine.run(job)
    except EngineError as error:
        print(f"EngineError: {error}")
        return error.exit_code
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    print(f"uid: {','.join(done.unenforced) or 'fixed'}")
    print(f"ended: {done.ending} {done.code}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
