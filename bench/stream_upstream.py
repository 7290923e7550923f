"""The streaming upstream: `python -m bench.stream_upstream --plain P --tls P ...`.

Answers every chat with server-sent events. The model's name says how many content chunks:
`chunks-N` without delay, `slow-N` with 5 ms before each, `token-N` with 20, `talk-N` with 100;
`idle-N` all but the last at once and that IDLE_S later. Every chunk is a write of its own and
the loop turns between two, so that they do not travel together; a usage chunk and [DONE]
follow. `GET /stats` counts the streams, the content chunks written and the clients that left.
"""

import argparse
import asyncio
import json
import ssl
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, cast

import httptools

HOST = "127.0.0.1"
PACES_S = {"chunks": 0.0, "idle": 0.0, "slow": 0.005, "token": 0.020, "talk": 0.100}
IDLE_S = 8.0
PROMPT_TOKENS = 18
MAX_CHUNKS = 100_000
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


@dataclass(slots=True)
class Stats:
    streams: int = 0
    chunks: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """A stream's writes: the head with the role, the content chunks, and the end."""

    opening: bytes
    content: tuple[bytes, ...]
    closing: bytes
    pace_s: float
    idle: bool

    def wait_s(self, number: int) -> float:
        """Return how long the chunk of that number, counted from 0, is waited for."""
        return IDLE_S if self.idle and number == len(self.content) - 1 else self.pace_s


@lru_cache(maxsize=16)
def script(model: str) -> Script:
    """Return what a model's name asks for; raises ValueError for any other name."""
    kind, _, number = model.partition("-")
    count = int(number)
    if kind not in PACES_S or not 0 < count <= MAX_CHUNKS:
        raise ValueError(model)
    total = PROMPT_TOKENS + count
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": count,
        "total_tokens": total,
    }
    opening = {"role": "assistant", "content": "", "refusal": None}
    closing = _event(model, {}, "stop") + _chunk(_data(model, [], usage)) + _chunk(b"data: [DONE]")
    return Script(
        HEAD + _event(model, opening),
        tuple(_event(model, {"content": f" token{index}"}) for index in range(count)),
        closing + b"0\r\n\r\n",
        PACES_S[kind],
        kind == "idle",
    )


def _event(model: str, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _chunk(_data(model, [choice], None))


def _data(model: str, choices: list[Any], usage: dict[str, int] | None) -> bytes:
    payload = {
        "id": "chatcmpl-bench000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": model,
        "system_fingerprint": "fp_bench",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode()


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\n\n\r\n" % (len(event) + 2, event)


class Connection(asyncio.Protocol):
    """One connection; a stream is a chain of callbacks, one for each chunk."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = bytearray()
        self._script: Script | None = None
        self._next = 0
        self._paused = False
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self._script is not None:
            self._stats.gone += 1
            self._script = None

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._waiting:
            self._waiting = False
            self._loop.call_soon(self._step)

    def on_message_begin(self) -> None:
        self._url = b""
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        if self._url == b"/stats":
            self._reply(b"200 OK", json.dumps(asdict(self._stats)).encode())
            return
        try:
            self._script = script(json.loads(self._body)["model"])
        except (ValueError, KeyError, TypeError):
            self._reply(b"400 Bad Request", b'{"error":{"message":"no such stream"}}')
            return
        self._stats.streams += 1
        self._next = 0
        self._transport.write(self._script.opening)
        self._schedule(self._script.wait_s(0))

    def _reply(self, status: bytes, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )

    def _schedule(self, pace_s: float) -> None:
        if pace_s:
            self._loop.call_later(pace_s, self._step)
        else:
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        current = self._script
        if current is None:
            return
        if self._paused:
            self._waiting = True  # resume_writing goes on
            return
        if self._next == len(current.content):
            self._script = None
            self._transport.write(current.closing)
            return
        self._transport.write(current.content[self._next])
        self._next += 1
        self._stats.chunks += 1
        self._schedule(current.wait_s(self._next))


async def serve(plain: int, tls: int, context: ssl.SSLContext) -> None:
    stats = Stats()
    loop = asyncio.get_running_loop()
    listening = [
        await loop.create_server(lambda: Connection(stats), HOST, plain, backlog=4096),
        await loop.create_server(lambda: Connection(stats), HOST, tls, ssl=context, backlog=4096),
    ]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in listening))


def main() -> None:
    arguments = argparse.ArgumentParser(description="The benchmark's streaming upstream.")
    arguments.add_argument("--plain", type=int, required=True)
    arguments.add_argument("--tls", type=int, required=True)
    arguments.add_argument("--certfile", required=True)
    arguments.add_argument("--keyfile", required=True)
    given = arguments.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(given.certfile, given.keyfile)
    # asyncio's own loop, because its transports write at once; uvloop's would join the chunks.
    asyncio.run(serve(given.plain, given.tls, context))


if __name__ == "__main__":
    main()
