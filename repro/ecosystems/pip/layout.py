"""Where Python packages live in an image (DESIGN.md §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.models.lock import CONDA_PREFIX, VENV, Interpreter

if TYPE_CHECKING:
    from repro.image.layer import Entry

PREFIX = VENV.removeprefix("/")
"""The virtual environment of Python 3, as a path in a layer."""

LOCAL = "usr/local"
"""The prefix of Python 2.7, which knows no virtual environment without help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Paths for the files of wheels, without a leading slash.

    `python` is `major.minor`, `interpreter` what scripts begin with, `base` the interpreter
    that stands in the image. `virtual`: the prefix is an environment of pip's packages alone.
    """

    python: str
    prefix: str
    packages: str
    interpreter: str
    base: str
    virtual: bool

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
            "headers": f"{self.prefix}/include/{'site/' if self.virtual else ''}{below}",
        }[name]

    def compiled(self, path: str) -> str:
        """Return where the interpreter looks for the bytecode of a source file (PEP 3147)."""
        if self.is_two:
            return path + "c"
        folder, _, name = path.rpartition("/")
        tag = "cpython-" + self.python.replace(".", "")
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def of(interpreter: Interpreter) -> Layout:
    """Return the layout of an image's interpreter."""
    if interpreter.conda:
        return _shared(interpreter, CONDA_PREFIX.removeprefix("/"))
    if interpreter.version.startswith("2."):
        debian = interpreter.path.startswith("/usr/bin/")
        return _shared(interpreter, LOCAL, "dist-packages" if debian else "site-packages")
    return beside(interpreter, PREFIX)


def beside(interpreter: Interpreter, prefix: str) -> Layout:
    """Return the layout of an environment at `prefix`."""
    if interpreter.version.startswith("2."):
        return _shared(interpreter, prefix)
    return Layout(
        python=interpreter.version,
        prefix=prefix,
        packages="site-packages",
        interpreter=f"/{prefix}/bin/python",
        base=interpreter.path,
        virtual=True,
    )


def _shared(interpreter: Interpreter, prefix: str, packages: str = "site-packages") -> Layout:
    """Return the layout of a prefix that the interpreter itself looks into."""
    return Layout(
        python=interpreter.version,
        prefix=prefix,
        packages=packages,
        interpreter=interpreter.path,
        base=interpreter.path,
        virtual=False,
    )


def skeleton(layout: Layout, *, system_site_packages: bool) -> tuple[Entry, ...]:
    """Return the virtual environment itself, without pip; nothing where there is none."""
    from repro.image.layer import Entry

    if not layout.virtual:
        return ()
    seen = "true" if system_site_packages else "false"
    text = (
        f"home = {layout.base.rpartition('/')[0]}\ninclude-system-site-packages = {seen}\n"
        f"version = {layout.python}\nexecutable = {layout.base}\n"
    )
    links = {
        "python": layout.base,
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
