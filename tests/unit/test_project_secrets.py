"""Which files look like keys and passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.project.secrets import secret_files

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "path",
    [
        ".env", ".env.production", "conf/prod.env", ".envrc", ".ENV", "id_rsa", "keys/id_ed25519",
        ".netrc", "home/.aws/credentials", "credentials.json", "store.p12", "deep/er/.pypirc",
    ],
)  # fmt: skip
def test_by_name(path: str, tmp_path: Path) -> None:
    assert secret_files(tmp_path, [path]) == (path,)


@pytest.mark.parametrize(
    "path",
    [
        "environment.yml", "env", "env/bin/python", ".env.example", "prod.env.sample", "envs.py",
        "id_rsa.pub", "aws/credentials", "analysis.py", "keys.csv", "absent.pem",
    ],
)  # fmt: skip
def test_what_is_none(path: str, tmp_path: Path) -> None:
    assert secret_files(tmp_path, [path]) == ()


def test_by_content_where_the_name_does_not_decide(tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text(KEY)
    (tmp_path / "public.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "late.key").write_text("#" * 8192 + KEY)
    (tmp_path / "link.key").symlink_to("private.pem")
    names = [path.name for path in tmp_path.iterdir()]
    assert secret_files(tmp_path, names) == ("private.pem",)
