"""Rows H62, H63, H66 and I73 of FAULTS.md, end to end on both engines."""

from __future__ import annotations

import pytest

from tests.support import Cli
from tests.watch import faulted

ENGINES = ("sandbox", "docker")


def analysis(cli: Cli, text: str) -> None:
    (cli.folder / "analysis.py").write_text(text)


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_h62_network(tiny: Cli, engine: str) -> None:
    analysis(
        tiny,
        "import socket\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except OSError as error:\n    raise SystemExit(error.strerror)\n",
    )
    faulted(tiny, "--engine", engine, "verify", code=4, says=["unreachable"])


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", ["data/numbers.csv", "/etc/passwd", "/usr/bin/env", "/new"])
def test_h63_read_only(tiny: Cli, engine: str, path: str) -> None:
    """The data is anybody's to write as far as its modes go: only the mount forbids it."""
    for open_to_all in (tiny.folder / "data", tiny.folder / "data/numbers.csv"):
        open_to_all.chmod(0o777 if open_to_all.is_dir() else 0o666)
    allowed = "EROFS" if path.startswith("data") else "EROFS, errno.EACCES"
    analysis(
        tiny,
        f"""\
import errno, os
try:
    os.open({path!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
except OSError as error:
    assert error.errno in (errno.{allowed},), error
    raise SystemExit(f"refused: {{error.strerror}}")
""",
    )
    faulted(tiny, "--engine", engine, "verify", code=4, says=["refused"])


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_h63_project_writes_are_private(tiny: Cli, engine: str) -> None:
    """Writes into the project succeed, land in a private copy, are listed and thrown away."""
    text = (tiny.folder / "analysis.py").read_text()
    analysis(
        tiny,
        text + "open('repro.toml', 'w').write('gone')\nopen('new.txt', 'w').write('x')\n"
        "import os; os.remove('analysis.py')\n",
    )
    answer = faulted(tiny, "--engine", engine, "run", "--json", code=0, changes=["out"])
    assert sorted(answer.json()["run"]["discarded"]) == ["analysis.py", "new.txt", "repro.toml"]
    assert (tiny.folder / "out/metrics.json").is_file()


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        ("os.symlink('/etc/passwd', 'out/metrics.json')", "symbolic link"),
        ("os.mkfifo('out/metrics.json')", "FIFO"),
        ("open('/project/x','w').write('1'); os.link('x', 'out/metrics.json')", "hard link"),
        ("import socket; socket.socket(socket.AF_UNIX).bind('out/metrics.json')", "socket"),
        ("os.rmdir('out'); os.symlink('/etc', 'out')", "link"),
    ],
    ids=["symlink", "fifo", "hardlink", "socket", "folder-link"],
)
def test_h66_output_is_no_file(tiny: Cli, engine: str, make: str, says: str) -> None:
    analysis(tiny, f"import os\n{make}\n")
    faulted(tiny, "--engine", engine, "verify", code=4, says=["out", says])


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_i73_secrets_of_the_host_stay_there(tiny: Cli, engine: str) -> None:
    """No netrc, pip.conf or environment of the user's reaches the run, its record or its log.

    `faulted` plants them; the analysis prints whatever it can read.
    """
    analysis(
        tiny,
        """\
import os
paths = ["/proc/1/environ", "/proc/self/environ", "/proc/1/cmdline", "/proc/mounts"]
for top in ("/root", "/home", "/var", "/tmp", os.environ["HOME"], "/project"):
    for folder, _, names in os.walk(top):
        paths += [os.path.join(folder, name) for name in names]
for path in paths:
    try:
        print(path, repr(open(path, errors="replace").read()) if os.path.isfile(path) else "")
    except OSError as error:
        print(error)
print(os.environ)
open("out/metrics.json", "w").write('{"length": 1}')
""",
    )
    answer = faulted(tiny, "--engine", engine, "run", code=0, changes=["out"])
    assert "PYTHONHASHSEED" in answer.out + answer.err, "the analysis did print its environment"


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_i73_nor_do_they_reach_a_command_of_the_users_own(tiny: Cli, engine: str) -> None:
    words = ("run", "--", "sh", "-c", "env; cat ~/.netrc ~/.config/pip/pip.conf")
    answer = faulted(tiny, "--engine", engine, *words, code=4)
    assert "PYTHONHASHSEED=0" in answer.out + answer.err
