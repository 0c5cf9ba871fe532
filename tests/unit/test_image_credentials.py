"""Docker's configuration: every form in which it has a login, and what is none."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.image.credentials import Credential, config_path, credential
from repro.progress import Silent

HOST = "registry.example.org"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def read(folder: Path, config: object, *names: str) -> Credential | None:
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text)
    return credential(names or (HOST,), {"DOCKER_CONFIG": str(folder)}, Silent())


@pytest.mark.parametrize(
    "key",
    [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2/", f"{HOST}/"],
)
def test_a_registry_is_found_by_name_or_address(tmp_path: Path, key: str) -> None:
    config = {
        "auths": {"other.example.org": {"auth": encoded("a:b")}, key: {"auth": encoded("u:p:q")}}
    }
    found = read(tmp_path, config)
    assert found == Credential(username="u", password="p:q")
    assert found is not None
    assert found.basic == "Basic " + encoded("u:p:q")
    assert "p:q" not in repr(found)
    assert read(tmp_path, config, f"{HOST}:5000") is None
    assert read(tmp_path, config, "example.org") is None


def test_other_forms_of_a_login(tmp_path: Path) -> None:
    plain = {"auths": {HOST: {"username": "u", "password": "p"}}}
    assert read(tmp_path, plain) == Credential(username="u", password="p")
    identity = {"auths": {HOST: {"auth": encoded("0000:"), "identitytoken": "t"}}}
    assert read(tmp_path, identity) == Credential(username="0000", token="t")
    token = {"auths": {HOST: {"username": "<token>", "password": "t"}}}
    assert read(tmp_path, token) == Credential(token="t")
    assert "t'" not in repr(Credential(token="t"))
    assert Credential(token="t").basic == ""


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auths": {}},
        {"auths": []},
        {"auths": {HOST: {}}},
        {"auths": {HOST: 1}},
        {"auths": None},
    ],
)
def test_no_login_is_none(tmp_path: Path, config: object) -> None:
    assert read(tmp_path, config) is None


def test_no_configuration_is_no_login(tmp_path: Path) -> None:
    assert credential((HOST,), {"DOCKER_CONFIG": str(tmp_path / "none")}, Silent()) is None
    assert config_path({}) == Path.home() / ".docker" / "config.json"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ("[" * 100_000, "is no JSON"),
        ({"auths": {HOST: {"auth": "hunter2!"}}}, "holds an auth that is not base64"),
        ({"credsStore": "../../evil"}, "a credential helper that cannot be a program"),
        ({"credHelpers": {HOST: "-x"}}, "a credential helper that cannot be a program"),
        ({"credHelpers": {HOST: ["a"]}}, "a credential helper that cannot be a program"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_shown(
    tmp_path: Path, config: object, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read(tmp_path, config)
    assert str(tmp_path / "config.json") in caught.value.message
    assert "hunter2" not in str(caught.value)
