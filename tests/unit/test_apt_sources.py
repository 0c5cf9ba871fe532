"""The host's apt sources and settings, as text."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.ecosystems.apt.sources import (
    AptSources,
    Login,
    Mirror,
    parse_auth,
    parse_deb822,
    parse_one_line,
    parse_settings,
)
from repro.errors import UsageError

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# comment
Types: deb deb-src
URIs: http://deb.example.org/debian/ http://other.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
URIs: https://user:secret@deb.example.org/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example.org/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.example.org/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://arm.example.org/debian
Suites: bookworm
Components: main
Architectures: arm64

Types: deb
URIs: https://docker.example.org/linux/debian
Suites: bookworm
Components: stable

Types: deb
URIs: http://ports.example.org/ubuntu
Suites: noble
Components: main
"""
INLINE = """\
Types: deb
URIs: http://deb.example.org/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
"""


def mirror(host: str, archive: str = "debian", signed_by: str = "", scheme: str = "http") -> Mirror:
    return Mirror(archive=archive, base=f"{scheme}://{host}/{archive}", signed_by=signed_by)


def test_deb822_sources() -> None:
    assert parse_deb822(DEB822) == (
        mirror("deb.example.org", signed_by=KEY),
        mirror("other.example.org", signed_by=KEY),
        mirror("user:secret@deb.example.org", "debian-security", scheme="https"),
        mirror("ports.example.org", "ubuntu"),
    )
    hosts = [urlsplit(found.base).hostname for found in parse_deb822(DEB822, "arm64")]
    assert "arm.example.org" in hosts


def test_a_key_inside_a_source_is_kept_whole() -> None:
    (found,) = parse_deb822(INLINE)
    assert found.signed_by.startswith(" -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://a.example.org/debian bookworm main", (mirror("a.example.org"),)),
        ("  deb\thttp://a.example.org/debian/  bookworm main # x", (mirror("a.example.org"),)),
        (
            f"deb [arch=amd64,arm64 signed-by={KEY}] http://a.example.org/debian bookworm main",
            (mirror("a.example.org", signed_by=KEY),),
        ),
        (
            "deb [ trusted=yes ] file:///srv/debian bookworm main",
            (Mirror(archive="debian", base="file:///srv/debian"),),
        ),
        ("deb [arch=arm64] http://a.example.org/debian bookworm main", ()),
        (
            "deb [signed-by=0123ABCD] http://a.example.org/debian sid main",
            (mirror("a.example.org"),),
        ),
        ("deb-src http://a.example.org/debian bookworm main", ()),
        ("#deb http://a.example.org/debian bookworm main", ()),
        ("deb cdrom:[Debian 12]/ bookworm main", ()),
        ("deb http://a.example.org/debian ./", ()),
        ("deb ftp://a.example.org/debian bookworm main", ()),
        ("deb http://a.example.org/linux/debian bookworm stable", ()),
    ],
)
def test_one_line_sources(line: str, expected: tuple[Mirror, ...]) -> None:
    assert parse_one_line(f"# header\n{line}\n") == expected


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse_one_line(text)
    parse_deb822(text)
    parse_settings(text)
    parse_auth(text)


def test_settings_of_apt_config_dump() -> None:
    dump = 'Acquire::http::Proxy "http://p.example.org:3128";\nDir "/";\nDPkg::Post "a; b";\nx\n'
    assert parse_settings(dump) == (
        ("Acquire::http::Proxy", "http://p.example.org:3128"),
        ("Dir", "/"),
        ("DPkg::Post", "a; b"),
    )


AUTH = """\
# comment machine no login no
machine deb.example.org login user password s3:c@ret
machine http://plain.example.org/debian
  login other
  password word
machine incomplete.example.org
"""


def test_logins() -> None:
    found = parse_auth(AUTH)
    assert [(one.machine, one.user, one.password) for one in found] == [
        ("deb.example.org", "user", "s3:c@ret"),
        ("http://plain.example.org/debian", "other", "word"),
    ]
    assert "ret" not in repr(found)
    assert "word" not in repr(found).replace("password", "")


@pytest.mark.parametrize(
    ("machine", "address", "fits"),
    [
        ("a.example.org", "https://a.example.org/debian/x", True),
        ("a.example.org", "http://a.example.org/debian/x", False),
        ("a.example.org", "https://b.a.example.org/debian/x", False),
        ("a.example.org:8443", "https://a.example.org:8443/x", True),
        ("a.example.org:8443", "https://a.example.org/x", False),
        ("a.example.org/debian", "https://a.example.org/debian/x", True),
        ("a.example.org/debian", "https://a.example.org/other/x", False),
        ("http://a.example.org", "http://a.example.org/x", True),
    ],
)
def test_where_a_login_fits(machine: str, address: str, fits: bool) -> None:
    assert Login(machine=machine, user="u", password="p").fits(address) is fits


def test_addresses_carry_credentials_in_memory_only() -> None:
    sources = AptSources(
        mirrors=(
            mirror("deb.example.org", scheme="https"),
            mirror("own:word@b.example.org", scheme="https"),
            mirror("c.example.org", "debian-security"),
        ),
        logins=parse_auth(AUTH),
    )
    assert list(sources.addresses("debian", "pool/main/g/g++/g++_1%3a2~x_amd64.deb")) == [
        "https://user:s3%3Ac%40ret@deb.example.org/debian/pool/main/g/g%2B%2B/g%2B%2B_1%253a2~x_amd64.deb",
        "https://own:word@b.example.org/debian/pool/main/g/g%2B%2B/g%2B%2B_1%253a2~x_amd64.deb",
    ]
    assert "word" not in repr(sources)
    assert "s3" not in repr(sources)


def test_proxies_and_authorities_are_apt_s() -> None:
    sources = AptSources(
        mirrors=(
            mirror("a.example.org"),
            mirror("b.example.org", "debian-security", scheme="https"),
            mirror("c.example.org"),
        ),
        settings=(
            ("Acquire::http::Proxy", "http://proxy.example.org:3128"),
            ("Acquire::http::Proxy::c.example.org", "DIRECT"),
            ("Acquire::https::CAInfo", "/etc/ssl/ours.pem"),
        ),
    )
    assert sources.proxies() == {
        "http://a.example.org": "http://proxy.example.org:3128",
        "https://b.example.org": "http://proxy.example.org:3128",
    }
    assert sources.authorities() == {"b.example.org": "/etc/ssl/ours.pem"}
    assert AptSources(mirrors=(mirror("a.example.org"),)).proxies() == {}


def test_no_mirror_names_both_remedies() -> None:
    with pytest.raises(UsageError, match=r"/etc/apt/sources\.list\.d") as caught:
        AptSources(mirrors=(mirror("a.example.org"),)).mirror("debian-security")
    assert "[apt] mirror" in (caught.value.hint or "")
