"""Follow every link of the built pages: `python docs/_extensions/check_links.py build/docs`.

Inside the site: the file must be there, and the anchor in it. To other sites: the form alone, no
host is asked. What a page loads (scripts, styles, pictures) must be its own.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

OUTSIDE = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s<>\"]*)?")
LOADED = frozenset({("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src")})
LOADING = frozenset({"stylesheet", "preload", "icon", "preconnect", "dns-prefetch"})
REMOTE_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"]?)(?:https?:)?//", re.IGNORECASE)


@dataclass
class Page(HTMLParser):
    """What one page offers (`anchors`), links to, and loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of the attributes that name or lead somewhere."""
        found = {name: value or "" for name, value in attrs}
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and LOADING & set(found.get("rel", "").split()):
            self.loads.append(found.get("href", ""))
        self.loads += [value for name, value in found.items() if (tag, name) in LOADED]


def problems(site: Path) -> list[str]:
    """Every link that leads nowhere and every foreign thing that is loaded, as `page: what`."""
    pages = {path: read(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        found += [
            f"{where}: {link}: {why}" for link in page.links if (why := wrong(link, path, pages))
        ]
        found += [
            f"{where}: loads {link}, which is not part of the site"
            for link in page.loads
            if not is_part(link, path)
        ]
    for path in sorted(site.rglob("*.css")):
        if REMOTE_STYLE.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)}: loads from another host")
    return found


def read(path: Path) -> Page:
    """Parse one page."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def wrong(link: str, at: Path, pages: dict[Path, Page]) -> str | None:
    """Why a link does not work; None when it does."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None if OUTSIDE.fullmatch(link) else "not an https address"
    target = (at.parent / unquote(parts.path)).resolve() if parts.path else at
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such anchor"
    return None


def is_part(link: str, at: Path) -> bool:
    """Whether what a page loads is a file of the site, or written into the page itself."""
    parts = urlsplit(link)
    if parts.scheme == "data":
        return True
    return not parts.scheme and not parts.netloc and (at.parent / unquote(parts.path)).is_file()


if __name__ == "__main__":
    said = problems(Path(sys.argv[1]).resolve())
    sys.stderr.writelines(f"{line}\n" for line in said)
    sys.exit(1 if said else 0)
