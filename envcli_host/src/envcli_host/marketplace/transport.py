"""HTTP towards an index: bounded in size and time, no redirects, errors in one line."""

import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from envcli_host.errors import MarketplaceError, VerificationError
from envcli_host.marketplace.indexes import is_loopback
from envcli_host.marketplace.model import Progress

SILENCE_SECONDS = 10.0
DOCUMENT_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 16 * 1024


class MissingFileError(MarketplaceError):
    """The index has no such file (404 or 410)."""


class Transport:
    """One connection pool towards one base address; paths are relative to it.

    Args:
        base: address ending in "/".
        label: how messages call the other side.
    """

    def __init__(self, base: str, label: str) -> None:
        self.base = base
        self.label = label
        parts = urlsplit(base)
        host = parts.hostname or ""
        # Plain http never needs the system's certificates, and reading them costs 30 ms of CPU; an empty store
        # trusts nobody.
        verify = True if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx.Client(
            verify=verify,
            timeout=SILENCE_SECONDS,
            follow_redirects=False,
            trust_env=not is_loopback(host),
            headers={"User-Agent": "envcli", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def read(self, path: str, limit: int) -> bytes:
        """Return a document of at most ``limit`` bytes.

        Raises:
            MissingFileError: the server has none.
            MarketplaceError: it is unreachable, slow, answers an error or more than ``limit`` bytes.
        """
        content = bytearray()
        with self._stream(path) as response:
            for chunk in self._chunks(response, limit):
                content += chunk
        return bytes(content)

    def download(
        self, path: str, target: Path, sha256: str, limit: int, progress: Progress | None = None
    ) -> None:
        """Write a file to ``target`` (which must not exist); its bytes must have the digest ``sha256``.

        Raises:
            VerificationError: the digest differs. Whatever was written is removed.
            MarketplaceError: as for ``read``.
        """
        try:
            found = self._write(path, target, limit, progress)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        if found != sha256:
            target.unlink(missing_ok=True)
            raise VerificationError(
                f"{target.name} from {self.label} has SHA-256 {found}, but {sha256} was verified",
                remedy="Try again; if it stays so, report it to the index' operator",
            )

    def post(self, path: str, document: dict[str, object], token: str, limit: int) -> tuple[int, bytes]:
        """Post JSON with a bearer token; return status and at most ``limit`` bytes of the answer."""
        headers = {"Authorization": f"Bearer {token}"}
        request = self._client.build_request("POST", self.base + path, json=document, headers=headers)
        content = bytearray()
        with self._sent(request) as response:
            for chunk in self._chunks(response, limit):
                content += chunk
        return response.status_code, bytes(content)

    def _write(self, path: str, target: Path, limit: int, progress: Progress | None) -> str:
        digest, done = hashlib.sha256(), 0
        with self._stream(path) as response, target.open("xb") as stream:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            if total is not None and total > limit:
                raise self._too_large(path, limit)
            for chunk in self._chunks(response, limit, SLOWEST_BYTES_PER_SECOND):
                digest.update(chunk)
                stream.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(target.name, done, total)
        return digest.hexdigest()

    @contextmanager
    def _stream(self, path: str) -> Iterator[httpx.Response]:
        with self._sent(self._client.build_request("GET", self.base + path)) as response:
            if response.status_code in {404, 410}:
                raise MissingFileError(
                    f"{self.label} has no {path} (HTTP {response.status_code})", remedy="Check the name"
                )
            if response.status_code != httpx.codes.OK:
                raise MarketplaceError(
                    f"{self.label} answers HTTP {response.status_code} for {path}", remedy="Try again later"
                )
            yield response

    @contextmanager
    def _sent(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """Send a request and wait for the head of its answer, however slowly that arrives, for a bounded time."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._client.close()

        timer = threading.Timer(DOCUMENT_SECONDS, give_up)
        timer.start()
        with self._translated():
            try:
                response = self._client.send(request, stream=True)
            except httpx.HTTPError:
                if late.is_set():
                    raise self._too_slow(request.url.path) from None
                raise
            finally:
                timer.cancel()
            try:
                yield response
            finally:
                response.close()

    def _chunks(self, response: httpx.Response, limit: int, rate: int = 0) -> Iterator[bytes]:
        """Bytes as they come, never decoded: at most ``limit``, in bounded time plus what ``rate`` a second allows."""
        started, size = time.monotonic(), 0
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > limit:
                raise self._too_large(response.url.path, limit)
            if time.monotonic() - started > DOCUMENT_SECONDS + (size / rate if rate else 0):
                raise self._too_slow(response.url.path)
            yield chunk

    def _too_large(self, path: str, limit: int) -> MarketplaceError:
        return MarketplaceError(
            f"{self.label} sends more than {limit} bytes for {path}",
            remedy="Report it to the index' operator",
        )

    def _too_slow(self, path: str) -> MarketplaceError:
        return MarketplaceError(f"{self.label} is too slow with {path}", remedy="Try again later")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise MarketplaceError(
                f"{self.label} does not answer in time", remedy="Try again later"
            ) from error
        except httpx.RemoteProtocolError as error:
            raise MarketplaceError(
                f"{self.label} broke off its answer: {error}", remedy="Try again"
            ) from error
        except httpx.HTTPError as error:
            raise MarketplaceError(
                f"{self.label} cannot be reached at {self.base}: {error}",
                remedy="Check the network and that the index is running",
            ) from error


class TufFetcher(FetcherInterface):
    """Lets python-tuf's client fetch over the same bounded transport.

    The client asks for lengths it knows from signed metadata and stops a transfer that exceeds them.
    """

    def __init__(self, transport: Transport, limit: int) -> None:
        self._transport = transport
        self._limit = limit

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = url.removeprefix(self._transport.base)
        try:
            yield self._transport.read(path, self._limit)
        except MissingFileError as error:
            raise DownloadHTTPError(str(error), 404) from error
        except MarketplaceError as error:
            raise DownloadError(str(error)) from error
