"""A program that webhooks are sent to: a real server on a real socket, on a thread of its own."""

import http.server
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from standardwebhooks import Webhook

WITHIN_S = 60.0


@dataclass(frozen=True)
class Message:
    """One POST, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """Return the body, as the official package reads it; raises when the signature is wrong."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers each POST with what `answers` says of how many came before it.

    That is a status, or a pair of a status and headers. `gate`, while it is not set, holds
    every answer back.
    """

    def __init__(
        self, answers: Callable[[int], Any] = lambda _: 204, *, takes_s: float = 0
    ) -> None:
        self.answers = answers
        self.takes_s = takes_s
        self.messages: list[Message] = []
        self.at_once_max = 0
        self.connections = 0
        self.gate = threading.Event()
        self.gate.set()
        self._at_once = 0
        self._changed = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, *arguments: Any) -> None:
                receiver.connections += 1
                super().process_request(*arguments)

            def handle_error(self, *_: object) -> None:
                """A hub that was killed leaves in mid-answer."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?for=hub"

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    def when(self, count: int, within_s: float = WITHIN_S) -> list[Message]:
        """Return all messages once there are at least so many."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.messages) >= count, within_s)
        assert came, f"{len(self.messages)} of {count} messages in {within_s} s"
        return list(self.messages)

    def _take(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        message = Message(handler.path, headers, body, time.monotonic())
        with self._changed:
            answer = self.answers(len(self.messages))
            self.messages.append(message)
            self._at_once += 1
            self.at_once_max = max(self.at_once_max, self._at_once)
            self._changed.notify_all()
        time.sleep(self.takes_s)
        self.gate.wait(WITHIN_S)
        with self._changed:
            self._at_once -= 1
        status, more = answer if isinstance(answer, tuple) else (answer, {})
        handler.send_response(status)
        for name, value in more.items():
            handler.send_header(name, value)
        handler.send_header("content-length", "0")
        handler.end_headers()
