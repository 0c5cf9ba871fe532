"""HTTP's edges, against a server in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from http.client import HTTPException
from urllib.parse import urlsplit

import pytest
from urllib3.connection import HTTPConnection

from repro.connections import Lines
from repro.download import Body, Http
from repro.errors import LockError, NetworkError
from repro.patience import Patience
from tests.faults.server import Ranges, Reply, Server, busy, redirect, serving

DATA = bytes(range(256)) * 40
PATH = "/file"
TAG = '"one"'


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def http(*, read: float = 5.0, total: float = 20.0, tries: int = 3) -> Http:
    return Http(patience=Patience(read=read, total=total, first=0.05, longest=5.0, tries=tries))


def whole(body: Body) -> bytes:
    return b"".join(body)


def read(server: Server, one: Http | None = None, path: str = PATH) -> bytes:
    return (one or http()).read(server.address + path, whole, size=len(DATA))


def test_a_ca_bundle_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`requests` raises a bare OSError for it, before it connects."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(NetworkError, match=r"bundle\.pem") as caught:
        Http().get("https://example.org/")
    assert "REQUESTS_CA_BUNDLE" in (caught.value.hint or "")


@pytest.mark.parametrize("length", [None, -1])
def test_a_body_comes_whole_whether_or_not_its_length_is_said(
    server: Server, length: int | None
) -> None:
    server.replies[PATH] = Reply(body=DATA, length=length)
    assert read(server) == DATA


@pytest.mark.parametrize("length", [None, -1])
def test_a_break_is_resumed_where_it_was(server: Server, length: int | None) -> None:
    server.replies[PATH] = [
        Reply(body=DATA, etag=TAG, cut=100, length=length),
        Reply(body=DATA, etag=TAG, cut=200),
        Reply(body=DATA, etag=TAG),
    ]
    assert read(server) == DATA
    assert server.ranges == [None, "bytes=100-", "bytes=300-"]


@pytest.mark.parametrize("ranges", [Ranges.IGNORED, Ranges.SHIFTED, Ranges.REFUSED])
def test_an_answer_that_is_not_the_rest_starts_anew(server: Server, ranges: Ranges) -> None:
    server.replies[PATH] = [
        Reply(body=DATA, etag=TAG, cut=100),
        Reply(body=DATA, etag=TAG, ranges=ranges),
    ]
    assert read(server) == DATA
    again = [] if ranges is Ranges.IGNORED else [None]
    assert server.ranges == [None, "bytes=100-", *again]


def test_what_changed_meanwhile_is_never_spliced(server: Server) -> None:
    other = DATA[::-1]
    server.replies[PATH] = [Reply(body=DATA, etag=TAG, cut=99), Reply(body=other, etag='"2"')]
    assert read(server) == other


def test_without_a_validator_nothing_is_resumed(server: Server) -> None:
    server.replies[PATH] = [Reply(body=DATA, cut=100), Reply(body=DATA)]
    assert read(server) == DATA
    assert server.ranges == [None, None]


def test_a_weak_tag_is_no_validator(server: Server) -> None:
    server.replies[PATH] = [Reply(body=DATA, etag='W/"1"', cut=100), Reply(body=DATA)]
    assert read(server) == DATA
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    ("age", "resumed"), [(3600, True), (0, False), (-60, False), (None, False)]
)
def test_a_date_is_a_validator_once_its_second_is_over(
    server: Server, age: int | None, *, resumed: bool
) -> None:
    """RFC 9110 §13.1.5: no If-Range with a date that a later change may have too."""
    changed = "yesterday" if age is None else formatdate(time.time() - age, usegmt=True)
    reply = Reply(body=DATA, headers={"Last-Modified": changed})
    server.replies[PATH] = [replace(reply, cut=100), reply]
    assert read(server) == DATA
    assert server.ranges == [None, "bytes=100-" if resumed else None]


def test_a_refusal_of_spliced_bytes_is_not_believed(server: Server) -> None:
    """A server whose ranges hold other bytes than its whole: the digest is what finds it."""

    def judged(body: Body) -> bytes:
        if (data := whole(body)) != DATA:
            raise LockError("other bytes")
        return data

    lying = Reply(body=DATA, etag=TAG, ranges=Ranges.LYING)
    server.replies[PATH] = [Reply(body=DATA, etag=TAG, cut=100), lying]
    assert http().read(server.address + PATH, judged) == DATA
    server.replies[PATH] = Reply(body=b"other")
    asked = len(server.asked)
    with pytest.raises(LockError):
        http().read(server.address + PATH, judged)
    assert len(server.asked) == asked + 1, "one whole answer is judged once"


def test_tries_are_bounded_however_it_breaks(server: Server) -> None:
    server.replies[PATH] = Reply(body=DATA, cut=100)
    with pytest.raises(NetworkError, match=r"broke off after 100 of 10240 bytes.*tried 3 times"):
        read(server)
    assert server.count(PATH) == 3


def test_a_long_body_has_new_tries_while_it_grows(server: Server) -> None:
    data = bytes(3 << 20)
    piece = (1 << 20) + 1
    server.replies[PATH] = Reply(body=data, etag=TAG, cut=piece)
    assert http(tries=2).read(server.address + PATH, whole) == data
    assert server.ranges == [None, f"bytes={piece}-", f"bytes={2 * piece}-"]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_in_either_form(server: Server, form: str) -> None:
    after = 1 if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    server.replies[PATH] = [busy(after=after), Reply(body=DATA)]
    start = time.monotonic()
    assert read(server) == DATA
    assert time.monotonic() - start >= 0.9  # the date has whole seconds


def test_a_retry_after_beyond_patience_is_not_waited_for(server: Server) -> None:
    server.replies[PATH] = busy(429, after=3600)
    with pytest.raises(NetworkError, match="HTTP 429; asks to wait 3600 s"):
        read(server)
    assert server.count(PATH) == 1


@pytest.mark.parametrize("after", ["soon", "-1"])
def test_a_retry_after_that_says_nothing_does_not_count(server: Server, after: str) -> None:
    server.replies[PATH] = [busy(after=after), Reply(body=DATA)]
    assert read(server) == DATA


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 451, 501])
def test_an_answer_that_is_no_body_is_not_asked_for_again(server: Server, status: int) -> None:
    server.replies[PATH] = Reply(status=status, length=0)
    with pytest.raises(NetworkError, match=f": HTTP {status}\\b"):
        read(server)
    assert server.count(PATH) == 1


def test_a_drip_ends_at_the_deadline(server: Server) -> None:
    server.replies[PATH] = Reply(body=DATA, drip=0.05)
    with pytest.raises(NetworkError, match="took over 1 s"):
        http(total=1.0).get(server.address + PATH)


def test_silence_ends_at_the_read_deadline(server: Server) -> None:
    server.replies[PATH] = Reply(hang=True)
    with pytest.raises(NetworkError, match="no answer in time; tried 2 times"):
        read(server, http(read=0.3, tries=2))


def test_redirects_are_bounded(server: Server) -> None:
    server.replies[PATH] = redirect(PATH + "?token=canary")
    with pytest.raises(NetworkError, match="redirected more than 5 times") as caught:
        read(server)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://example.org/x?token=canary"])
def test_a_redirect_to_another_scheme_is_not_followed(server: Server, to: str) -> None:
    server.replies[PATH] = redirect(to)
    with pytest.raises(NetworkError, match="address that cannot be read") as caught:
        read(server)
    assert "canary" not in str(caught.value)


def test_the_body_of_a_redirect_is_not_read(server: Server) -> None:
    """`requests` would read it whole before it goes on, however long that takes."""
    server.replies["/there"] = Reply(body=DATA)
    server.replies[PATH] = Reply(
        status=302, body=bytes(1000), drip=1.0, length=1 << 40, headers={"Location": "/there"}
    )
    assert read(server) == DATA


def test_a_page_has_a_limit(server: Server) -> None:
    server.replies[PATH] = Reply(body=DATA)
    with pytest.raises(NetworkError, match="larger than 100 bytes"):
        http().get(server.address + PATH, limit=100)


def test_an_exception_text_never_holds_the_query() -> None:
    with pytest.raises(NetworkError, match="Connection refused") as caught:
        http(tries=1).get("http://u:hunter2@127.0.0.1:1/x?token=canary")
    assert "canary" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_stop_ends_waits_and_reads_in_other_threads(server: Server) -> None:
    server.replies["/busy"] = busy(after=5)
    server.replies["/silent"] = Reply(body=DATA, drip=60.0)
    one = http(read=60.0, total=60.0)
    said: list[str] = []

    def ask(path: str) -> None:
        try:
            read(server, one, path)
        except NetworkError as error:
            said.append(error.message)

    threads = [threading.Thread(target=ask, args=(path,)) for path in ("/busy", "/silent")]
    for thread in threads:
        thread.start()
    while len(server.asked) < 2:
        time.sleep(0.01)
    time.sleep(0.3)
    one.stop()
    for thread in threads:
        thread.join()
    assert [text.rpartition(": ")[2] for text in said] == ["stopped", "stopped"]


def test_a_connection_that_was_being_made_when_all_was_cut_is_cut_too(server: Server) -> None:
    server.replies["/silent"] = Reply(hang=True)
    address, lines = urlsplit(server.address), Lines()
    connection = lines.watched(HTTPConnection)(address.hostname or "", address.port, timeout=60)

    def ask() -> None:
        connection.request("GET", "/silent")
        connection.getresponse()

    lines.cut()
    start = time.monotonic()
    connection.connect()
    with pytest.raises((OSError, HTTPException)):
        ask()
    assert time.monotonic() - start < 10


def test_workers_end_at_once_when_their_block_does(server: Server) -> None:
    server.replies["/silent"] = Reply(hang=True)
    one, start = http(read=60.0, total=60.0), time.monotonic()

    def interrupted() -> None:
        with one.workers(2) as pool:
            pool.submit(read, server, one, "/silent")
            while not server.asked:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - start < 10
