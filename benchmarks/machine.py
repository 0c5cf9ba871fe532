"""The machine and the tools that the figures belong to."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path


def facts() -> tuple[tuple[str, str], ...]:
    """Return (name, value) of all that a reader needs to judge the figures."""
    processor = _first("/proc/cpuinfo", r"^model name\s*:\s*(.+)$")
    memory = int(_first("/proc/meminfo", r"^MemTotal:\s*(\d+)")) / (1 << 20)
    return (
        ("CPU", f"{processor}, {os.cpu_count()} cores"),
        ("Memory", f"{memory:.0f} GB"),
        ("Load before", f"{os.getloadavg()[0]:.1f}"),
        ("Kernel", platform.release()),
        ("System", _first("/etc/os-release", r'^PRETTY_NAME="(.+)"$')),
        ("Python", platform.python_version()),
        ("uv", version("uv")),
        ("pip", version("pip")),
        ("mmdebstrap", _said("mmdebstrap", "--version")),
        ("apt", _said("apt-get", "--version")),
        ("docker", _said("docker", "version", "--format", "{{.Server.Version}}")),
    )


def _first(path: str, pattern: str) -> str:
    match = re.search(pattern, Path(path).read_text(errors="replace"), re.MULTILINE)
    return match[1] if match else "unknown"


def _said(*argv: str) -> str:
    """The first number in what a program says of its version."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return "absent"
    match = re.search(r"\d[\w.+~-]*", done.stdout)
    return match[0] if match and not done.returncode else "absent"
