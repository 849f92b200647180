"""The page of `errata view` from a local server, where it is too large for a file: texts come as they are looked at, and searches are
made here.

It listens on 127.0.0.1 alone. Who may ask knows the random token in the address, which is compared in constant time; a request whose
Host is not the server's own (a name that someone else's page made point here) is refused. When it is loaded again and the run has gone
on, the page is made anew. Ctrl-C ends it.

Not here: what the page shows (errata.programs.view.page). Who can read this process's terminal is not kept out.
"""

import hmac
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Lock
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from .page import Item, View, safe, written

_NUMBERS = count(1)


class Held:
    """A view with its page, and with all texts in small letters, one line an item, in a temporary file."""

    def __init__(self, view: View):
        self.view, self.stamp, self.number = view, view.stamp(), next(_NUMBERS)
        self._lock = Lock()
        self._lines: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the view
        self.page = written(view, self._hold, self.number)

    def _hold(self, item: Item, texts: list[Any]) -> None:
        question, gold, solution, answers = texts
        parts = [item.id, item.skill, question, gold, solution, *(part for answer in answers if answer for part in answer if part)]
        self._lines.write(" ".join(parts).lower().replace("\n", " ").encode("utf-8", "replace") + b"\n")

    def search(self, text: str) -> list[int]:
        """The places of the items in which every word of the text occurs."""
        words = [word.encode("utf-8", "replace") for word in text.lower().split()]
        with self._lock:
            self._lines.seek(0)
            return [place for place, line in enumerate(self._lines) if all(word in line for word in words)]

    def item(self, number: str) -> list[Any] | None:
        """The texts of an item; None where there is no such place."""
        known = number.isascii() and number.isdigit() and int(number) < len(self.view.items)
        return self.view.texts(self.view.items[int(number)]) if known else None


class Server(ThreadingHTTPServer):
    """Bound to a free port of 127.0.0.1 when it is made."""

    daemon_threads = True

    def __init__(self, make: Callable[[], View]):
        """`make` reads the view anew."""
        self.make, self.token = make, secrets.token_urlsafe(24)
        self.held = Held(make())
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def run(self) -> None:
        """Answer until Ctrl-C."""
        with self, suppress(KeyboardInterrupt):
            self.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 60

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        token, _, what = asked.path.removeprefix("/").partition("/")
        port = self.server.server_port
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return self._send(403, b"this server answers to 127.0.0.1 alone", "text/plain")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            return self._send(403, b"the address must hold the token that `errata view` printed", "text/plain")
        given = {name: values[0] for name, values in parse_qs(asked.query).items()}
        held, found = self.server.held, None
        if what == "":
            with suppress(Exception):  # a run that is worked on may not be readable for a moment: what was read before is shown
                if held.view.stamp() != held.stamp:
                    held = self.server.held = Held(self.server.make())
            return self._send(200, held.page, "text/html; charset=utf-8")
        if given.get("of", str(held.number)) != str(held.number):  # places are others now
            return self._send(409, b"the run has gone on since this page was loaded: load it again", "text/plain")
        if what == "item":
            found = held.item(given.get("n", ""))
        elif what == "search":
            found = held.search(given.get("q", ""))
        if found is None:
            return self._send(404, b"there is nothing here", "text/plain")
        return self._send(200, safe(found).encode("utf-8", "replace"), "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal holds the address."""
