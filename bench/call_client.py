"""The load client for streams, and for exact counts: `python -m bench.call_client --port P ...`.

Raw sockets with keep-alive; a request is one write with TCP_NODELAY, because head and body in
two segments would measure Nagle's algorithm against delayed acknowledgements (about 40 ms).
A call that was begun is finished, so what it counts is exact. Prints one JSON document.
"""

import argparse
import asyncio
import itertools
import json
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httptools

HOST = "127.0.0.1"
# What a call may take before the run is given up; far above any stream measured here.
PATIENCE_S = 120.0
MAX_ERRORS_SHOWN = 3
# Of each kind of time so many are kept, the latest.
KEPT = 500_000
# What a stream ends with in OpenAI's format, and in Anthropic's.
ENDS = (b"data: [DONE]\n\n", b'data: {"type":"message_stop"}\n\n')


@dataclass(slots=True)
class Tally:
    """What all connections saw together; times in milliseconds."""

    calls: int = 0
    left: int = 0
    refused: int = 0  # answered 503 with a time to wait
    chunks: int = 0
    reads: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    gap_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    total_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


@dataclass(frozen=True, slots=True)
class Order:
    """What to send, what to expect and when to stop."""

    requests: Iterator[bytes]
    chunks: int  # content chunks expected of every answer; 0: a JSON answer
    leave_after: int  # close after this many chunks; 0: read to the end
    deadline: float
    budget: list[int]  # one cell shared by the connections: calls that may still begin
    pause_s: float = 0.0  # of a connection between two calls
    refusable: bool = False  # 503 with a time to wait is an answer too

    def take(self) -> bool:
        if not self.budget[0] or time.monotonic() >= self.deadline:
            return False
        self.budget[0] -= 1
        return True


class Caller(asyncio.Protocol):
    """One connection that makes one call after the other."""

    def __init__(self, order: Order, tally: Tally) -> None:
        self._order = order
        self._tally = tally
        self.ended = asyncio.get_running_loop().create_future()
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begin()

    def data_received(self, data: bytes) -> None:
        self._tally.reads += 1
        self._now = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._tally.errors[f"connection lost: {exc}"] += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def on_body(self, part: bytes) -> None:
        if not self._body:
            self._first = self._now
        elif self._now != self._last:
            self._tally.gap_ms.append(1000 * (self._now - self._last))
        self._last = self._now
        self._body += part
        leave_after = self._order.leave_after
        if leave_after and self._busy and _content_chunks(self._body) >= leave_after:
            self._tally.left += 1
            self._tally.chunks += _content_chunks(self._body)
            self._busy = False
            self._transport.close()

    def on_message_complete(self) -> None:
        if not self._busy:
            return
        now = time.perf_counter()
        problem = self._problem()
        if problem is not None:
            self._fail(problem)
            return
        tally = self._tally
        if self._parser.get_status_code() == 503:
            tally.refused += 1
            self._next()
            return
        tally.calls += 1
        tally.chunks += self._order.chunks
        tally.first_ms.append(1000 * (self._first - self._began))
        tally.total_ms.append(1000 * (now - self._began))
        self._next()

    def on_header(self, name: bytes, _: bytes) -> None:
        self._may_wait = self._may_wait or name.lower() == b"retry-after"

    def _next(self) -> None:
        self._busy = False
        if self._order.pause_s:
            asyncio.get_running_loop().call_later(self._order.pause_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._busy = not self._transport.is_closing() and self._order.take()
        if not self._busy:
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._may_wait = False
        self._first = self._last = 0.0
        self._began = time.perf_counter()
        self._transport.write(next(self._order.requests))

    def _problem(self) -> str | None:
        status = self._parser.get_status_code()
        if status == 503 and self._order.refusable:
            return None if self._may_wait else "503 without retry-after"
        if status != 200:
            return f"status {status}: {bytes(self._body[:200])!r}"
        if not self._order.chunks:
            return None if b'"usage"' in self._body else "an answer without usage"
        if not self._body.endswith(ENDS):
            return "a stream without its end"
        received = _content_chunks(self._body)
        if received != self._order.chunks:
            return f"{received} chunks instead of {self._order.chunks}"
        return None

    def _fail(self, problem: str) -> None:
        self._tally.errors[problem] += 1
        self._busy = False
        self._transport.close()


def _content_chunks(body: bytearray) -> int:
    return body.count(b'" token')


async def run(order: Order, port: int, connections: int) -> Tally:
    tally = Tally()
    loop = asyncio.get_running_loop()

    async def worker() -> None:
        # A connection ends when the client leaves a stream or an error closed it.
        while order.budget[0] and time.monotonic() < order.deadline:
            _, caller = await loop.create_connection(lambda: Caller(order, tally), HOST, port)
            await caller.ended
            if order.pause_s:
                await asyncio.sleep(order.pause_s)

    limit = max(order.deadline - time.monotonic(), 0) + PATIENCE_S
    await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(connections))), limit)
    return tally


def percentile(values: deque[float], share: float) -> float | None:
    """Return the value below which `share` of the values lie; None for none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def report(tally: Tally, seconds: float) -> dict[str, Any]:
    return {
        "calls": tally.calls,
        "left": tally.left,
        "refused": tally.refused,
        "chunks": tally.chunks,
        "reads": tally.reads,
        "seconds": seconds,
        "errors": tally.errors.total(),
        "messages": [text for text, _ in tally.errors.most_common(MAX_ERRORS_SHOWN)],
        "first_p50_ms": percentile(tally.first_ms, 0.50),
        "first_p99_ms": percentile(tally.first_ms, 0.99),
        "gap_p50_ms": percentile(tally.gap_ms, 0.50),
        "gap_p99_ms": percentile(tally.gap_ms, 0.99),
        "p50_ms": percentile(tally.total_ms, 0.50),
        "p99_ms": percentile(tally.total_ms, 0.99),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description="Calls over raw sockets, counted exactly.")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument(
        "--request", type=Path, nargs="+", help="files of a request each; calls take turns"
    )
    arguments.add_argument("--connections", type=int, default=1)
    arguments.add_argument("--seconds", type=float, required=True, help="no call begins later")
    arguments.add_argument("--count", type=int, default=10**9, help="no more calls than this")
    arguments.add_argument("--chunks", type=int, default=0)
    arguments.add_argument("--leave-after", type=int, default=0)
    arguments.add_argument("--pause-ms", type=float, default=0.0)
    arguments.add_argument("--refusable", action="store_true", help="503 with retry-after is fine")
    given = arguments.parse_args()
    begin = time.monotonic()
    order = Order(
        requests=itertools.cycle([file.read_bytes() for file in given.request]),
        chunks=given.chunks,
        leave_after=given.leave_after,
        deadline=begin + given.seconds,
        budget=[given.count],
        pause_s=given.pause_ms / 1000,
        refusable=given.refusable,
    )
    tally = asyncio.run(run(order, given.port, given.connections))
    print(json.dumps(report(tally, time.monotonic() - begin)))


if __name__ == "__main__":
    main()
