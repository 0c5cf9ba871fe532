"""Where Python packages live in an image (DESIGN.md §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.image.layer import Entry

VENV = "opt/venv"
"""The virtual environment of Python 3, as a path in a layer."""

LOCAL = "usr/local"
"""The prefix of Python 2.7, which knows no virtual environment without help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Paths for the files of wheels, without a leading slash.

    `python` is `major.minor`, `interpreter` what scripts begin with.
    """

    python: str
    prefix: str
    packages: str
    interpreter: str

    @property
    def is_two(self) -> bool:
        """Whether this is Python 2."""
        return self.python.startswith("2.")

    @property
    def site(self) -> str:
        """Where purelib and platlib lie."""
        return f"{self.prefix}/lib/python{self.python}/{self.packages}"

    @property
    def scripts(self) -> str:
        """Where commands lie."""
        return f"{self.prefix}/bin"

    def scheme(self, name: str, distribution: str) -> str:
        """Return the folder of one of a wheel's schemes (PEP 427, "The .data directory")."""
        below = f"python{self.python}/{distribution}"
        return {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": self.scripts,
            "data": self.prefix,
            "headers": f"{self.prefix}/include/{'' if self.is_two else 'site/'}{below}",
        }[name]

    def compiled(self, path: str) -> str:
        """Return where the interpreter looks for the bytecode of a source file (PEP 3147)."""
        if self.is_two:
            return path + "c"
        folder, _, name = path.rpartition("/")
        tag = "cpython-" + self.python.replace(".", "")
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def of(python: str) -> Layout:
    """Return the layout of an image's interpreter, `major.minor`."""
    two = python.startswith("2.")
    return Layout(
        python=python,
        prefix=LOCAL if two else VENV,
        packages="dist-packages" if two else "site-packages",
        interpreter=f"/usr/bin/python{python}" if two else f"/{VENV}/bin/python",
    )


def beside(python: str, prefix: str) -> Layout:
    """Return the layout of an environment at `prefix` for tools, which no image holds."""
    two = python.startswith("2.")
    return Layout(
        python=python,
        prefix=prefix,
        packages="site-packages",
        interpreter=f"/usr/bin/python{python}" if two else f"/{prefix}/bin/python",
    )


def skeleton(layout: Layout, *, system_site_packages: bool) -> tuple[Entry, ...]:
    """Return the virtual environment itself, without pip; nothing for Python 2."""
    from repro.image.layer import Entry

    if layout.is_two:
        return ()
    seen = "true" if system_site_packages else "false"
    text = (
        f"home = /usr/bin\ninclude-system-site-packages = {seen}\nversion = {layout.python}\n"
        f"executable = /usr/bin/python{layout.python}\n"
    )
    links = {
        "python": f"/usr/bin/python{layout.python}",
        "python3": "python",
        f"python{layout.python}": "python",
    }
    return (
        Entry(path=f"{layout.prefix}/pyvenv.cfg", mode=0o644, kind="file", data=text.encode()),
        Entry(path=layout.site, mode=0o755, kind="dir"),
        *(
            Entry(path=f"{layout.scripts}/{name}", mode=0o777, kind="symlink", link=target)
            for name, target in links.items()
        ),
    )
