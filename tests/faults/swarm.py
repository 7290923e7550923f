"""Thousands of requests over kept connections, hundreds at once, at little cost."""

import asyncio
import itertools
import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import uvloop
from tests.hub import HubProcess

DONE = b"data: [DONE]\n\n"
# What the whole of a run may take before it is given up.
PATIENCE_S = 90.0
HEADERS = "POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"


@dataclass(slots=True)
class Answers:
    """What came back: answers by status, the ids of calls answered 200, and what was wrong."""

    refusal: bytes
    statuses: Counter[int] = field(default_factory=Counter)
    served: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def chat_request(
    hub: HubProcess, body: dict[str, Any], *, key: str | None = None, project: str | None = None
) -> bytes:
    """Return the bytes of one chat completion."""
    data = json.dumps(body).encode()
    lines = f"Authorization: Bearer {key or hub.key}\r\nContent-Length: {len(data)}\r\n"
    if project is not None:
        lines += f"x-aigne-hub-client-did: {project}\r\n"
    return f"{HEADERS}{lines}\r\n".encode() + data


def fire(
    hub: HubProcess,
    requests: Sequence[bytes],
    count: int,
    *,
    connections: int,
    refusal: str = "insufficient_credits",
) -> Answers:
    """Send `count` requests, taking turns among `requests`; each connection sends one at a time.

    No connection begins before all are open. Any other code than `refusal` is wrong.
    """
    return uvloop.run(_fire(hub.port, requests, count, connections, refusal))


async def _fire(
    port: int, requests: Sequence[bytes], count: int, connections: int, refusal: str
) -> Answers:
    loop = asyncio.get_running_loop()
    answers = Answers(f'"{refusal}"'.encode())
    waiting = itertools.islice(itertools.cycle(requests), count)
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: _Caller(waiting, answers), "127.0.0.1", port
        )
        callers.append(caller)
    for caller in callers:
        caller.send_next()
    await asyncio.wait_for(asyncio.gather(*(caller.ended for caller in callers)), PATIENCE_S)
    return answers


class _Caller(asyncio.Protocol):
    """One connection: the next request leaves when the answer to the last is complete."""

    def __init__(self, waiting: Iterator[bytes], answers: Answers) -> None:
        self._waiting = waiting
        self._answers = answers
        self._busy = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self._transport.close()
            return
        self._busy = True
        self._parser = httptools.HttpResponseParser(self)
        self._call_id = ""
        self._body = bytearray()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-aigne-hub-call-id":
            self._call_id = value.decode()

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._answers.statuses[status] += 1
        if status == 200:
            self._answers.served.append(self._call_id)
            if b'"usage"' not in self._body and not self._body.endswith(DONE):
                self._answers.wrong.append(f"incomplete: {bytes(self._body[-200:])!r}")
        elif self._answers.refusal not in self._body:
            self._answers.wrong.append(f"{status}: {bytes(self._body[:200])!r}")
        self._busy = False
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._answers.wrong.append(f"connection lost: {exc}")
        self.ended.set_result(None)
