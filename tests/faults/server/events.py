"""F23 and F24: streams that break, lie and dawdle, and whole answers that do the like."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.faults.server.fault import Fault, answer, begin, breaks
from tests.faults.server.peer import (
    CHUNKED,
    EVENTS,
    JSON,
    LAST,
    Peer,
    chunk,
    error,
    error_event,
    joined,
    top,
    whole,
)
from tests.faults.server.right import CHAT, MESSAGES, RESPONSES, Right, with_usage

DRIP_S, DRIPS = 0.5, 14
LINE_BYTES = 50 << 20
SILENCE_S = 8.0
_BLOCK = 1 << 16
Frames = Callable[[Right, str], tuple[bytes, ...]]
# Names of the figures, by wire.
_NAMES = {
    CHAT: ("prompt_tokens", "completion_tokens"),
    RESPONSES: ("input_tokens", "output_tokens"),
    MESSAGES: ("input_tokens", "output_tokens"),
}
_WORD = re.compile(rb'"(content|delta|text)":"(w\d )"')


def _streamed(frames: Frames) -> Fault:
    """Return a stream of other frames; a whole answer is right."""

    async def play(peer: Peer) -> None:
        await answer(peer, peer.right.whole, frames(peer.right, peer.wire))

    return Fault(play)


def _bytewise(frames: Frames) -> Fault:
    """Return a stream of which every byte is a chunk."""

    async def play(peer: Peer) -> None:
        if not peer.stream:
            await peer.send(whole(peer.right.whole), tokens=len(peer.right.content))
            return
        await peer.send(top(200, EVENTS, CHUNKED))
        for byte in joined(frames(peer.right, peer.wire)):
            await peer.send(b"1\r\n%c\r\n" % byte)
        await peer.send(LAST, tokens=len(peer.right.content))

    return Fault(play)


def _lines_end(*ends: bytes) -> Fault:
    """Return a stream whose lines end so, in turn."""

    def frames(right: Right, _: str) -> tuple[bytes, ...]:
        return tuple(
            b"".join(
                line + ends[(place + number) % len(ends)]
                for number, line in enumerate(frame.split(b"\n")[:-1])
            )
            for place, frame in enumerate(right.frames)
        )

    return _streamed(frames)


def _between(extra: bytes) -> Fault:
    """Return a stream with something that says nothing between its events."""
    return _streamed(lambda right, _: tuple(extra + frame for frame in right.frames))


def _usage(value: Callable[[str], Any]) -> Fault:
    """Return an answer with another usage, or without one."""

    async def play(peer: Peer) -> None:
        told = value(peer.wire)
        body = peer.right.body
        if told is None:
            del body["usage"]
        else:
            body["usage"] = told
        await answer(peer, json.dumps(body).encode(), with_usage(peer.right.frames, told))

    return Fault(play)


def _figures(read: Any, written: Any) -> Fault:
    return _usage(lambda wire: dict(zip(_NAMES[wire], (read, written), strict=True)))


def _usage_twice(right: Right, wire: str) -> tuple[bytes, ...]:
    """Tell of half the usage in mid-stream; the end tells of all."""
    told: dict[str, Any] = dict(zip(_NAMES[wire], (7, 3), strict=True))
    if wire == CHAT:
        event = {"object": "chat.completion.chunk", "choices": [], "usage": told}
    elif wire == MESSAGES:
        event = {"type": "message_delta", "delta": {}, "usage": told}
    else:
        event = {"type": "response.in_progress", "response": {"usage": told}, "sequence_number": 9}
    frame = b"data: %b\n\n" % json.dumps(event).encode()
    if wire != CHAT:
        frame = b"event: %b\n%b" % (str(event["type"]).encode(), frame)
    return (*right.opening, *right.content, frame, *right.closing)


def _as_arguments(data: bytes, wire: str) -> bytes:
    """Turn words into pieces of a tool's arguments, which are no whole JSON."""
    if wire == CHAT:
        piece = rb'"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"\2"}}]'
        return _WORD.sub(piece, data)
    if wire == RESPONSES:
        return data.replace(b"output_text.delta", b"function_call_arguments.delta")
    return data.replace(b"text_delta", b"input_json_delta").replace(
        b'"text":"w', b'"partial_json":"w'
    )


def _cut_tool(right: Right, wire: str) -> tuple[bytes, ...]:
    words = (_as_arguments(frame, wire) for frame in right.content)
    return (*right.opening, *words, *right.closing)


def _wide(right: Right, _: str) -> tuple[bytes, ...]:
    """Put an event of characters of many bytes among the words."""
    extra = 'data: {"x":"é€😀"}\n\n'.encode()
    return (*right.opening, *right.content, extra, *right.closing)


def _ended_twice(right: Right, _: str) -> tuple[bytes, ...]:
    return (*right.frames, right.frames[-1])


def _goes_on(right: Right, _: str) -> tuple[bytes, ...]:
    return (*right.frames, *right.content)


async def _closed_in_order(peer: Peer) -> None:
    """End a stream after three words as if it were whole; a whole answer is cut."""
    await begin(peer)
    if peer.stream:
        await peer.send(LAST)
    else:
        await peer.finish()


async def _only_comments(peer: Peer) -> None:
    await answer(peer, b": a comment\n\n", [b": a comment\n\n"] * 5)


async def _endless_line(peer: Peer) -> None:
    """Begin a line that is 50 MiB long; a whole answer is as long."""
    if peer.stream:
        await begin(peer)
        await peer.send(chunk(b"data: "))
    else:
        await peer.send(top(200, JSON, CHUNKED) + chunk(b'{"x":"'))
    block = chunk(b"l" * _BLOCK)
    for _ in range(LINE_BYTES // _BLOCK):
        await peer.send(block)
    await peer.silence()


async def _error_between(peer: Peer) -> None:
    if not peer.stream:
        await peer.send(whole(error(peer.wire, "Broken.")))
        return
    await begin(peer)
    await peer.send(chunk(error_event(peer.wire, "Broken.")) + LAST)


async def _drip(peer: Peer) -> None:
    """Send an answer that takes longer than silence may, and is never silent so long."""
    kind, body = (EVENTS, joined(peer.right.frames)) if peer.stream else (JSON, peer.right.whole)
    await peer.send(top(200, kind, b"content-length: %d" % len(body)))
    size = -(-len(body) // DRIPS)
    for start in range(0, len(body), size):
        await peer.send(body[start : start + size])
        await peer.pause(DRIP_S)


async def _endless(peer: Peer) -> None:
    """Say words, or spaces of a whole answer, for ever."""
    if not peer.stream:
        await peer.send(top(200, JSON, CHUNKED))
        while True:
            await peer.send(chunk(b" " * _BLOCK))
    await peer.send(top(200, EVENTS, CHUNKED))
    await peer.frames(peer.right.opening)
    while True:
        await peer.frames(peer.right.content)
        await peer.pause(0.001)


async def _resumes(peer: Peer) -> None:
    """Fall silent for longer than is allowed, and go on then."""
    rest = await begin(peer)
    await peer.pause(SILENCE_S)
    await peer.send(rest)


FAULTS = {
    "F23-reset": Fault(breaks("reset", b"40\r\ndata: {")),
    "F23-close": Fault(_closed_in_order),
    "F23-undone": _streamed(lambda right, _: right.frames[:-1]),
    "F23-bytes": _bytewise(lambda right, _: right.frames),
    "F23-wide": _bytewise(_wide),
    "F23-crlf": _lines_end(b"\r\n"),
    "F23-cr": _lines_end(b"\r"),
    "F23-mixed": _lines_end(b"\r\n", b"\n"),
    "F23-comments": _between(b": a comment\n\n"),
    "F23-only-comments": Fault(_only_comments),
    "F23-retry": _between(b"id: 7\nretry: 100\n\n"),
    "F23-no-data": _between(b"event: any\n\n"),
    "F23-line": Fault(_endless_line),
    "F23-error": Fault(_error_between),
    "F23-no-usage": _usage(lambda _: None),
    "F23-negative": _figures(-5, -900),
    "F23-huge": _figures(10**15, 10**15),
    "F23-words": _figures("seven", "six"),
    "F23-usage-text": _usage(lambda _: "seven and six"),
    "F23-twice": _streamed(_usage_twice),
    "F23-tool": _streamed(_cut_tool),
    "F23-done-twice": _streamed(_ended_twice),
    "F23-goes-on": _streamed(_goes_on),
    "F24-drip": Fault(_drip),
    "F24-endless": Fault(_endless),
    "F24-silence": Fault(breaks("stall")),
    "F24-resume": Fault(_resumes),
}
