"""What a scenario is, and the plainest of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.faults.server.peer import CHUNKED, EVENTS, LAST, Peer, chunk, joined, top, whole
from tests.faults.server.right import words_in

Play = Callable[[Peer], Awaitable[None]]


class Place(Enum):
    """Where a scenario's address leads."""

    HTTP = "a server of its own"
    REFUSED = "a port that nobody listens on"
    BLACKHOLE = "a port that answers no SYN"
    NOWHERE = "a name without an address"
    NAME = "a name that can be moved to another server"
    NAME_ONCE = "a name that can be moved to where nobody listens"
    TLS = "a server behind TLS"


@dataclass(frozen=True, slots=True)
class Fault:
    """`play` answers a request; with `is_early` before its body was read.

    A `raw` one gets the connection before any request. `certificate` is what a server behind
    TLS shows, None for one that never gets so far.
    """

    play: Play
    is_early: bool = False
    is_raw: bool = False
    place: Place = Place.HTTP
    certificate: str | None = None


async def answer_right(peer: Peer) -> None:
    """Give the right answer, and keep the connection."""
    await answer(peer, peer.right.whole, peer.right.frames)


async def answer(
    peer: Peer, body: bytes, frames: Sequence[bytes], *headers: bytes, kind: bytes | None = None
) -> None:
    """Send a whole answer or a stream of frames, as was asked; the connection is kept.

    `kind` is another line in the place of the content type.
    """
    if not peer.stream:
        lines = {} if kind is None else {"kind": kind}
        await peer.send(whole(body, *headers, **lines), tokens=len(peer.right.content))
        return
    kinds = (EVENTS if kind is None else kind,)
    await peer.send(top(200, *(line for line in kinds if line), CHUNKED, *headers))
    *others, last = frames
    await peer.frames(others)
    # As most providers do: what comes later than the last event may find the connection closed.
    await peer.send(chunk(last) + LAST, tokens=words_in((last,)))


async def begin(peer: Peer, words: int = 3) -> bytes:
    """Begin an answer and return what is left of its body.

    A stream has told `words` of its words, and its caller has them. A whole answer is half.
    """
    if not peer.stream:
        body = peer.right.whole
        half = len(body) // 2
        await peer.send(whole(body)[: -(len(body) - half)])
        return body[half:]
    opening, content = peer.right.opening, peer.right.content
    await peer.send(top(200, EVENTS, CHUNKED))
    await peer.frames(opening + content[:words])
    await peer.seen()
    return joined([chunk(frame) for frame in content[words:] + peer.right.closing]) + LAST


def says(data: bytes | Callable[[Peer], bytes], then: str = "keep") -> Play:
    """Return what sends `data` whatever was asked, and then keeps, finishes, resets or stalls."""

    async def play(peer: Peer) -> None:
        said = data if isinstance(data, bytes) else data(peer)
        if said:
            await peer.send(said, tokens=words_in((said,)))
        await end(peer, then)

    return play


def breaks(then: str, also: bytes = b"") -> Play:
    """Return what begins an answer, says `also`, and finishes, resets or stalls."""

    async def play(peer: Peer) -> None:
        await begin(peer)
        if also:
            await peer.send(also)
        await end(peer, then)

    return play


async def end(peer: Peer, how: str) -> None:
    if how == "finish":
        await peer.finish()
    elif how == "reset":
        await peer.reset()
    elif how == "stall":
        await peer.silence()
    else:
        assert how == "keep", how
