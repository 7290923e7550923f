"""A caller and the upstream behind its hub, played by one thread that takes one step at a time.

Nothing happens in the hub that this thread did not ask for, and every chunk travels alone, so
what the hub does for a call can be counted and comes out the same on a busy machine.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from tests.caller import chat

MODEL = "gpt-4o-mini"
PATIENCE_S = 30.0
_HEAD_END = b"\r\n\r\n"
_STREAM_END = b"0\r\n\r\n"
_USAGE = {"prompt_tokens": 18, "completion_tokens": 2, "total_tokens": 20}


class Lockstep:
    """One connection to a hub whose provider `openai` is at `base_url`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._upstream: socket.socket | None = None
        self._client: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self._client, self._upstream, self._listener):
            if opened is not None:
                opened.close()

    def config(self) -> dict[str, Any]:
        """Return the hub.yaml of a hub that has this upstream and sells what it answers."""
        credentials = [{"name": "main", "api_key": "sk-good"}]
        rates = {"input": "1000", "output": "2000"}
        return {
            "version": 1,
            "providers": [
                {"name": "openai", "base_url": self.base_url, "credentials": credentials}
            ],
            "models": [{"model": f"openai/{MODEL}", "type": "chat", "rates": rates}],
            "billing": {"enabled": True, "new_user_credits": "100000"},
        }

    def call(self, port: int, key: str) -> None:
        """Make one unary call from its first byte to its last."""
        client = self._ask(port, key, stream=False)
        upstream = self._received()
        message = {"role": "assistant", "content": "Paris."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({**_COMMON, "choices": [choice], "usage": _USAGE}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        upstream.sendall(head % len(body) + body)
        answer = _read_message(client)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b'"usage"' in answer, answer

    @contextmanager
    def stream(self, port: int, key: str) -> Iterator["Stream"]:
        """Begin a stream; its end is sent and awaited when the block ends."""
        client = self._ask(port, key, stream=True)
        stream = Stream(client, self._received())
        yield stream
        stream.end()

    def _ask(self, port: int, key: str, *, stream: bool) -> socket.socket:
        if self._client is None:
            self._client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = json.dumps(chat(f"openai/{MODEL}", stream=stream)).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json"
        head += f"\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._client.sendall(head.encode() + body)
        return self._client

    def _received(self) -> socket.socket:
        """Return the hub's connection once the whole request has come over it."""
        if self._upstream is None:
            self._upstream, _ = self._listener.accept()
            self._upstream.settimeout(PATIENCE_S)
            self._upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert _read_message(self._upstream), "the hub left its connection to the upstream"
        return self._upstream


class Stream:
    """An answer that is written a chunk at a time."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self._client = client
        self._upstream = upstream
        self._written = 0
        upstream.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n" + _event({"role": "assistant", "content": ""})
        )

    def chunk(self) -> None:
        """Write one chunk and wait until the caller has it."""
        self._written += 1
        content = f" token{self._written}"
        self._upstream.sendall(_event({"content": content}))
        _read_until(self._client, f'"{content}"'.encode())

    def end(self) -> None:
        usage = {"prompt_tokens": 18, "completion_tokens": self._written, "total_tokens": 99}
        closing = _event({}, "stop") + _chunk(_data([], usage)) + _chunk(b"data: [DONE]\n\n")
        self._upstream.sendall(closing + _STREAM_END)
        assert b"data: [DONE]" in _read_until(self._client, _STREAM_END)


_COMMON = {"id": "c", "object": "chat.completion", "created": 1767225600, "model": MODEL}


def _event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return _chunk(_data([{"index": 0, "delta": delta, "finish_reason": finish_reason}], None))


def _data(choices: list[Any], usage: dict[str, int] | None) -> bytes:
    payload = {**_COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _read_until(source: socket.socket, end: bytes) -> bytes:
    found = b""
    while end not in found:
        part = source.recv(65536)
        assert part, f"closed after {found[-500:]!r}"
        found += part
    return found


def _read_message(source: socket.socket) -> bytes:
    """Return a message that says its own length; b"" when the other side has closed."""
    found = b""
    while _HEAD_END not in found:
        part = source.recv(65536)
        if not part:
            return b""
        found += part
    head, _, body = found.partition(_HEAD_END)
    lines = head.lower().split(b"\r\n")
    (length,) = (int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        part = source.recv(65536)
        assert part, "closed within a body"
        body += part
    return head + _HEAD_END + body
