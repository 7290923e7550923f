"""F18 to F22 and F26: answers of the wrong kind, bad JSON, coding and framing, wrong names."""

import gzip
import json
import re
import struct
from collections.abc import Callable
from functools import cache

from tests.faults.server.fault import Fault, answer, begin, end, says
from tests.faults.server.peer import CHUNKED, EVENTS, JSON, LAST, Peer, chunk, joined, top, whole
from tests.faults.server.right import Right, with_member
from tests.faults.server.statuses import HTML, HTML_TYPE

BOM = b"\xef\xbb\xbf"
NESTED = 100_000
LATE_S = 0.1
BOMB_BYTES = 1 << 27
# An event that no answer needs: what is wrong with it harms nobody who does not read it.
_EXTRA = b"data: %b\n\n"
_USAGE = re.compile(rb'"usage":(?=\{)')
_MODEL = re.compile(rb'"model":"[^"]*"')
_ID = re.compile(rb'"id":"[^"]*"')

Changed = Callable[[bytes], bytes]


def _sent_as(kind: bytes, *headers: bytes) -> Fault:
    """Return a right answer under other headers."""

    async def play(peer: Peer) -> None:
        await answer(peer, peer.right.whole, peer.right.frames, *headers, kind=kind)

    return Fault(play)


def _changed(whole_: Changed, frames: Callable[[Right], tuple[bytes, ...]]) -> Fault:
    async def play(peer: Peer) -> None:
        await answer(peer, whole_(peer.right.whole), frames(peer.right))

    return Fault(play)


def _with(extra: bytes) -> Callable[[Right], tuple[bytes, ...]]:
    """Return what puts an event between the words of an answer."""
    event = _EXTRA % extra
    return lambda right: (
        *right.opening,
        *right.content[:3],
        event,
        *right.content[3:],
        *right.closing,
    )


def _everywhere(change: Changed) -> Fault:
    return _changed(change, lambda right: tuple(map(change, right.frames)))


def _member(member: bytes) -> Fault:
    """Return a right answer with a member more, and a stream with an event that has it."""
    return _changed(lambda body: with_member(body, member), _with(b'{"x":1,%b}' % member))


def _other_model(data: bytes) -> bytes:
    return _MODEL.sub(b'"model":"another-one"', data)


def _other_id(data: bytes) -> bytes:
    return _ID.sub(b'"id":42', data)


def _twice(data: bytes) -> bytes:
    """Put a usage of nothing before the usage, in the same object."""
    return _USAGE.sub(b'"usage":{"output_tokens":0,"completion_tokens":0},"usage":', data)


def _coded(coding: bytes, body: Callable[[], bytes]) -> Fault:
    """Return an answer in a coding, whatever it is."""
    return Fault(says(lambda _: whole(body(), b"content-encoding: %b" % coding)))


@cache
def _gzip_bomb() -> bytes:
    """Return members of zeros, one behind another, as RFC 1952 has it."""
    size = 1 << 20
    return gzip.compress(bytes(size)) * (BOMB_BYTES // size)


def _zstd_bomb() -> bytes:
    """Return a frame of zeros, 128 KiB for four bytes (RFC 8878: blocks of one byte repeated)."""
    size = 1 << 17
    blocks = BOMB_BYTES // size
    heads = [struct.pack("<I", size << 3 | 1 << 1 | (n == blocks - 1))[:3] for n in range(blocks)]
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(head + b"\x00" for head in heads)


def _framed(headers: tuple[bytes, ...]) -> Fault:
    """Return a right answer whose head says more of its length than there is to say."""

    def said(peer: Peer) -> bytes:
        kind, frames = (EVENTS, peer.right.frames) if peer.stream else (JSON, (peer.right.whole,))
        return top(200, kind, *headers) + joined([chunk(frame) for frame in frames]) + LAST

    return Fault(says(said, "stall"))


def _length(more: int) -> Fault:
    """Return an answer whose length is told wrong."""

    async def play(peer: Peer) -> None:
        right = peer.right
        body, shorter = right.whole, len(right.whole) // 2
        if peer.stream:
            body, shorter = joined(right.frames), len(joined(right.opening + right.content[:3]))
        told = len(body) + more if more > 0 else shorter
        kind = EVENTS if peer.stream else JSON
        await peer.send(top(200, kind, b"content-length: %d" % told) + body)
        await end(peer, "finish" if more > 0 else "stall")

    return Fault(play)


async def _without_last_chunk(peer: Peer) -> None:
    kind, frames = (EVENTS, peer.right.frames) if peer.stream else (JSON, (peer.right.whole,))
    await peer.send(top(200, kind, CHUNKED))
    await peer.frames(frames)
    await peer.finish()


async def _late_last_chunk(peer: Peer) -> None:
    """Send the last chunk when the answer has long been told."""
    kind, frames = (EVENTS, peer.right.frames) if peer.stream else (JSON, (peer.right.whole,))
    await peer.send(top(200, kind, CHUNKED))
    await peer.frames(frames)
    await peer.pause(LATE_S)
    await peer.send(LAST)


def _bad_chunk(data: bytes, then: str = "stall") -> Fault:
    """Return what breaks its chunks after three words, or within a whole answer."""

    async def play(peer: Peer) -> None:
        if peer.stream:
            await begin(peer)
        else:
            await peer.send(top(200, JSON, CHUNKED) + chunk(peer.right.whole[:20]))
        await peer.send(data)
        await end(peer, then)

    return Fault(play)


async def _whole_for_all(peer: Peer) -> None:
    await peer.send(whole(peer.right.whole))


async def _events_for_all(peer: Peer) -> None:
    peer.stream = True
    await answer(peer, b"", peer.right.frames)


_SQUEEZED = gzip.compress(json.dumps({"text": "w" * 4096}).encode())
_DEEP = b'"x":' + b"[" * NESTED + b"]" * NESTED
FAULTS = {
    "F18-text": _sent_as(b"content-type: text/plain"),
    "F18-none": _sent_as(b""),
    "F18-html": Fault(says(whole(HTML, kind=HTML_TYPE))),
    "F18-empty": Fault(says(whole(b""))),
    "F18-whole": Fault(_whole_for_all),
    "F18-events": Fault(_events_for_all),
    "F19-cut": _changed(lambda body: body[: len(body) // 2], _with(b'{"x":"cut')),
    "F19-more": _changed(lambda body: body + b"}{", _with(b"}{")),
    "F19-twice": _everywhere(_twice),
    "F19-nan": _member(b'"y":NaN'),
    "F19-surrogate": _member(b'"y":"\\ud800"'),
    "F19-bom": _changed(
        lambda body: BOM + body, lambda right: (BOM + right.frames[0], *right.frames[1:])
    ),
    "F19-deep": _member(_DEEP),
    "F20-gzip-bomb": _coded(b"gzip", _gzip_bomb),
    "F20-zstd-bomb": _coded(b"zstd", _zstd_bomb),
    "F20-br": _coded(b"br", lambda: _SQUEEZED),
    "F20-cut": _coded(b"gzip", lambda: _SQUEEZED[:20]),
    "F20-untrue": _sent_as(JSON, b"content-encoding: gzip"),
    "F21-long": _length(100),
    "F21-short": _length(-1),
    "F21-both": _framed((b"content-length: 5", CHUNKED)),
    "F21-two": _framed((b"content-length: 5", b"content-length: 6")),
    "F21-negative": _framed((b"content-length: -5",)),
    "F22-size": _bad_chunk(b"zz\r\nany\r\n"),
    "F22-vast": _bad_chunk(b"fffffffffffffffff\r\nany"),
    "F22-half": _bad_chunk(b"1000\r\nhalf", "finish"),
    "F22-late": Fault(_late_last_chunk),
    "F22-last": Fault(_without_last_chunk),
    "F26-model": _everywhere(_other_model),
    "F26-id": _everywhere(_other_id),
}
