"""What an image is held against, and what hides of it."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pytest

from repro.ecosystems.base_image import hiding
from repro.errors import LockError, UsageError
from repro.image.layer import Entry
from repro.image.merged import Merged
from repro.models.lock import BaseImage
from repro.models.project import CondaRequest, Environment, RequirementSet
from repro.workflows.assemble import build_lock
from repro.workflows.base import glibc_of, require_glibc, require_python

BASE = BaseImage(
    reference="registry.example.org/team/image:1",
    digest="sha256:" + "1" * 64,
    id="sha256:" + "2" * 64,
    layers=("sha256:" + "3" * 64,),
    interpreter="/usr/local/bin/python3.12",
    glibc="2.36",
)
PLAIN = Environment(suite="", python="")
PIP = replace(PLAIN, pip=(RequirementSet(path="requirements.in", lines=("six",)),))
CONDA = replace(PLAIN, conda=CondaRequest(path="environment.yml", channels=("c",), specs=("zlib",)))


@pytest.mark.parametrize(
    ("interpreter", "environment"),
    [
        ("/opt/venv/bin/python3.12", PIP),
        ("/opt/venv/bin/python3.12", CONDA),
        ("/opt/conda/bin/python3.12", CONDA),
    ],
)
def test_a_python_where_the_locked_packages_go_is_refused(
    interpreter: str, environment: Environment
) -> None:
    base = replace(BASE, interpreter=interpreter)
    with pytest.raises(UsageError, match=rf"its Python is {interpreter}, and /opt/"):
        require_python(base, "3.12.1", environment)
    require_python(base, "3.12.1", environment, conda=True)


def test_a_python_beside_the_locked_packages_is_taken() -> None:
    require_python(BASE, "3.12.1", PIP)
    require_python(replace(BASE, interpreter="/opt/conda/bin/python3.12"), "3.12.1", PIP)


@pytest.mark.parametrize(("environment", "kind"), [(PIP, "Python"), (CONDA, "conda")])
def test_packages_need_glibc(environment: Environment, kind: str) -> None:
    with pytest.raises(UsageError, match=f"is not glibc, and {kind} packages are for that"):
        require_glibc(replace(BASE, glibc=""), environment)
    require_glibc(BASE, environment)
    require_glibc(replace(BASE, glibc=""), PLAIN)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (b"GNU C Library (GNU libc) stable release version 2.34.\n", "2.34"),
        (b"GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n", "2.36"),
        (b"GNU C Library stable release version 2.12, by Roland McGrath et al.\n", "2.12"),
        (b"gcompat\n", ""),
    ],
)
def test_the_c_library_says_itself_what_it_is(text: bytes, version: str) -> None:
    files = Merged()
    files.lay(
        {
            path: Entry(path=path, mode=0o755, kind=kind, link=link, data=data)
            for path, kind, link, data in (
                ("lib64", "symlink", "usr/lib64", b""),
                ("usr/lib64/libc.so.6", "file", "", b"\x7fELF\0" + text + b"\0"),
            )
        }
    )
    assert glibc_of(files) == version


def test_no_more_is_read_of_an_image_than_a_real_one_has() -> None:
    path = "etc/os-release"
    files = Merged()
    files.lay({path: Entry(path=path, mode=0o644, kind="file", data=io.BytesIO, size=1 << 30)})
    with pytest.raises(LockError, match="the image's /etc/os-release has 1,073,741,824 bytes"):
        files.read(path)


def test_a_layer_that_hides_is_a_whiteout_of_each_folder() -> None:
    file = io.BytesIO()
    recipe = hiding(("/opt/venv", "/opt/conda"))
    recipe.write(file)
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        found = tar.getnames()
    assert found == ["opt", "opt/.wh.conda", "opt/.wh.venv"]
    assert recipe.key == hiding(("/opt/conda", "/opt/venv")).key != hiding(("/opt/venv",)).key


def test_builds_on_different_images_do_not_wait_for_each_other() -> None:
    hidden = hiding(("/opt/venv",))
    one, other = (replace(hidden, name="base 1", key=digit * 64) for digit in "12")
    assert build_lock((one, hidden)) == build_lock((one, hidden))
    assert build_lock((one, hidden)) != build_lock((other, hidden))
