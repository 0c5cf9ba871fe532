"""Effective indexes from repro.toml, uv's and pip's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.ecosystems.pip.indexes import Indexes, effective, pip_environment, uv_environment
from repro.errors import UsageError
from repro.models.project import Sources

ELSEWHERE = {"XDG_CONFIG_DIRS": "/nonexistent", "PIP_CONFIG_FILE": "/dev/null"}
"""An environment in which nothing of this machine's own configuration is read."""


def of(
    tmp_path: Path, environ: dict[str, str] | None = None, **aliases: str
) -> list[tuple[str, str | None]]:
    sources = Sources(indexes=tuple(aliases.items()))
    found = effective(sources, environ={**ELSEWHERE, **(environ or {})}, home=tmp_path)
    return [(index.alias, index.given) for index in found.indexes]


def test_nothing_configured_is_the_public_index(tmp_path: Path) -> None:
    assert of(tmp_path) == [("default", None)]


def test_pips_environment(tmp_path: Path) -> None:
    environ = {
        "PIP_INDEX_URL": "https://a.example.org/simple",
        "PIP_EXTRA_INDEX_URL": "https://b.example.org/simple https://c.example.org/simple",
        "PIP_FIND_LINKS": "/wheels /more",
    }
    assert of(tmp_path, environ) == [
        ("default", "https://a.example.org/simple"),
        ("extra-1", "https://b.example.org/simple"),
        ("extra-2", "https://c.example.org/simple"),
    ]
    found = effective(Sources(), environ={**ELSEWHERE, **environ}, home=tmp_path)
    assert found.find_links == ("/wheels", "/more")
    assert found.strategy == "unsafe-best-match"


def test_pips_files_later_places_and_the_environment_win(tmp_path: Path) -> None:
    system = tmp_path / "etc/pip/pip.conf"
    user = tmp_path / ".config/pip/pip.conf"
    for path, text in (
        (system, "[global]\nindex-url = https://system.example.org/\nfind-links = /system\n"),
        (
            user,
            "[global]\nindex_url = https://user.example.org/\n"
            "extra-index-url =\n    file:///one/simple\n    file:///two/simple\n",
        ),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    environ = {"XDG_CONFIG_DIRS": str(tmp_path / "etc"), "PIP_CONFIG_FILE": ""}
    found = effective(Sources(), environ=environ, home=tmp_path)
    assert (
        found.indexes[0].alias,
        found.indexes[0].address,
    ) == ("default", "https://user.example.org/")
    assert [i.given for i in found.indexes if i.given and i.given.startswith("file:")][:2] == [
        "file:///one/simple",
        "file:///two/simple",
    ]
    environ["PIP_INDEX_URL"] = "https://environment.example.org/"
    found = effective(Sources(), environ=environ, home=tmp_path)
    assert found.indexes[0].given == "https://environment.example.org/"


def test_a_commands_section_wins_over_global(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_text("[global]\nindex-url = https://g.example.org/\n[install]\nindex-url = x://i/\n")
    assert of(tmp_path, {"PIP_CONFIG_FILE": str(path)})[0] == ("default", "x://i/")


def test_uv_wins_over_pip(tmp_path: Path) -> None:
    environ = {
        "PIP_INDEX_URL": "https://pip.example.org/",
        "UV_DEFAULT_INDEX": "https://uv.example.org/",
        "UV_INDEX": "corp=https://corp.example.org/ https://other.example.org/",
    }
    assert of(tmp_path, environ) == [
        ("default", "https://uv.example.org/"),
        ("corp", "https://corp.example.org/"),
        ("extra-1", "https://other.example.org/"),
    ]
    found = effective(Sources(), environ={**ELSEWHERE, **environ}, home=tmp_path)
    assert found.strategy == "first-index"


def test_uv_toml(tmp_path: Path) -> None:
    path = tmp_path / ".config/uv/uv.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        'find-links = ["/wheels"]\nindex-strategy = "unsafe-first-match"\n'
        '[[index]]\nname = "Corp"\nurl = "https://corp.example.org/"\n'
        '[[index]]\nname = "torch"\nurl = "https://torch.example.org/"\nexplicit = true\n'
        '[[index]]\nname = "main"\nurl = "https://main.example.org/"\ndefault = true\n'
    )
    assert of(tmp_path) == [
        ("default", "https://main.example.org/"),
        ("corp", "https://corp.example.org/"),
    ]
    found = effective(Sources(), environ=ELSEWHERE, home=tmp_path)
    assert found.find_links == ("/wheels",)
    assert found.strategy == "unsafe-first-match"
    assert of(tmp_path, {"UV_NO_CONFIG": "1"}) == [("default", None)]


def test_repro_toml_names_addresses_and_the_users_place_has_the_login(tmp_path: Path) -> None:
    environ = {
        "PIP_INDEX_URL": "https://me:secret@corp.example.org/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.example.org/simple",
    }
    assert of(tmp_path, environ, default="https://corp.example.org/simple") == [
        ("default", "https://me:secret@corp.example.org/simple"),
        ("extra-1", "https://more.example.org/simple"),
    ]


def test_uvs_login_of_a_named_index(tmp_path: Path) -> None:
    environ = {"UV_INDEX_CORP_DATA_USERNAME": "me", "UV_INDEX_CORP_DATA_PASSWORD": "p@ss/word"}
    found = of(tmp_path, environ, **{"corp-data": "https://corp.example.org/simple"})
    assert found[1] == ("corp-data", "https://me:p%40ss%2Fword@corp.example.org/simple")


def test_no_index_leaves_find_links(tmp_path: Path) -> None:
    environ = {**ELSEWHERE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    found = effective(Sources(), environ=environ, home=tmp_path)
    assert found.indexes == ()
    assert uv_environment(found)["UV_NO_INDEX"] == "1"
    assert pip_environment(found)["PIP_NO_INDEX"] == "1"


def login(tmp_path: Path) -> Indexes:
    environ = {**ELSEWHERE, "PIP_INDEX_URL": "https://me:secret@corp.example.org/simple"}
    return effective(Sources(), environ=environ, home=tmp_path)


def test_credentials_are_used_and_never_shown(tmp_path: Path) -> None:
    indexes = login(tmp_path)
    assert "secret" not in repr(indexes)
    given = indexes.with_credentials("https://corp.example.org/files/x.whl")
    assert given == "https://me:secret@corp.example.org/files/x.whl"
    for elsewhere in ("https://corp.example.org:8443/x", "http://corp.example.org/x", "file:///x"):
        assert indexes.with_credentials(elsewhere) == elsewhere


def test_the_alias_of_an_address(tmp_path: Path) -> None:
    environ = {
        **ELSEWHERE,
        "PIP_EXTRA_INDEX_URL": "file:///opt/a/simple file:///opt/a/b/simple",
    }
    indexes = effective(Sources(), environ=environ, home=tmp_path)
    assert indexes.alias_of("file:///opt/a/files/x.whl") == "extra-1"
    assert indexes.alias_of("file:///opt/a/b/files/x.whl") == "extra-2"
    assert indexes.alias_of("https://files.example.org/x.whl") == "default"
    assert next(iter(indexes.ordered("extra-2"))).alias == "extra-2"


@pytest.mark.parametrize("text", ["no section", "\xff"])
def test_an_unreadable_configuration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pip.conf"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"pip\.conf"):
        of(tmp_path, {"PIP_CONFIG_FILE": str(path)})
