"""An upstream that answers the next call with what a test says, and remembers what it was sent."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream"
WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """`pieces` are sent one by one; with `is_cut` the connection ends before the body does.

    The last piece waits for `until`, where there is one.
    """

    pieces: tuple[bytes, ...]
    status: int = 200
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    until: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names are lower-case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Scripted(ThreadingHTTPServer):
    """`offered` has what a GET answers, by its path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = Answer((b"{}",))
        self.seen: list[Seen] = []
        self.offered: dict[str, object] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a hub that went away: many a test wants it to."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Scripted

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        self.server.seen.append(Seen(self.path, headers, body))
        answer = self.server.answer
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place, piece in enumerate(answer.pieces, start=1):
            if answer.until is not None and place == len(answer.pieces):
                answer.until.wait(WAIT_S)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        if answer.is_cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        """Answer with what is offered at the path, without its query."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.path, headers, b""))
        offered = self.server.offered.get(self.path.partition("?")[0])
        body = json.dumps(offered).encode()
        self.send_response(404 if offered is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scripted() -> Iterator[Scripted]:
    with Scripted() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield server
        finally:
            server.shutdown()
