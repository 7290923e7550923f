"""An upstream that answers what it was told to, in turn, and remembers what it was asked."""

import json
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

JSON_TYPE = "application/json"
EVENTS_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """`pieces` are sent one by one; `holds` keeps the connection open behind them."""

    pieces: tuple[bytes, ...]
    status: int = 200
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: Any


def whole(value: object, status: int = 200, **headers: str) -> Answer:
    return Answer((json.dumps(value).encode(),), status, headers=headers)


def events(values: Iterable[object], *, done: bool = False, holds: bool = False) -> Answer:
    """Return a stream of events, named where they have a `type`; `done` ends it as OpenAI does."""
    pieces = []
    for value in values:
        name = value.get("type") if isinstance(value, dict) else None
        head = f"event: {name}\n" if name else ""
        pieces.append(f"{head}data: {json.dumps(value)}\n\n".encode())
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return Answer(tuple(pieces), content_type=EVENTS_TYPE, holds=holds)


class ScriptedUpstream:
    """`with ScriptedUpstream() as upstream: upstream.say(answer, …)`; `asked` is what it got."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._answers: deque[Answer] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.base_url = f"{self.origin}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def say(self, *answers: Answer) -> None:
        """Take these as the next answers, and forget what came before."""
        self.asked.clear()
        self._answers.clear()
        self._answers.extend(answers)

    def answer(self, asked: Asked) -> Answer:
        """Return the next answer; who makes them up from what was asked overrides this."""
        del asked
        return self._answers.popleft()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                named = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.path, named, json.loads(body))
                upstream.asked.append(asked)
                answer = upstream.answer(asked)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("content-type", answer.content_type)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in answer.pieces:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                if answer.holds:
                    upstream.released.wait()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
