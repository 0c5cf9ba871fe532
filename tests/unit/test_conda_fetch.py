"""Where conda packages may be had: conda's own settings, their logins, the locked content."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.addresses import redact
from repro.ecosystems.conda.fetch import wanted
from repro.ecosystems.conda.settings import Settings, host_settings, without_login
from repro.errors import UsageError
from tests.conda_archives import Package

CHANNEL = "https://conda.example.org/conda-forge"


def configured(home: Path, text: str, name: str = ".condarc") -> Settings:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return host_settings({"HOME": str(home), "TOKEN": "tk-1"})


def test_without_settings_the_channel_itself(tmp_path: Path) -> None:
    assert list(host_settings({"HOME": str(tmp_path)}).addresses(CHANNEL)) == [CHANNEL]


def test_mirrors_first_then_the_channel_then_its_name_elsewhere(tmp_path: Path) -> None:
    text = """\
channel_alias: https://alias.example.org/
mirrored_channels:
  conda-forge: [https://one.example.org/cf/, /srv/mirror, conda-forge]
custom_channels: {conda-forge: https://custom.example.org}
"""
    assert list(configured(tmp_path, text).addresses(CHANNEL)) == [
        "https://one.example.org/cf",
        "file:///srv/mirror",
        CHANNEL,
        "https://custom.example.org/conda-forge",
        "https://alias.example.org/conda-forge",
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("channels: ['https://u:p%40w@conda.example.org/conda-forge']", f"u:p%40w@{CHANNEL[8:]}"),
        ("channel_alias: https://u:p@conda.example.org", f"u:p@{CHANNEL[8:]}"),
        ("channels: ['https://conda.example.org/t/${TOKEN}/conda-forge']", None),
        ("channels: ['https://u:p@conda.example.org/conda-forge-dev']", CHANNEL[8:]),
        ("channels: ['https://u:p@other.example.org/conda-forge']", CHANNEL[8:]),
    ],
)
def test_logins_of_the_settings(tmp_path: Path, text: str, address: str | None) -> None:
    found = next(configured(tmp_path, text).addresses(CHANNEL))
    assert found == f"https://{address or 'conda.example.org/t/tk-1/conda-forge'}"
    assert without_login(found) == CHANNEL


def test_no_login_is_shown() -> None:
    for secret in ("https://u:hunter2@x.org/c/a", "https://x.org/t/hunter2/c/a?q=hunter2"):
        assert "hunter2" not in redact(secret)


def test_later_files_win_and_lists_are_joined(tmp_path: Path) -> None:
    configured(
        tmp_path, "ssl_verify: /a\nproxy_servers: {http: http://one}", ".config/conda/condarc"
    )
    found = configured(tmp_path, "ssl_verify: /b\nproxy_servers: {https: http://two}")
    assert found.values["ssl_verify"] == "/b"
    assert found.values["proxy_servers"] == {"http": "http://one", "https": "http://two"}


def test_proxies_and_certificates_are_those_of_the_channel(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    text = f"ssl_verify: {bundle}\nproxy_servers: {{https: 'http://u:p@proxy:3128'}}"
    proxies, authorities = configured(tmp_path, text).route(CHANNEL)
    assert proxies == {"https://conda.example.org": "http://u:p@proxy:3128"}
    assert authorities == {"conda.example.org": str(bundle)}


def test_settings_that_are_no_yaml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.condarc"):
        configured(tmp_path, "channels: [")


def test_what_is_wanted_is_the_locked_content(tmp_path: Path) -> None:
    package = Package().locked(CHANNEL)
    [item] = wanted([package, package], environ={"HOME": str(tmp_path)})
    assert (item.label, item.sha256, item.size) == ("conda demo 1.0", package.sha256, package.size)
    assert list(item.addresses()) == [f"{CHANNEL}/linux-64/demo-1.0-0.conda"]
