"""Right answers on the three wires, as the fake upstream gives them."""

import asyncio
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from tests.faults.raw_client import parse
from tests.upstream.connection import Request, head
from tests.upstream.server import Upstream

CHAT, RESPONSES, MESSAGES = "chat", "responses", "messages"
WIRES = (CHAT, RESPONSES, MESSAGES)
PATHS = {CHAT: "/chat/completions", RESPONSES: "/responses", MESSAGES: "/messages"}
# What every answer says and reports, whatever was asked.
WORDS = tuple(f"w{number} " for number in range(6))
INPUT_TOKENS, OUTPUT_TOKENS = 7, len(WORDS)
_CONTENT = re.compile(rb'"content":"w|output_text\.delta"|content_block_delta"')


class Right(NamedTuple):
    """A whole answer, and the frames of a streamed one: around its words, and one a word."""

    whole: bytes
    opening: tuple[bytes, ...]
    content: tuple[bytes, ...]
    closing: tuple[bytes, ...]

    @property
    def frames(self) -> tuple[bytes, ...]:
        return self.opening + self.content + self.closing

    @property
    def body(self) -> dict[str, Any]:
        """The whole answer as a value of one's own."""
        value: dict[str, Any] = json.loads(self.whole)
        return value


class _Kept:
    """As much of a connection as an answer needs: what is sent is kept."""

    bytes_sent = 0
    number = 1
    gone_at = None

    def __init__(self) -> None:
        self.sent = b""

    async def send(self, data: bytes) -> None:
        self.sent += data

    async def reply(
        self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        length = {"content-length": str(len(body)), **(headers or {})}
        await self.send(head(status, content_type, length) + body)


@cache
def right(wire: str) -> Right:
    """Return the answer that reports INPUT_TOKENS and OUTPUT_TOKENS and says WORDS."""
    whole, streamed = (_recorded(wire, stream=stream) for stream in (False, True))
    frames = [b"%b\n\n" % frame for frame in streamed.split(b"\n\n") if frame]
    places = [place for place, frame in enumerate(frames) if _CONTENT.search(frame)]
    first, last = places[0], places[-1] + 1
    assert last - first == len(places) == len(WORDS), frames
    return Right(whole, tuple(frames[:first]), tuple(frames[first:last]), tuple(frames[last:]))


def _recorded(wire: str, *, stream: bool) -> bytes:
    prefix = "claude" if wire == MESSAGES else "gpt"
    asked = {
        "model": f"{prefix}-tokens:{INPUT_TOKENS}:{OUTPUT_TOKENS}",
        "stream": stream,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "any"}],
        "input": "any",
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
    body = bytearray(json.dumps(asked).encode())
    request = Request("POST", f"/v1{PATHS[wire]}", headers, body)
    connection = _Kept()
    asyncio.run(Upstream()._handle(request, connection))
    (answer,) = parse(connection.sent)
    assert answer.status == 200, answer
    return answer.body


def words_in(frames: tuple[bytes, ...]) -> int:
    """Return how many of the frames say a word."""
    return sum(1 for frame in frames if _CONTENT.search(frame))


def with_member(frame: bytes, member: bytes) -> bytes:
    """Return an object of JSON, or the frame of one, with a member put first in it."""
    return frame.replace(b"{", b"{%b," % member, 1)


def with_usage(frames: tuple[bytes, ...], usage: Any) -> tuple[bytes, ...]:
    """Return frames whose usage objects are another; without any when it is None."""
    return tuple(_rewritten(frame, usage) for frame in frames)


def _rewritten(frame: bytes, usage: Any) -> bytes:
    top, mark, data = frame.partition(b"data: ")
    if not mark or b'"usage"' not in data or b'"usage":null' in data:
        return frame
    value = json.loads(data)
    for place in _places(value):
        if place.get("usage") is not None:
            if usage is None:
                del place["usage"]
            else:
                place["usage"] = usage
    return b"%bdata: %b\n\n" % (top, json.dumps(value, separators=(",", ":")).encode())


def _places(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield where usage stands: at the top, or in a response or message."""
    yield value
    for name in ("response", "message"):
        if isinstance(value.get(name), dict):
            yield value[name]
