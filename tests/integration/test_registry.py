"""Base images out of Debian's own registry: pinned, fetched, verified; who may read them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from repro.errors import LockError, NetworkError, ReproError, UsageError
from repro.models.lock import BaseImage
from repro.progress import Silent
from repro.workflows.base import base_layers, pin_base
from repro.workflows.tools import Tools, make_tools
from tests.based import logged_in
from tests.faults.server import Reply, Server, redirect, serving
from tests.registry import (
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI,
    MadeImage,
    Registry,
    digest_of,
    made_image,
    registry_running,
    tar_member,
    tar_of,
    zipped,
)
from tests.token_service import TokenService, token_service

PLATFORM = "linux-amd64"
LOWER = tar_of(
    (tar_member("etc/", tarfile.DIRTYPE, mode=0o755), b""),
    (tar_member("etc/os-release"), b'NAME="x"\nVERSION_CODENAME="bookworm"\n'),
    (tar_member("large"), os.urandom(300_000) + bytes(3_000_000)),
)
UPPER = tar_of((tar_member("etc/number"), b"1\n"))


class Notes(Silent):
    """A progress that keeps its notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def tools(tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Tools:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-daemon")
    monkeypatch.setenv("REPRO_HTTP_TIMEOUT", "5")
    return make_tools(progress=notes, cache_root=tmp_path / "cache")


def pin(name: str, tools: Tools, *, keep: BaseImage | None = None) -> BaseImage:
    return pin_base(name, PLATFORM, tools, keep=keep, upgrade=False)


def contents(tools: Tools, base: BaseImage) -> list[bytes]:
    return [tools.store.layer_path(layer).read_bytes() for layer in base_layers(base, tools)]


ZSTD = zstandard.ZstdCompressor().compress


def two_members(data: bytes) -> bytes:
    return zipped(data[:1000]) + zipped(data[1000:])


@pytest.mark.parametrize(
    ("compress", "kind"),
    [
        (zipped, f"{OCI}.layer.v1.tar+gzip"),
        (two_members, f"{OCI}.layer.v1.tar+gzip"),
        (ZSTD, f"{OCI}.layer.v1.tar+zstd"),
        (bytes, f"{OCI}.layer.v1.tar"),
        (zipped, DOCKER_LAYER),
        (zipped, f"{OCI}.layer.v1.tar"),  # the media type is not right, as happens
    ],
)
def test_layers_come_as_plain_tars(
    registry: Registry, tools: Tools, compress: Callable[[bytes], bytes], kind: str
) -> None:
    image = made_image([LOWER, UPPER], compress=compress, layer_type=kind, env=["A=b", "C=d=e"])
    if kind == DOCKER_LAYER:
        image = replace(image, manifest_type=DOCKER_MANIFEST)
    registry.push("team/base", "1.0", image)
    base = pin(f"{registry.host}/team/base:1.0", tools)
    assert base == BaseImage(
        reference=f"{registry.host}/team/base:1.0",
        digest=image.digest,
        id=image.id,
        layers=(digest_of(LOWER), digest_of(UPPER)),
        env=(("A", "b"), ("C", "d=e")),
        suite="bookworm",
    )
    assert contents(tools, base) == [LOWER, UPPER]


def test_an_index_gives_the_image_of_the_platform(registry: Registry, tools: Tools) -> None:
    mine, other = made_image([UPPER]), made_image([UPPER, LOWER], platform="linux-arm64")
    digest = registry.push_index("team/many", "2", {"linux-arm64": other, PLATFORM: mine})
    for name in ("2", f"2@{digest}"):
        base = pin(f"{registry.host}/team/many:{name}", tools)
        assert (base.digest, base.id) == (mine.digest, mine.id)
    assert pin(f"{registry.host}/team/many@{mine.digest}", tools).id == mine.id


def test_what_is_pinned_is_kept_and_fetched_once(registry: Registry, tools: Tools) -> None:
    name = f"{registry.host}/team/kept:1"
    image = registry.push("team/kept", "1", made_image([LOWER]))
    base = pin(name, tools)
    registry.push("team/kept", "1", made_image([UPPER]))
    assert pin(name, tools, keep=base) is base
    assert pin_base(name, PLATFORM, tools, keep=base, upgrade=True).id != image.id
    before = registry.log
    offline = replace(tools, offline=True)
    assert contents(offline, base) == [LOWER]
    assert registry.log == before


def test_a_registry_that_is_gone_is_missed_only_where_a_layer_is(
    tmp_path: Path, tools: Tools
) -> None:
    with registry_running(tmp_path / "registry") as registry:
        registry.push("base", "1", made_image([LOWER, UPPER]))
        base = pin(f"{registry.host}/base:1", tools)
        registry.stop()
        assert contents(tools, base) == [LOWER, UPPER]
        tools.store.path(base.layers[1].removeprefix("sha256:")).unlink()
        with pytest.raises(NetworkError, match=r"layer 2 of 2: .*base:1: .*Connection refused"):
            contents(make_tools(progress=Silent(), cache_root=tools.store.root), base)
        registry.start()
        assert contents(tools, base) == [LOWER, UPPER]


def test_a_vendored_layer_comes_before_the_registry(registry: Registry, tools: Tools) -> None:
    from repro.ecosystems.base_image import recipes

    registry.push("vendored", "1", made_image([LOWER, UPPER]))
    base = pin(f"{registry.host}/vendored:1", tools)
    fresh = make_tools(progress=tools.progress, cache_root=tools.store.root.with_name("fresh"))
    vendor = tools.store.root.with_name("vendor")
    for layer in (LOWER, UPPER):
        sha256 = hashlib.sha256(layer).hexdigest()
        path = vendor / "sha256" / sha256[:2] / sha256
        path.parent.mkdir(parents=True)
        path.write_bytes(layer if layer is LOWER else layer[:-1] + b"x")
    lower, upper = recipes(
        base, store=fresh.store, http=fresh.http, progress=fresh.progress, vendor=vendor,
        offline=True,
    )  # fmt: skip
    kept = fresh.store.keep_layer(lower.name, lower.key, lower.write)
    assert kept.digest == digest_of(LOWER)
    with pytest.raises(NetworkError, match="layer 2 of 2: not in the store, and this run is"):
        fresh.store.keep_layer(upper.name, upper.key, upper.write)
    assert isinstance(tools.progress, Notes)
    assert "asking the next source" in tools.progress.said[-1]


@pytest.mark.parametrize("what", ["layer", "config", "manifest"])
def test_what_is_damaged_there_never_gets_in(
    tmp_path: Path, tools: Tools, what: str, registry: Registry
) -> None:
    lower = tar_of((tar_member("one"), os.urandom(100_000)))
    image = registry.push(f"damaged/{what}", "1", made_image([lower]))
    damaged = {
        "layer": digest_of(image.blobs[0]),
        "config": image.id,
        "manifest": image.digest,
    }[what]
    registry.damage(damaged)
    version = f"@{image.digest}" if what == "manifest" else ":1"
    with pytest.raises((LockError, NetworkError)) as caught:
        pin(f"{registry.host}/damaged/{what}{version}", tools)
    if what != "manifest":  # the registry itself looks at those
        assert caught.type is LockError
        assert f" as {damaged}" in str(caught.value)
    assert not tools.store.has(hashlib.sha256(lower).hexdigest())
    assert [path for path in (tools.store.root / "sha256").rglob("*") if path.is_file()] == []


def refused(
    registry: Registry, tools: Tools, image: MadeImage, kind: type[ReproError] = UsageError
) -> str:
    registry.push("refused", "1", image)
    with pytest.raises(kind) as caught:
        pin(f"{registry.host}/refused:1", tools)
    return caught.value.message


def test_what_cannot_be_a_base_is_refused(registry: Registry, tools: Tools) -> None:
    arm = made_image([LOWER], platform="linux-arm64")
    assert "is an image for linux-arm64, not for linux-amd64" in refused(registry, tools, arm)
    windows = made_image([LOWER], platform="windows-amd64")
    assert "windows-amd64" in refused(registry, tools, windows)
    empty = made_image([])
    assert "has no layers" in refused(registry, tools, empty)
    lying = replace(made_image([LOWER, UPPER]), blobs=(zipped(LOWER),))
    assert "1 layers, its configuration 2" in refused(registry, tools, lying, LockError)
    other = replace(made_image([LOWER]), blobs=(zipped(UPPER),))
    assert "uncompressed it is" in refused(registry, tools, other, LockError)
    many = made_image([UPPER] * 61)
    assert "has 61 layers, and at most 60" in refused(registry, tools, many)
    registry.push_index("refused", "2", {"linux-arm64": arm, "windows-amd64": windows})
    with pytest.raises(UsageError, match="for linux-arm64, windows-amd64, not for"):
        pin(f"{registry.host}/refused:2", tools)


def test_an_image_that_nobody_has_is_named(registry: Registry, tools: Tools) -> None:
    with pytest.raises(NetworkError, match=r"no such image \(HTTP 404 for 9\)") as caught:
        pin(f"{registry.host}/team/nothing:9", tools)
    assert caught.value.hint == "check its name and its tag"


# ------------------------------------------------------------------------ who may read


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Registry]:
    with registry_running(tmp_path / "closed", login=True) as running:
        running.push("base", "1", made_image([LOWER]))
        yield running


def test_a_password_comes_from_dockers_configuration(
    closed: Registry, tools: Tools, tmp_path: Path
) -> None:
    name = f"{closed.host}/base:1"
    assert closed.login is not None
    with pytest.raises(NetworkError, match="HTTP 401") as caught:
        pin(name, tools)
    assert caught.value.hint == f"check its name; then log in: docker login {closed.host}"
    logged_in(tmp_path / "docker", closed.host, (closed.login[0], "wrong-hunter2"))
    with pytest.raises(NetworkError, match="HTTP 401") as caught:
        pin(name, tools)
    assert "hunter2" not in str(caught.value)
    logged_in(tmp_path / "docker", f"http://{closed.host}/v2/", closed.login)
    assert contents(tools, pin(name, tools)) == [LOWER]
    written = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not any(closed.login[1].encode() in data for data in written)


def test_netrc_is_not_asked(
    closed: Registry, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert closed.login is not None
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {closed.login[0]} password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    logged_in(tmp_path / "docker", closed.host, closed.login)
    assert pin(f"{closed.host}/base:1", tools).layers == (digest_of(LOWER),)


HELPER = """\
#!/bin/sh
read server
echo "$1 $server" >> "$HELPED"
[ "$server" = "{host}" ] || {{ echo "credentials not found in native keychain"; exit 1; }}
echo '{{"ServerURL": "{host}", "Username": "{user}", "Secret": "{secret}"}}'
"""


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_program_is_asked(
    closed: Registry, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    assert closed.login is not None
    user, secret = closed.login
    program = tmp_path / "bin" / "docker-credential-tests"
    program.parent.mkdir()
    program.write_text(HELPER.format(host=closed.host, user=user, secret=secret))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HELPED", str(tmp_path / "helped"))
    (tmp_path / "docker").mkdir()
    value = {closed.host: "tests"} if key == "credHelpers" else "tests"
    (tmp_path / "docker/config.json").write_text(json.dumps({key: value}))
    assert pin(f"{closed.host}/base:1", tools).layers == (digest_of(LOWER),)
    assert (tmp_path / "helped").read_text() == f"get {closed.host}\n"


def test_a_helper_that_is_not_there_is_said(
    closed: Registry, tools: Tools, notes: Notes, tmp_path: Path
) -> None:
    assert closed.login is not None
    logged_in(tmp_path / "docker", closed.host, closed.login)
    path = tmp_path / "docker/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "credsStore": "nowhere"}))
    assert pin(f"{closed.host}/base:1", tools).layers == (digest_of(LOWER),)
    assert notes.said[0].startswith("warning: cannot start docker-credential-nowhere")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TokenService]:
    with token_service(tmp_path / "tokens") as running:
        yield running


def test_a_token_service_is_asked_with_a_password(
    service: TokenService, tools: Tools, tmp_path: Path
) -> None:
    with registry_running(tmp_path / "registry", settings=service.settings) as registry:
        registry.session.headers["Authorization"] = (
            f"Bearer {service.token('base', 'push', 'pull')}"
        )
        registry.push("base", "1", made_image([LOWER, UPPER]))
        name = f"{registry.host}/base:1"
        with pytest.raises(NetworkError, match="HTTP 401"):
            pin(name, tools)
        logged_in(tmp_path / "docker", registry.host, service.login)
        base = pin(name, tools)
        assert contents(tools, base) == [LOWER, UPPER]
        assert set(service.scopes) == {"repository:base:pull"}
        assert len(service.scopes) <= 4, "a token serves more than one request"


def test_an_identity_token_is_exchanged(
    service: TokenService, tools: Tools, tmp_path: Path
) -> None:
    with registry_running(tmp_path / "registry", settings=service.settings) as registry:
        registry.session.headers["Authorization"] = (
            f"Bearer {service.token('base', 'push', 'pull')}"
        )
        registry.push("base", "1", made_image([LOWER]))
        (tmp_path / "docker").mkdir()
        auth = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
        entry = {"auth": auth, "identitytoken": service.identity}
        config = {"auths": {registry.host: entry}}
        (tmp_path / "docker/config.json").write_text(json.dumps(config))
        assert pin(f"{registry.host}/base:1", tools).layers == (digest_of(LOWER),)
        assert service.forms[0]["grant_type"] == "refresh_token"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def host_of(server: Server) -> str:
    return server.address.removeprefix("http://")


def serve(server: Server, image: MadeImage) -> None:
    """Serve an image as a registry does."""
    server.replies["/v2/"] = Reply(body=b"{}")
    for version in ("1", image.digest):
        manifest = Reply(body=image.manifest, kind=image.manifest_type)
        server.replies[f"/v2/base/manifests/{version}"] = manifest
    for blob in (image.config, *image.blobs):
        server.replies[f"/v2/base/blobs/{digest_of(blob)}"] = Reply(body=blob)


def test_no_password_goes_to_a_token_service_in_the_clear(
    server: Server, tools: Tools, tmp_path: Path
) -> None:
    logged_in(tmp_path / "docker", host_of(server), ("reader", "hunter2"))
    for realm in ("http://example.org/token", "https:///token", "ftp://127.0.0.1/", "", "//x"):
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
        server.replies["/v2/"] = server.replies["/v2/base/manifests/1"] = Reply(
            status=401, headers=challenge
        )
        with pytest.raises(NetworkError, match="is not at an https address") as caught:
            pin(f"{host_of(server)}/base:1", tools)
        assert caught.value.hint == "no password was sent; use another registry"
    assert server.authorizations.count(None) == len(server.authorizations)


def test_a_redirect_to_a_storage_elsewhere_gets_no_login(
    server: Server, tools: Tools, tmp_path: Path
) -> None:
    image = made_image([LOWER])
    serve(server, image)
    path = f"/v2/base/blobs/{digest_of(image.blobs[0])}"
    login = ("reader", "hunter2")
    logged_in(tmp_path / "docker", host_of(server), login)
    manifest = Reply(body=image.manifest, kind=image.manifest_type)
    challenge = Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    server.replies["/v2/base/manifests/1"] = [challenge, manifest]
    with serving() as other:
        other.replies["/blob"] = Reply(body=image.blobs[0])
        server.replies[path] = redirect(f"{other.address}/blob?signature=secret")
        assert contents(tools, pin(f"{host_of(server)}/base:1", tools)) == [LOWER]
        assert other.authorizations == [None]
    at = server.asked.index(path)
    assert (server.authorizations[at] or "").startswith("Basic ")


def test_a_challenge_of_another_origin_is_not_answered(
    server: Server, tools: Tools, tmp_path: Path
) -> None:
    image = made_image([LOWER])
    serve(server, image)
    logged_in(tmp_path / "docker", host_of(server), ("reader", "hunter2"))
    with serving() as other:
        other.replies["/blob"] = Reply(
            status=401, headers={"WWW-Authenticate": 'Basic realm="give it to me"'}
        )
        path = f"/v2/base/blobs/{digest_of(image.blobs[0])}"
        server.replies[path] = redirect(f"{other.address}/blob?token=canary")
        with pytest.raises(NetworkError, match="HTTP 401") as caught:
            pin(f"{host_of(server)}/base:1", tools)
        assert other.authorizations == [None]
        assert "canary" not in str(caught.value)
    assert set(server.authorizations) == {None}


def test_a_blob_that_breaks_off_goes_on(server: Server, tools: Tools) -> None:
    image = made_image([LOWER])
    serve(server, image)
    path = f"/v2/base/blobs/{digest_of(image.blobs[0])}"
    whole = Reply(body=image.blobs[0], etag='"1"')
    server.replies[path] = [replace(whole, cut=1000), replace(whole, cut=5000), whole]
    assert contents(tools, pin(f"{host_of(server)}/base:1", tools)) == [LOWER]
    assert server.count(path) == 3
    assert "bytes=1000-" in server.ranges


def test_a_bomb_is_stopped(server: Server, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.image.compression._FREE", 1 << 20)
    image = made_image([bytes(64 << 20)])
    serve(server, image)
    with pytest.raises(LockError, match="become more than"):
        pin(f"{host_of(server)}/base:1", tools)
