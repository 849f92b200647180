"""What a served target sends through: an event loop in a thread of its own, and one pool of HTTP/1.1 connections a server.

aiohttp on one thread takes a tenth of the CPU time of httpx with two threads a request (scripts/bench_served.py). What `exchange` of
signatures/replies.py promises holds here too: a reply is whole, bounded in bytes and in seconds, and redirects are not followed.
Does NOT cover: what a reply says, and repeating a request.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from ...signatures.replies import MOST_BYTES

T = TypeVar("T")
CONNECT = 10.0
"""Longest wait for a connection, and for a look whether a server is there, seconds."""
LONGEST_LINE = 65_536
"""Bytes of a header; proxies write long ones."""


class NoReply(Exception):
    """No whole reply, in a few words."""


class HttpReply(NamedTuple):
    """A whole reply of a server."""

    status: int
    headers: Mapping[str, str]
    """Looked up in any case of letters."""
    body: bytes


class Loop:
    """An event loop in a thread of its own. Not covered: more than one thread that waits for it at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # what is dropped on purpose is not told on stderr
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises. An interrupt of the one who waits ends it."""
        future = self.start(work)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        if not self._loop.is_closed():
            with suppress(RuntimeError, TimeoutError):
                self.start(_end_tasks()).result(CONNECT)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CONNECT)
            if not self._thread.is_alive():
                self._loop.close()


async def _end_tasks() -> None:
    """Cancel what is still under way, and let it end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Connections:
    """The connections to one server. Used inside one event loop."""

    def __init__(self, address: str, headers: Mapping[str, str], seconds: float):
        """`seconds`: longest time of a whole reply."""
        parts = urlsplit(address)
        here = parts.hostname in ("127.0.0.1", "localhost", "::1")  # a proxy's own loopback is another machine's
        proxies = {} if here or proxy_bypass(parts.netloc) else getproxies()
        self._proxy = proxies.get(parts.scheme) or proxies.get("all")
        self._secure = parts.scheme == "https"
        self._headers, self._seconds = dict(headers) | {"Content-Type": "application/json"}, seconds
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        # with httpx's certificates, as the instructor's calls
        connector = aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context() if self._secure else True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(self._seconds, CONNECT))
        return aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=LONGEST_LINE, max_field_size=LONGEST_LINE,
        )  # fmt: skip

    async def exchange(self, url: str, body: bytes | None, seconds: float | None = None) -> HttpReply:
        """Send one request, a POST where it has a body. Raises NoReply, and ValueError for an address that cannot be asked."""
        self._session = self._session or self._open()
        seconds = seconds or self._seconds
        try:
            async with asyncio.timeout(seconds):
                sent = self._session.request("POST" if body else "GET", url, data=body, allow_redirects=False, proxy=self._proxy)
                async with sent as reply:
                    whole = bytearray()
                    async for chunk in reply.content.iter_any():
                        whole += chunk
                        if len(whole) > MOST_BYTES:
                            raise NoReply(f"a reply of more than {MOST_BYTES // 10**6} MB")
                    return HttpReply(reply.status, reply.headers, bytes(whole))
        except aiohttp.InvalidURL as error:
            raise ValueError(str(error)) from None
        except TimeoutError:
            raise NoReply(f"no whole reply in {seconds:g} s" if seconds >= self._seconds else f"silent for {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoReply(_why(error)) from None

    async def drop(self) -> None:
        """Close the connections; the requests under way on them end with NoReply. New ones are opened when they are needed."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _why(error: Exception) -> str:
    """What a connection came to. aiohttp tells the address again, and of a refused one only that it was called."""
    inner = getattr(error, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorDNSError) or not isinstance(error, aiohttp.ClientConnectorError):
        return str((inner and inner.strerror) or error) or type(error).__name__
    return os.strerror(inner.errno) if inner and (inner.errno or 0) > 0 else str(error)
