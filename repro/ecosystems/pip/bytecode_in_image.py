"""Compile the sources in wheels; runs in the image, under Python 2.7 and 3.6 or newer.

Called with a JSON manifest: a list of `{"wheel", "output", "sources"}`, where sources are
[member of the wheel, path that tracebacks show, path of the bytecode in the output]. For each
wheel one fresh process compiles in the given order, because what `marshal` writes depends on
what a process has seen before; PYTHONHASHSEED=0 comes with the environment. A source that does
not compile is left out, as pip does.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# Python 2.7 has neither annotations nor pathlib nor subprocess.run:
# ruff: noqa: UP036, PTH100, PTH123, S606

import json
import marshal
import os
import struct
import sys
import zipfile

WORKERS = max(2, min(8, os.sysconf("SC_NPROCESSORS_ONLN")))
EPOCH = 946684800  # every mtime in an image; Python 2 compares it with the source's
UNCHECKED_HASH = 1  # PEP 552: bit 0 hash-based, bit 1 (check the source) off


def header(source):
    """Return what precedes the code: PEP 552's unchecked hash, or Python 2's mtime."""
    if sys.version_info[0] == 2:
        import imp

        return imp.get_magic() + struct.pack("<I", EPOCH)
    import importlib.util

    magic = importlib.util.MAGIC_NUMBER
    return magic + struct.pack("<I", UNCHECKED_HASH) + importlib.util.source_hash(source)


def compiled(source, shown):
    """Return the bytecode file of one source, None where it does not compile."""
    if sys.version_info[0] == 2:  # its paths are bytes, JSON's text is not
        shown = shown.encode("utf-8")
    try:
        code = compile(source, shown, "exec", 0, True)
    except (SyntaxError, ValueError, TypeError, OverflowError, MemoryError, RuntimeError):
        return None
    return header(source) + marshal.dumps(code)


def compile_wheel(job):
    """Write all bytecode of one wheel to one zip."""
    with zipfile.ZipFile(job["wheel"]) as wheel, zipfile.ZipFile(job["output"], "w") as output:
        for member, shown, target in job["sources"]:
            data = compiled(wheel.read(member), shown)
            if data is not None:
                output.writestr(zipfile.ZipInfo(target), data)


def main(manifest):
    """Compile every wheel of the manifest, as many at once as there are processors.

    Return 1 when one could not be read.
    """
    with open(manifest) as file:
        jobs = json.load(file)
    running = failed = 0
    for number in range(len(jobs)):
        if running == WORKERS:
            failed += os.wait()[1] != 0
            running -= 1
        command = [sys.executable, "-S", "-s", "-W", "ignore", os.path.abspath(__file__)]
        command += [manifest, str(number)]
        os.spawnv(os.P_NOWAIT, sys.executable, command)
        running += 1
    while running:
        failed += os.wait()[1] != 0
        running -= 1
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        with open(sys.argv[1]) as opened:
            compile_wheel(json.load(opened)[int(sys.argv[2])])
    else:
        sys.exit(main(sys.argv[1]))
