"""Rows H62, H63, H66 and I73 of FAULTS.md, end to end on both engines."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.support import Cli, assert_refused, tree_digest

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
    answer = tiny("--engine", engine, "verify")
    assert_refused(answer, 4, "unreachable")


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", ["data/numbers.csv", "/etc/passwd", "/usr/bin/env", "/new"])
def test_h63_read_only(tiny: Cli, engine: str, path: str) -> None:
    before = tree_digest(tiny.folder)
    analysis(
        tiny,
        f"""\
import errno, os
try:
    os.open({path!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
except OSError as error:
    assert error.errno in (errno.EROFS, errno.EACCES), error
    raise SystemExit(f"refused: {{error.strerror}}")
""",
    )
    script = tree_digest(tiny.folder)
    assert_refused(tiny("--engine", engine, "verify"), 4, "refused")
    assert tree_digest(tiny.folder) == script
    assert {k: v for k, v in script.items() if k != "analysis.py"} == {
        k: v for k, v in before.items() if k != "analysis.py"
    }


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
    before = tree_digest(tiny.folder)
    answer = tiny("--engine", engine, "run", "--json")
    assert answer.code == 0, answer
    assert sorted(answer.json()["run"]["discarded"]) == ["analysis.py", "new.txt", "repro.toml"]
    after = tree_digest(tiny.folder)
    assert {k: v for k, v in after.items() if not k.startswith("out/")} == before
    assert "out/metrics.json" in after


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
    before = tree_digest(tiny.folder)
    assert_refused(tiny("--engine", engine, "verify"), 4, "out", says)
    assert tree_digest(tiny.folder) == before
    assert not list((tiny.folder / ".repro").glob("tmp/*"))


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_i73_secrets_of_the_host_stay_there(tiny: Cli, engine: str, tmp_path: Path) -> None:
    """No netrc, pip.conf or environment of the user's reaches the run, its record or its log."""
    canary = "canary-" + hashlib.sha256(os.urandom(8)).hexdigest()[:16]
    home = tmp_path / "home"
    (home / ".config/pip").mkdir(parents=True)
    (home / ".netrc").write_text(f"machine example.org login me password {canary}\n")
    (home / ".netrc").chmod(0o600)
    (home / ".config/pip/pip.conf").write_text(
        f"[global]\nproxy = http://me:{canary}@127.0.0.1:9\n"
    )
    analysis(
        tiny,
        """\
import os
found = [dict(os.environ)]
for top in ("/root", "/home", os.environ["HOME"], "/proc/1/environ", "/project"):
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                found.append(open(os.path.join(folder, name), errors="replace").read())
            except OSError:
                continue
text = repr(found) + open("/proc/self/environ").read()
print(text)
open("out/metrics.json", "w").write('{"length": 1}')
""",
    )
    answer = tiny("--engine", engine, "run", env={"HOME": str(home), "SECRET_TOKEN": canary})
    assert answer.code == 0, answer
    assert canary not in answer.out + answer.err
    for path in tiny.folder.rglob("*"):
        if path.is_file():
            assert canary not in path.read_text(errors="replace"), path
