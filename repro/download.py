"""The only user of HTTP: bounded, resumed where it breaks, and it never shows a credential.

Formats: RFC 9110 (ranges: §14, Retry-After: §10.2.3).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from repro.addresses import redact
from repro.connections import (
    Lines,
    Login,
    authorization,
    innermost,
    make_session,
    reason,
    same_origin,
)
from repro.errors import LockError, NetworkError
from repro.headers import condition, length
from repro.patience import Patience, Tries, Waiting
from repro.progress import Progress, Silent

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 18
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_GAIN = 1 << 20  # bytes: a connection that brought as many more was no failed try

T = TypeVar("T")


class Http:
    """Reads addresses: `http`, `https` and `file`; one session a thread.

    Proxies, CA bundles and netrc come from the environment, as `requests` reads them. What is
    waited for longer than a second is shown as progress.
    """

    def __init__(self, *, patience: Patience | None = None, progress: Progress | None = None):
        self.waiting = Waiting(patience=patience or Patience(), progress=progress or Silent())
        self._local = threading.local()
        self._transfers: set[_Transfer] = set()
        self._lines = Lines()
        self._proxies: dict[str, str] = {}
        self._authorities: dict[str, str] = {}

    def route(self, *, proxies: Mapping[str, str], authorities: Mapping[str, str]) -> None:
        """Reach some hosts as another program's settings say, whatever the environment says.

        `proxies` are {`scheme://host`: proxy}, `authorities` {host: path of its CA bundle}.
        """
        self._proxies |= proxies
        self._authorities |= authorities

    def stop(self) -> None:
        """End what other threads wait for and read here; they raise NetworkError."""
        self.waiting.stopped.set()
        for transfer in tuple(self._transfers):
            transfer.interrupt()
        self._lines.cut()

    @contextmanager
    def workers(self, most: int) -> Iterator[ThreadPoolExecutor]:
        """Yield a pool of threads that read addresses; when the block fails they end at once."""
        pool = ThreadPoolExecutor(most)
        try:
            yield pool
        except BaseException:
            self.stop()  # they may be waiting for a server
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        limit: int = 256 << 20,
        login: Login | None = None,
    ) -> tuple[bytes, str]:
        """Return body and content type. Raises NetworkError; FileNotFoundError never escapes."""

        def whole(body: Body) -> tuple[bytes, str]:
            parts: list[bytes] = []
            size = 0
            for piece in body:
                size += len(piece)
                if size > limit:
                    raise NetworkError(f"{redact(url)}: larger than {limit} bytes")
                parts.append(piece)
            return b"".join(parts), body.kind

        return self.read(url, whole, accept=accept, decode=True, login=login)

    def post(self, url: str, form: Mapping[str, str]) -> bytes:
        """Send a form and return the answer's first MiB; no redirect is followed.

        Raises NetworkError.
        """
        with self.answer(url, self.tries(url), "POST", form=form) as response:
            return bytes(response.raw.read(1 << 20, decode_content=True))

    def read(
        self,
        url: str,
        consume: Callable[[Body], T],
        *,
        accept: str = "*/*",
        size: int | None = None,
        decode: bool = False,
        login: Login | None = None,
    ) -> T:
        """Return what `consume` makes of the body, which it reads piece by piece.

        A broken transfer goes on where it broke, if the server has the same bytes still. If not,
        `consume` is called again with the whole body: its first call ended by an exception that
        it must let pass. A LockError of its own from a body that was put together of several
        answers is not believed before one whole answer gave it too.

        `size` is the body's length, where it is known (bytes); `decode` undoes a content
        encoding; `login` takes the place of netrc's. Raises NetworkError.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            return consume(_FileBody(unquote(parts.path)))
        if parts.scheme not in ("http", "https"):
            raise NetworkError(f"{redact(url)}: only http, https and file addresses are read")
        transfer = _Transfer(self, url, accept=accept, size=size, decode=decode, login=login)
        self._transfers.add(transfer)
        try:
            while True:
                try:
                    return consume(transfer)
                except _StartAnew:
                    continue
                except LockError:
                    if not transfer.spliced:
                        raise
                    transfer.resumable = False
                    transfer.close()
        finally:
            self._transfers.discard(transfer)
            transfer.close()

    def size(self, url: str) -> int:
        """Return the length of the body of `url` in bytes, unread. Raises NetworkError."""
        if url.startswith("file:"):
            return sum(len(piece) for piece in _FileBody(unquote(urlsplit(url).path)))
        with self.answer(url, self.tries(url), "HEAD") as response:
            found = length(response.headers)
        if found is None:
            raise NetworkError(f"{redact(url)}: does not say its size")
        return found

    def tries(self, url: str, size: int | None = None) -> Tries:
        """Return the tries and the time that an address has from now on."""
        return Tries(redact(url), self.waiting, size)

    def answer(
        self,
        url: str,
        tries: Tries,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        *,
        login: Login | None = None,
        form: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Return the first answer that is not to be asked for again: 200, or to a Range 206, 416.

        Raises NetworkError for every other one, and when the tries are used up.
        """
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}
        good = (200, 206, 416) if "Range" in headers else (200,)
        asked = False
        while True:
            sent = login.header() if login is not None else None
            response = self._once(url, tries, method, headers, sent=sent, form=form)
            if response is None:
                continue
            status = response.status_code
            if status in good:
                return response
            said, wait = f"HTTP {status}", _retry_after(response)
            response.close()
            if status == 401 and login is not None and not asked and same_origin(response.url, url):
                asked = login.renewed(response.headers.get("WWW-Authenticate", ""), sent or "")
                if asked:
                    continue
            if status not in _RETRIED:
                raise NetworkError(f"{tries.shown}: {said}", status=status)
            tries.next(said, wait)

    def _once(
        self,
        url: str,
        tries: Tries,
        method: str,
        headers: Mapping[str, str],
        *,
        sent: str | None,
        form: Mapping[str, str] | None,
    ) -> requests.Response | None:
        """Ask once; None: nobody answered, and the next try is due."""
        import ssl

        import requests

        patience, left = self.waiting.patience, tries.left()
        try:
            return self._session().request(
                method,
                url,
                headers=dict(headers),
                auth=None if sent is None else authorization(sent),
                data=form,
                allow_redirects=form is None,
                stream=True,
                timeout=(min(patience.connect, left), min(patience.read, left)),
                proxies=dict(self._proxies),
                verify=self._authorities.get(urlsplit(url).hostname or ""),
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            if isinstance(innermost(error), ssl.SSLCertVerificationError):
                raise NetworkError(
                    f"{tries.shown}: {reason(error)}",
                    hint="check this host's clock; your own authority: REQUESTS_CA_BUNDLE=FILE",
                ) from None
            tries.next(reason(error))
            return None
        except requests.RequestException as error:
            raise NetworkError(f"{tries.shown}: {reason(error)}") from None
        except OSError as error:  # requests found no CA bundle where a setting says it is
            raise NetworkError(
                f"{redact(url)}: {redact(str(error))}",
                hint="check REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and the package managers' own "
                "settings",
            ) from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = make_session(self._lines)
        return session


class _StartAnew(Exception):  # noqa: N818 - no error: the body begins again
    """What was read so far is void."""


class Body(Protocol):
    """A body, read piece by piece; `kind` is its content type, known from the first piece on."""

    kind: str

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces. Raises NetworkError."""


class _FileBody:
    def __init__(self, path: str) -> None:
        self.path = path
        page = path.endswith((".html", "/"))
        self.kind = "text/html" if page else "application/octet-stream"

    def __iter__(self) -> Iterator[bytes]:
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123 - an address's path, not ours
                while piece := file.read(CHUNK):
                    yield piece
        except OSError as error:
            raise NetworkError(f"file://{self.path}: {error.strerror}") from None


class _Transfer:
    """A body that may take several connections; each iteration yields it from its first byte."""

    def __init__(
        self,
        http: Http,
        url: str,
        *,
        accept: str,
        size: int | None,
        decode: bool,
        login: Login | None,
    ) -> None:
        self.url = url
        self.kind = ""
        self.resumable = True
        self.spliced = False
        """Whether the last iteration put several answers together."""
        self._http = http
        self._accept = accept
        self._size = size
        self._decode = decode
        self._login = login
        self._tries = http.tries(url, size)
        self._response: requests.Response | None = None
        self._received = 0
        self._furthest = 0

    def close(self) -> None:
        """Give up the connection, if one is open."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def interrupt(self) -> None:
        """Have the thread that reads it notice that all is stopped."""
        if (response := self._response) is not None:
            with suppress(ValueError, RuntimeError, OSError):  # it has just ended by itself
                response.raw.shutdown()

    def __iter__(self) -> Iterator[bytes]:
        self.spliced = False
        self._received = 0
        if self._response is None:
            self._response = self._ask({})
        response = self._response
        self.kind = response.headers.get("Content-Type", "")
        self._size = length(response.headers) or self._size
        validator = condition(response.headers)
        while True:
            broken = yield from self._pieces(response)
            self.close()
            if broken is None:
                return
            if self._received - self._furthest >= _GAIN:
                self._tries.renew()
            self._furthest = max(self._furthest, self._received)
            self._tries.next(broken)
            if validator is None or not self._received or not self.resumable:
                raise _StartAnew
            response = self._response = self._rest(validator)
            self.spliced = True

    def _ask(self, headers: Mapping[str, str]) -> requests.Response:
        headers = {"Accept": self._accept, **headers}
        return self._http.answer(self.url, self._tries, headers=headers, login=self._login)

    def _pieces(self, response: requests.Response) -> Generator[bytes, None, str | None]:
        """Yield what arrives; return why it ended early, None when it is whole."""
        from urllib3.exceptions import HTTPError

        try:
            # read1: a piece is what one call of the system gives, so that the deadline is looked
            # at however slowly bytes come, and what came before a break is kept
            while piece := response.raw.read1(CHUNK, decode_content=self._decode):
                self._received += len(piece)
                yield piece
                self._tries.left()
        except (HTTPError, OSError) as error:
            self._tries.left()
            of = f" of {self._size}" if self._size else ""
            return f"broke off after {self._received}{of} bytes: {reason(error)}"
        partial = response.status_code == 206 or "Content-Length" not in response.headers
        if partial and self._size and self._received < self._size:
            return f"ended after {self._received} of {self._size} bytes"
        return None

    def _rest(self, validator: str) -> requests.Response:
        """Return the answer with the bytes that are missing; anything else starts anew."""
        response = self._ask({"Range": f"bytes={self._received}-", "If-Range": validator})
        if response.status_code == 200:  # changed, or without ranges: the whole body
            self._response = response
            raise _StartAnew
        asked = re.fullmatch(
            rf"bytes {self._received}-[0-9]+/([0-9]+|\*)",
            response.headers.get("Content-Range", ""),
        )
        right = asked is not None and asked[1] in ("*", str(self._size or asked[1]))
        if response.status_code != 206 or not right:
            response.close()
            self.resumable = False
            raise _StartAnew
        return response


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds that a Retry-After asks for, in either of its forms."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().get_retry_after(response.raw)
    except InvalidHeader:
        return None
