"""Reading requirement files: text → requirements in canonical form (pip's file format, PEP 508).

Only what names content by name and version gets through. Addresses, other options and local
paths are refused with the line and what to write instead: they would reach the resolver as
options, or a lock as hosts.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from repro.errors import UsageError
from repro.locks.names import python_name, sha256, shown, single_line
from repro.locks.pip_text import LINE_LIMIT, logical_lines, option

# What a requirement file, a shell or a Dockerfile would read as something else: continuation,
# comment, expansion of the environment.
_FORBIDDEN = re.compile(r"[\\#$`]")

_ITSELF = re.compile(r"\./?(?:\[(?P<extras>[^\]]*)\])?")
_ARTIFACT = re.compile(r"\.(whl|zip|tar|tar\.(gz|bz2|xz)|tgz|egg)(\[|\s|;|$)", re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|^(file|git|hg|svn|bzr)[+:]", re.IGNORECASE)
_LINES = 5_000

_INDEX_HINT = (
    "name the index under [indexes] in repro.toml, without credentials; those come from pip's, "
    "uv's or netrc's own configuration"
)
_ADVICE = {
    "--index-url": _INDEX_HINT,
    "--extra-index-url": _INDEX_HINT,
    "--no-index": _INDEX_HINT,
    "--trusted-host": "remove it: every file is checked by its sha256",
    "--require-hashes": "remove it: every file is locked by its sha256 anyway",
    "--find-links": 'vendor the files in a folder and name it: vendor = "DIR" in repro.toml',
    "--pre": "write a pre-release into the requirement itself, for example name>=2.0rc1",
    "--no-binary": "remove it: a wheel is taken where there is one, else the source is built",
    "--only-binary": "remove it: a wheel is taken where there is one, else the source is built",
    "--prefer-binary": "remove it: a wheel is taken where there is one, else the source is built",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementText:
    """One requirement file, read. `includes` and `constraints` are (line number, path as written).

    `itself` holds, for each line that names the project (`.`, `-e .[plot]`), its extras.
    """

    lines: tuple[str, ...]
    includes: tuple[tuple[int, str], ...] = ()
    constraints: tuple[tuple[int, str], ...] = ()
    itself: tuple[tuple[str, ...], ...] = ()


def parse_requirements(text: str, *, where: str) -> RequirementText:
    """Return a requirement file's content, its lines in canonical form and sorted.

    Raises UsageError as `file:line: …` for anything that is no plain requirement.
    """
    lines: set[str] = set()
    files: dict[str, list[tuple[int, str]]] = {"--requirement": [], "--constraint": []}
    itself: list[tuple[str, ...]] = []
    for number, line in logical_lines(text, where):
        place = f"{where}:{number}"
        name, target = _option(line, place)
        if name in files:
            files[name].append((number, target))
        elif (found := _ITSELF.fullmatch(target)) is not None:
            itself.append(_extras(found["extras"], place))
        elif name:
            raise _refuse_target(target, place)
        else:
            lines.add(_hashed_requirement(line, place))
            if len(lines) > _LINES:
                raise UsageError(f"{where}: more than {_LINES} requirements")
    return RequirementText(
        lines=tuple(sorted(lines)),
        includes=tuple(files["--requirement"]),
        constraints=tuple(files["--constraint"]),
        itself=tuple(itself),
    )


def _option(line: str, where: str) -> tuple[str, str]:
    """Split `-r FILE`, `-c FILE`, `-e TARGET` in all of their spellings; no option: ("", line).

    Raises UsageError for every other option, without showing its value: it may be a credential.
    """
    found = option(line, where)
    if found is None:
        return "", line
    name, value = found
    if name not in ("--requirement", "--constraint", "--editable"):
        raise UsageError(
            f"{where}: the option {name} is not read from a requirement file",
            hint=_ADVICE.get(name, "remove the line"),
        )
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise UsageError(f"{where}: {name}: {error}") from None
    if len(words) != 1:
        raise UsageError(f"{where}: {name} takes one value, here are {len(words)}")
    return name, words[0]


def _extras(text: str | None, where: str) -> tuple[str, ...]:
    names = [name.strip() for name in (text or "").split(",")]
    return tuple(sorted(python_name(name, where, UsageError) for name in names if name))


def _hashed_requirement(line: str, where: str) -> str:
    """Canonical form of `requirement [--hash=sha256:HEX]…`, hashes sorted."""
    words = line.split()
    cut = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    hashes: set[str] = set()
    rest = words[cut:]
    while rest:
        word = rest.pop(0)
        if word == "--hash" and rest:
            word = f"--hash={rest.pop(0)}"
        name, _, value = word.partition("=")
        if name != "--hash":
            raise UsageError(
                f"{where}: the option {shown(name)} after a requirement is not read",
                hint="only --hash=sha256:… is; remove the option",
            )
        kind, _, digest = value.partition(":")
        if kind != "sha256":
            raise UsageError(
                f"{where}: {shown(value)} is no sha256", hint="give --hash=sha256:…, or no hash"
            )
        hashes.add(f" --hash=sha256:{sha256(digest, where, UsageError)}")
    # the text as written, not its words: white space inside quotes belongs to the marker
    return requirement_line(
        line if cut == len(words) else _before(line, words[cut]), where
    ) + "".join(sorted(hashes))


def _before(line: str, word: str) -> str:
    found = re.search(rf"(^|\s){re.escape(word)}(\s|$)", line)
    assert found is not None
    return line[: found.start()].strip()


def requirement_line(text: str, where: str) -> str:
    """Return one PEP 508 requirement in canonical form: name, extras, specifiers, marker.

    Raises UsageError for addresses, paths, control characters and anything that PEP 508 is not.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if len(text) > LINE_LIMIT:
        raise UsageError(f"{where}: the requirement is longer than {LINE_LIMIT} characters")
    if "@" in text.partition(";")[0] or _ADDRESS.search(text):
        raise _refuse_target(text, where)
    single_line(text, where, UsageError)
    if _looks_local(text):
        raise _refuse_target(text, where)
    if found := _FORBIDDEN.search(text):
        raise UsageError(
            f"{where}: {shown(text)} holds {found.group()!r}",
            hint="write name, version and marker out: nothing is expanded here",
        )
    try:
        parsed = Requirement(text)
        specifier = str(parsed.specifier)  # Python prints no number of more than 4,300 digits
    except (InvalidRequirement, RecursionError, ValueError) as error:
        said = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
        raise UsageError(
            f"{where}: {shown(text)} is not a requirement: {said}",
            hint="write it as name==version; one requirement a line",
        ) from None
    for clause in parsed.specifier:
        if clause.operator == "===":
            _arbitrary_version(clause.version, where)
    name = canonicalize_name(parsed.name)
    extras = ",".join(sorted({canonicalize_name(extra) for extra in parsed.extras}))
    marker = f"; {parsed.marker}" if parsed.marker else ""
    return f"{name}{f'[{extras}]' if extras else ''}{specifier}{marker}"


def _arbitrary_version(version: str, where: str) -> None:
    """Refuse `===TEXT` beyond words: PEP 440 lets any text through there."""
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._+!-]*[A-Za-z0-9])?", version, re.ASCII):
        raise UsageError(f"{where}: {shown(version)} is not a version", hint="write == instead")


def _looks_local(text: str) -> bool:
    head = text.partition(";")[0]
    return head.startswith((".", "/", "~")) or "/" in head or bool(_ARTIFACT.search(head))


def _refuse_target(text: str, where: str) -> UsageError:
    """Say what stands there instead of a requirement, never the address itself."""
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?=\s*(?:\[[^\]]*\]\s*)?@)", text)
    if name is not None or _ADDRESS.search(text):
        what = f"{name.group()[:80]}: " if name else ""
        return UsageError(
            f"{where}: {what}a requirement by address or version control is not locked",
            hint="name a release that an index has (name==version); for an index of your own "
            "see [indexes] in repro.toml",
        )
    return UsageError(
        f"{where}: {shown(text)} is a local path",
        hint="only the project itself ('.' or '-e .') may be named by path; put other code into "
        "the project (its src/ is importable), or name a release (name==version)",
    )
