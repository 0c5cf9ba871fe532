"""Choosing conda packages with the real solver, on the channel that the tests make."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.ecosystems.conda.request import CondaQuery, CondaResolution
from repro.ecosystems.conda.resolve import resolve
from repro.errors import EngineError, LockError, NetworkError, UsageError
from repro.models.lock import CondaPackage, Upgrade
from repro.models.project import CondaRequest
from tests.conda_channel import CondaChannel, serving_channel
from tests.conda_packages import PYTHON
from tests.faults.server import Reply, busy, redirect, serving, signed
from tests.unit.test_project_environment_yml import SPECS


@pytest.fixture(scope="module")
def channel() -> Iterator[CondaChannel]:
    """A channel of this module's own: some tests break what it says."""
    with serving_channel() as served:
        yield served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder without any settings, and a cache that all tests here share."""
    return tmp_path_factory.mktemp("home")


def query(channel: str, *specs: str, **more: object) -> CondaQuery:
    request = CondaRequest(path="environment.yml", channels=(channel,), specs=tuple(sorted(specs)))
    made = CondaQuery(request=request, platform="linux-amd64", glibc="2.36")
    return replace(made, **more)  # type: ignore[arg-type]


def solved(home: Path, asked: CondaQuery, env: Mapping[str, str] | None = None) -> CondaResolution:
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", **(env or {})}
    return resolve(asked, cache=home / "cache", environ=environ)


def versions(found: CondaResolution) -> dict[str, str]:
    return {package.name: package.version for package in found.packages}


def named(found: CondaResolution, name: str) -> CondaPackage:
    [package] = [one for one in found.packages if one.name == name]
    return package


def test_packages_are_chosen_by_content(channel: CondaChannel, home: Path) -> None:
    asked = query(channel.address, f"python {PYTHON}.*", "pandas 2.2.*", "libtiny", "toolz <1")
    found = solved(home, asked)
    assert [package.name for package in found.packages] == sorted(versions(found))
    assert versions(found).keys() == {
        *("libtiny", "numpy", "pandas", "python", "python-dateutil"),
        *("python-tzdata", "pytz", "six", "toolz"),
    }
    for package in found.packages:
        record = channel.record(package.filename)
        assert (package.sha256, package.md5) == (record["sha256"], record["md5"])
        assert package.size == record["size"]
        assert package.address == f"{channel.address}/{record['subdir']}/{package.filename}"
    assert named(found, "toolz").filename == "toolz-0.12.1-py_0.tar.bz2"
    assert named(found, "six").depends == ("python",)
    [provenance] = found.provenance
    facts = dict(provenance.facts)
    assert (provenance.source, facts["resolver"]) == ("conda", "py-rattler")
    assert facts["channels"] == channel.address
    assert "__glibc=2.36=0" in facts["virtual"]


def test_pins_stand_until_they_are_to_move(channel: CondaChannel, home: Path) -> None:
    old = solved(home, query(channel.address, "libtiny 1.2.*", "toolz <1"))
    asked = query(channel.address, "libtiny", "six", "toolz", previous=old.packages)
    kept = solved(home, asked)
    assert (versions(kept)["libtiny"], versions(kept)["toolz"]) == ("1.2.3", "0.12.1")
    assert named(kept, "libtiny") == named(old, "libtiny")
    one = solved(home, replace(asked, upgrade=Upgrade(names=("libtiny",))))
    assert (versions(one)["libtiny"], versions(one)["toolz"]) == ("1.3.0", "0.12.1")
    every = solved(home, replace(asked, upgrade=Upgrade(everything=True)))
    assert (versions(every)["libtiny"], versions(every)["toolz"]) == ("1.3.0", "1.0.0")
    asked = query(channel.address, "libtiny >=1.3", "toolz", previous=old.packages)
    moved = solved(home, asked)
    assert (versions(moved)["libtiny"], versions(moved)["toolz"]) == ("1.3.0", "0.12.1")


def test_a_pin_that_the_channel_has_no_more_stands_too(channel: CondaChannel, home: Path) -> None:
    old = solved(home, query(channel.address, "libtiny 1.2.*"))
    with serving_channel() as other:
        changed(other, lambda index: index["packages.conda"].pop("libtiny-1.2.3-h0_0.conda"))
        previous = tuple(replace(one, channel=other.address) for one in old.packages)
        found = solved(home, query(other.address, "libtiny", previous=previous))
        assert found.packages == previous
        gone = solved(home, query(other.address, "libtiny"))
        assert versions(gone) == {"libtiny": "1.3.0"}


def test_of_two_channels_with_one_package_a_pin_stays_at_its_own(
    channel: CondaChannel, home: Path
) -> None:
    with serving_channel("mirror") as mirror:
        asked = query(channel.address, "libtiny 1.2.*", "toolz")
        both = replace(asked.request, channels=(channel.address, mirror.address))
        asked = replace(asked, request=both)
        first = solved(home, asked)
        assert {one.channel for one in first.packages} == {channel.address}
        asked = replace(asked, previous=first.packages)
        assert solved(home, asked).packages == first.packages
        moved = tuple(replace(one, channel="https://example.org/gone") for one in first.packages)
        assert solved(home, replace(asked, previous=moved)).packages == first.packages


def changed(channel: CondaChannel, change: Callable[[dict[str, Any]], object]) -> None:
    """Serve another index of linux-64."""
    path = "/channel/linux-64/repodata.json"
    answer = channel.server.replies[path]
    assert isinstance(answer, Reply)
    index = json.loads(answer.body)
    change(index)
    channel.server.replies[path] = Reply(body=json.dumps(index).encode())
    del channel.server.replies[f"{path}.zst"]


def test_the_world_as_it_was(channel: CondaChannel, home: Path) -> None:
    asked = query(channel.address, "libtiny", "toolz", as_of="2024-01-01T00:00:00Z")
    assert versions(solved(home, asked))["libtiny"] == "1.2.3"
    assert versions(solved(home, asked))["toolz"] == "0.12.1"
    now = solved(home, replace(asked, as_of=""))
    assert versions(now)["libtiny"] == "1.3.0"
    again = solved(home, replace(asked, previous=now.packages))
    assert versions(again)["libtiny"] == "1.2.3"  # a pin of later does not stand
    with pytest.raises(UsageError, match="as of 2020-01-01T00:00:00Z"):
        solved(home, replace(asked, as_of="2020-01-01T00:00:00Z"))


def test_another_platform_is_locked_from_here(channel: CondaChannel, home: Path) -> None:
    found = solved(home, query(channel.address, "python", "six", platform="linux-arm64"))
    assert {one.name: one.subdir for one in found.packages} == {
        "python": "linux-aarch64",
        "six": "noarch",
    }
    asked = query(channel.address, "six")
    elsewhere = replace(asked, request=replace(asked.request, platforms=("linux-aarch64",)))
    with pytest.raises(UsageError, match="linux-64 is not among its platforms"):
        solved(home, elsewhere)


@pytest.mark.parametrize("glibc", ["2.12", ""])
def test_the_image_decides_what_fits_not_this_host(
    channel: CondaChannel, home: Path, glibc: str
) -> None:
    with pytest.raises(UsageError, match="do not fit together on linux-amd64") as caught:
        solved(home, query(channel.address, "libtiny", glibc=glibc))
    assert "libtiny" in caught.value.message
    assert "__glibc" in caught.value.message
    assert (f"glibc {glibc}" if glibc else "no glibc") in caught.value.message


def test_what_cannot_be_met_is_said_in_the_solvers_words(channel: CondaChannel, home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        solved(home, query(channel.address, "pandas", "numpy <2"))
    assert "No candidates were found for numpy <2" in caught.value.message
    with pytest.raises(UsageError) as caught:
        solved(home, query(channel.address, "libtiny 1.2.*", "libtiny 1.3.*"))
    assert caught.value.message.count("libtiny") > 1


def test_a_package_without_sha256_is_refused(home: Path) -> None:
    with serving_channel() as other:
        changed(other, lambda index: [one.pop("sha256") for one in
                                      index["packages.conda"].values()])  # fmt: skip
        with pytest.raises(LockError, match=r"^conda libtiny 1\.3\.0: .*no sha256"):
            solved(home, query(other.address, "libtiny"))


def test_a_channel_that_cannot_be_read_is_named(home: Path) -> None:
    with serving_channel() as other:
        with pytest.raises(NetworkError, match="its channels cannot be read") as caught:
            solved(home, query(f"{other.server.address}/nothing", "libtiny"))
        assert "404" in caught.value.message
        assert "/nothing/" in caught.value.message
        for name in ("repodata.json", "repodata.json.zst"):
            other.server.replies[f"/channel/linux-64/{name}"] = Reply(body=b'{"packages": 12')
        with pytest.raises(NetworkError, match="its channels cannot be read"):
            solved(home, query(other.address, "libtiny"))
    with pytest.raises(NetworkError, match="Connection refused"):
        solved(home, query("http://127.0.0.1:9/channel", "libtiny"))


def test_logins_come_from_condas_configuration_and_stay_there(
    channel: CondaChannel, tmp_path: Path
) -> None:
    host = channel.server.address.removeprefix("http://")
    (tmp_path / ".condarc").write_text(
        f"custom_channels:\n  channel: http://user:hunter%322@{host}\n"
        f"channel_alias: http://user:hunter2@{host}/elsewhere\n"
    )
    netrc = tmp_path / ".netrc"  # which conda's own configuration goes before
    netrc.write_text("machine 127.0.0.1 login other password another\n")
    channel.server.authorizations.clear()
    found = solved(tmp_path, query("channel", "libtiny"))
    assert set(channel.server.authorizations) == {"Basic dXNlcjpodW50ZXIyMg=="}
    assert found.packages[0].channel == channel.address
    assert "hunter2" not in repr(found)
    again = solved(tmp_path, query(channel.address, f"{channel.address}::libtiny"))
    assert again.packages == found.packages
    with pytest.raises(NetworkError) as caught:
        solved(tmp_path, query("another", "libtiny"))
    assert "/elsewhere/another" in caught.value.message
    assert "hunter2" not in caught.value.message + str(caught.value.hint)
    assert_kept_nowhere(tmp_path, "hunter2", "dXNlcjpodW50")


def test_a_token_in_an_address_is_kept_nowhere(channel: CondaChannel, tmp_path: Path) -> None:
    for path in [path for path in channel.server.replies if path.startswith("/channel/")]:
        channel.server.replies[f"/t/hunter2{path}"] = channel.server.replies[path]
    (tmp_path / ".condarc").write_text(f"channel_alias: {channel.server.address}/t/hunter2\n")
    found = solved(tmp_path, query("channel", "libtiny"))
    assert any(path.startswith("/t/hunter2/channel/linux-64/") for path in channel.server.asked)
    assert found.packages[0].channel == channel.address
    with pytest.raises(NetworkError) as caught:
        solved(tmp_path, query("nothing", "libtiny"))
    assert any(path.startswith("/t/hunter2/nothing/") for path in channel.server.asked)
    assert "hunter2" not in caught.value.message + str(caught.value.hint)
    assert_kept_nowhere(tmp_path, "hunter2")


def assert_kept_nowhere(home: Path, *secrets: str) -> None:
    """No file of the cache holds a secret."""
    for file in [path for path in (home / "cache").rglob("*") if path.is_file()]:
        for secret in secrets:
            assert secret.encode() not in file.read_bytes(), file


def test_logins_come_from_netrc(channel: CondaChannel, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login netuser password hunter2\n")
    netrc.chmod(0o600)
    channel.server.authorizations.clear()
    solved(tmp_path, query(channel.address, "libtiny"))
    assert "Basic bmV0dXNlcjpodW50ZXIy" in channel.server.authorizations


def test_without_certificates_it_says_so(channel: CondaChannel, home: Path, tmp_path: Path) -> None:
    none = {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": str(tmp_path)}
    with pytest.raises(EngineError, match="no certificates of authorities") as caught:
        solved(home, query(channel.address, "libtiny"), none)
    assert "ca-certificates" in str(caught.value.hint)


def test_certificates_are_checked_by_every_way_in(
    channel: CondaChannel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ssl_verify: false` is no way in: nothing here is read from whoever answers."""
    certificate, authority = signed(tmp_path)
    with serving(tls=certificate) as secure:
        secure.replies.update(channel.server.replies)
        asked = query(f"{secure.address}/channel", "libtiny")
        for text in ("", "ssl_verify: false\n"):
            (tmp_path / ".condarc").write_text(text)
            with pytest.raises(NetworkError, match="certificate"):
                solved(tmp_path, asked)
        (tmp_path / ".condarc").write_text(f"ssl_verify: {authority}\n")
        assert versions(solved(tmp_path, asked)) == {"libtiny": "1.3.0"}
        (tmp_path / ".condarc").unlink()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        bundle = {"REQUESTS_CA_BUNDLE": str(authority)}
        assert versions(solved(tmp_path, asked, bundle)) == {"libtiny": "1.3.0"}
        name = "libtiny-1.3.0-h0_0.conda"
        record = {**channel.record(name), "subdir": "noarch", "noarch": "generic"}
        index = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {name: record}}
        secure.replies["/any/noarch/repodata.json"] = Reply(body=json.dumps(index).encode())
        found = solved(tmp_path, query(f"{secure.address}/any", "libtiny"), bundle)
        assert [one.subdir for one in found.packages] == ["noarch"]  # it has no other folder
        for name in ("linux-64/repodata.json", "noarch/repodata.json"):
            for suffix in ("", ".zst"):
                to = f"{channel.address}/{name}{suffix}"
                secure.replies[f"/down/{name}{suffix}"] = redirect(to)
        with pytest.raises(NetworkError, match="redirect"):
            solved(tmp_path, query(f"{secure.address}/down", "libtiny"), bundle)


def test_a_redirect_takes_no_login_along(channel: CondaChannel, tmp_path: Path) -> None:
    with serving_channel() as front, serving() as elsewhere:
        port = elsewhere.address.rpartition(":")[2]
        for path in [path for path in front.server.replies if "repodata" in path]:
            elsewhere.replies[path] = front.server.replies[path]
            front.server.replies[path] = redirect(f"http://localhost:{port}{path}")
            front.server.replies[path.replace("/channel/", "/loop/")] = redirect(
                path.replace("/channel/", "/loop/")
            )
        login = front.address.replace("://", "://user:hunter2@")
        for name, text in (
            (".netrc", "machine 127.0.0.1 login netuser password hunter2\n"),
            (".condarc", f"default_channels: [{login}]\n"),
        ):
            (tmp_path / name).write_text(text)
            front.server.authorizations.clear()
            found = solved(tmp_path / "cache" / name, query(front.address, "libtiny"),
                           {"HOME": str(tmp_path)})  # fmt: skip
            assert versions(found) == {"libtiny": "1.3.0"}
            assert set(elsewhere.authorizations) == {None}
            assert set(front.server.authorizations) - {None}
        with pytest.raises(NetworkError, match="too many redirects"):
            solved(tmp_path, query(f"{front.server.address}/loop", "libtiny"))


def test_every_wait_for_a_channel_is_bounded(home: Path) -> None:
    with serving_channel() as other:
        for path in [path for path in other.server.replies if "repodata" in path]:
            once = other.server.replies[path]
            assert isinstance(once, Reply)
            other.server.replies[path] = [busy(after=1), once]
            other.server.replies[path.replace("/channel/", "/hang/")] = Reply(hang=True)
        assert versions(solved(home, query(other.address, "libtiny"))) == {"libtiny": "1.3.0"}
        hanging = query(f"{other.server.address}/hang", "libtiny")
        with pytest.raises(NetworkError, match="took too long") as caught:
            solved(home, hanging, {"REPRO_HTTP_DEADLINE": "1.5"})
        assert "REPRO_HTTP_DEADLINE" in str(caught.value.hint)


def test_a_newer_package_of_another_channel_is_not_asked_for(
    channel: CondaChannel, home: Path
) -> None:
    with serving_channel() as first:
        changed(first, lambda index: index["packages.conda"].pop("libtiny-1.3.0-h0_0.conda"))
        asked = query(first.address, "libtiny")
        both = replace(asked.request, channels=(first.address, channel.address))
        found = solved(home, replace(asked, request=both))
        assert [(one.version, one.channel) for one in found.packages] == [("1.2.3", first.address)]
        named = replace(both, specs=(f"{channel.address}::libtiny",))
        found = solved(home, replace(asked, request=named))
        assert [one.version for one in found.packages] == ["1.3.0"]


def test_the_solver_reads_a_canonical_form_as_it_reads_the_original() -> None:
    program = (
        "import json, os, sys\nimport rattler\n"
        "pairs = json.load(sys.stdin)\n"
        "for one, other in pairs:\n"
        "    a, b = rattler.MatchSpec(one), rattler.MatchSpec(other)\n"
        "    said = [(str(x.name), str(x.version or '*'), str(x.build)) for x in (a, b)]\n"
        "    print(json.dumps(said))\n"
        "sys.stdout.flush()\nos._exit(0)\n"
    )
    pairs = [(text.strip(), canonical) for text, canonical in SPECS if text != "numpy=1.26=*"]
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(pairs)
    for (text, canonical), (one, other) in zip(pairs, said, strict=True):
        assert one == other, (text, canonical)
