"""Names of images, read as docker reads them.

Grammar: the `reference` package of the distribution project (`reference.go`, `normalize.go`):

    reference  := name [ ":" tag ] [ "@" digest ]
    name       := [ domain "/" ] component [ "/" component ]*
    component  := [a-z0-9]+ ( ( "_" | "." | "__" | "-"+ ) [a-z0-9]+ )*
    tag        := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from repro.errors import LockError, ReproError, UsageError
from repro.locks.names import shown

LATEST = "latest"
"""The tag of a name without one."""

OFFICIAL = "library"
"""Where the default registry keeps the images that have a name of one word."""

_LONGEST = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_WHOLE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A whole name: no part of it is left to a default.

    `domain` is a registry's host, with a port where it has one; `path` the repository there.
    `tag` and `digest` are "" where the name has none; it has one of them at least.
    """

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}"

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse_reference(
    text: str, where: str, error: type[ReproError] = UsageError, *, default: str
) -> Reference:
    """Read the name of an image; `default` is the registry of names that say none.

    Raises `error`, naming `where`, for everything that docker would not take.
    """
    require_reference(text, where, error)
    domain, path = _split(text)
    found = re.fullmatch(rf"(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>.+))?", path)
    if found is None:  # a first part that is no domain, yet not a component either: `HOST/name`
        raise _refused(text, where, error)
    path, tag, digest = found["path"], found["tag"] or "", found["digest"] or ""
    if domain in ("", default, f"index.{default}"):
        domain = default
        path = path if "/" in path else f"{OFFICIAL}/{path}"
    if not tag and not digest:
        tag = LATEST
    return Reference(domain=domain, path=path, tag=tag, digest=digest)


def require_reference(text: str, where: str, error: type[ReproError] = UsageError) -> str:
    """Return the name of an image as it is. Raises `error` for what is none."""
    found = _WHOLE.fullmatch(text) if len(text) <= 2 * _LONGEST else None
    if found is None:
        raise _refused(text, where, error)
    if len(found["path"]) + len(found["domain"] or "") >= _LONGEST:
        raise error(f"{where}: {shown(text)} is longer than the name of an image can be")
    if re.fullmatch(r"[0-9a-f]{64}", text):
        raise error(
            f"{where}: {shown(text)} is an image ID, which no registry knows",
            hint='give that image a name: docker tag ID NAME, then: image = "NAME"',
        )
    return text


def is_named(whole: str, text: str) -> bool:
    """Whether a whole name may be what the name that a user wrote stands for.

    Which registry is the default one is not asked: a name without a registry may be of any.
    """
    known = parse_reference(whole, "base", LockError, default="")
    found = parse_reference(text, "image", default="")
    domains = (found.domain, found.domain.removeprefix("index.")) if found.domain else ()
    return (
        (known.domain in domains or not domains)
        and known.path in (found.path, f"{OFFICIAL}/{found.path}")
        and (known.tag, known.digest) == (found.tag, found.digest)
    )


def _split(text: str) -> tuple[str, str]:
    """Part the domain from the rest, by docker's rule of what a domain looks like."""
    first, slash, rest = text.partition("/")
    is_domain = "." in first or ":" in first or first == "localhost" or first != first.lower()
    return (first, rest) if slash and is_domain else ("", text)


def _refused(text: str, where: str, error: type[ReproError]) -> ReproError:
    hint = 'write it as docker does: "python:3.12-slim", "registry.example.org/team/image:1.0"'
    if "@sha256:" in text:
        hint = "a digest is sha256: and 64 lower-case hexadecimal digits"
    elif "://" in text:
        hint = "write it without the scheme: registry.example.org/team/image:1.0"
    elif text != text.lower() and _WHOLE.fullmatch(text.lower()):
        hint = "repositories are written in lower-case letters"
    return error(f"{where}: {shown(text)} is not the name of an image", hint=hint)
