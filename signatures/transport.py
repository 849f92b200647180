"""How DSPy's engines send the requests of an instructor: replies are bounded, and put into the form of their protocol.

A call through LiteLLM (mistral, together_ai, bedrock ...) is bounded in time alone, and takes several times as much CPU as others.
Does NOT cover: which engine a model needs (errata.programs.instructor.wire), and what a reply says (errata.signatures.replies).
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx
from dspy import lm15

from .replies import exchange, tidied, within

CONNECT = 10.0
"""Longest wait for a connection, seconds."""


class Timed:
    """An engine whose calls end after so many seconds, whatever the library below waits for."""

    def __init__(self, engine: Any, seconds: float):
        self.engine, self.seconds = engine, seconds

    def complete(self, request: lm15.Request) -> lm15.Response:
        try:
            answer: lm15.Response = within(self.seconds, lambda: self.engine.complete(request))
        except TimeoutError:
            raise lm15.TimeoutError(f"no whole reply in {self.seconds:g} s") from None
        return answer


@dataclass
class Heard(AbstractContextManager["Heard"]):
    """A reply as lm15 takes it from a transport."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    reason: str = ""
    http_version: str = "HTTP/1.1"

    def read(self) -> bytes:
        return self.body

    def __exit__(self, *_: object) -> None:
        pass


class Transport:
    """Sends what lm15 asks for, and hands back whole replies (`exchange`) that are `tidied`."""

    def __init__(self, seconds: float, connections: int):
        """`seconds`: longest time of a whole reply."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.Client(timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT)), limits=limits)
        self._seconds = seconds

    def stream(self, request: Any) -> Heard:
        """Raises lm15.TransportError for a connection that failed, lm15.TimeoutError, and lm15.ConfigurationError for a wrong address."""
        try:
            reply = exchange(self._client, request.method, request.url, self._seconds, headers=request.headers, content=request.body)
        except httpx.TimeoutException as error:
            raise lm15.TimeoutError(str(error) or "no reply in time") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise lm15.TransportError(str(error) or type(error).__name__) from None
        except httpx.InvalidURL as error:
            raise lm15.ConfigurationError(f"the address is not usable: {error}") from None
        if 300 <= reply.status < 400:
            there = reply.headers.get("location", "")[:200]
            raise lm15.ConfigurationError(f"the server has moved (HTTP {reply.status} to {there}): give its new address")
        chat = request.url.partition("?")[0].endswith("/chat/completions")
        return Heard(reply.status, list(reply.headers.multi_items()), tidied(reply.status, reply.body, chat))

    def close(self) -> None:
        self._client.close()
