"""Bytecode: its header, what is compiled, where it lies. The script is run for real elsewhere."""

# mypy: allow-untyped-calls

from __future__ import annotations

import importlib.util
import marshal
import struct
import types
import zipfile
from pathlib import Path

import pytest

from repro.ecosystems.pip import bytecode_in_image
from repro.ecosystems.pip.bytecode import key, sources
from repro.ecosystems.pip.layout import of
from repro.ecosystems.pip.wheels import plan
from repro.models.image import EPOCH
from repro.models.lock import Interpreter
from tests.wheelhouse import Recipe, make_wheel, stored

SITE = "opt/venv/lib/python3.11/site-packages"


def test_where_interpreters_look_for_bytecode() -> None:
    assert (
        of(Interpreter.of_debian("3.11")).compiled(f"{SITE}/a/b.py")
        == f"{SITE}/a/__pycache__/b.cpython-311.pyc"
    )
    assert of(Interpreter.of_debian("3.9")).compiled("a/b.py") == "a/__pycache__/b.cpython-39.pyc"
    assert of(Interpreter.of_debian("2.7")).compiled("a/b.py") == "a/b.pyc"


def test_only_what_can_be_imported_is_compiled(tmp_path: Path) -> None:
    recipe = Recipe(
        files={
            "demo/__init__.py": b"",
            "demo/data.txt": b"",
            "demo-1.0.data/scripts/tool.py": b"",
            "demo-1.0.data/data/share/x.py": b"",
            "demo-1.0.data/purelib/more.py": b"",
        }
    )
    planned = plan(stored(tmp_path, recipe), of(Interpreter.of_debian("3.11")))
    assert [path for _, path, _ in sources(planned, of(Interpreter.of_debian("3.11")))] == [
        f"{SITE}/demo/__init__.py",
        f"{SITE}/more.py",
    ]


def test_the_key_is_what_decides_the_bytes(tmp_path: Path) -> None:
    one = stored(tmp_path, Recipe())
    other = stored(tmp_path, Recipe(files={"x.py": b"1"}))
    keys = {
        key(one, of(Interpreter.of_debian("3.11")), "i"),
        key(one, of(Interpreter.of_debian("3.13")), "i"),
        key(one, of(Interpreter.of_debian("3.11")), "j"),
        key(other, of(Interpreter.of_debian("3.11")), "i"),
    }
    assert len(keys) == 4
    assert key(one, of(Interpreter.of_debian("3.11")), "i") in keys


def test_the_header_is_an_unchecked_hash() -> None:
    """PEP 552: flags 1 is a hash that is never compared with the source."""
    source = b"VALUE = 1\n"
    data = bytecode_in_image.compiled(source, "/x/demo.py")
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert struct.unpack("<I", data[4:8]) == (1,)
    assert data[8:16] == importlib.util.source_hash(source)
    code = marshal.loads(data[16:])
    assert isinstance(code, types.CodeType)
    assert code.co_filename == "/x/demo.py"


def test_the_recipes_epoch_is_the_scripts() -> None:
    assert bytecode_in_image.EPOCH == EPOCH


@pytest.mark.parametrize("source", [b"print 1\n", b"\0", b"# coding: nosuch\n", b"\xff\xfe"])
def test_what_does_not_compile_is_left_out(source: bytes) -> None:
    assert bytecode_in_image.compiled(source, "x.py") is None


def test_the_output_holds_what_compiled(tmp_path: Path) -> None:
    recipe = Recipe(files={"good.py": b"x = 1\n", "bad.py": b"print 1\n"})
    (tmp_path / "x.whl").write_bytes(make_wheel(recipe))
    bytecode_in_image.compile_wheel(
        {
            "wheel": str(tmp_path / "x.whl"),
            "output": str(tmp_path / "out.zip"),
            "sources": [["good.py", "/s/good.py", "s/good.pyc"], ["bad.py", "/s/bad.py", "b.pyc"]],
        }
    )
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == ["s/good.pyc"]
