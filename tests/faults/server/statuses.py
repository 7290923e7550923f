"""F13 to F17 and F27: errors by status, errors below a 200, redirects, and our own key in them."""

import json
from email.utils import formatdate

from tests.faults.server.fault import Fault, Play, answer, begin, says
from tests.faults.server.peer import LAST, Peer, chunk, error, error_event, whole
from tests.faults.server.right import MESSAGES

HTML = b"<html><head><title>Bad</title></head><body><center>nginx</center></body></html>"
HTML_TYPE = b"content-type: text/html"
DATE_LATER_S = 30
_NOW = 1_790_000_000


def _status(status: int, code: str | None = None, *headers: bytes, words: str = "No.") -> Fault:
    def said(peer: Peer) -> bytes:
        return whole(error(peer.wire, words, code=code), *headers, status=status)

    return Fault(says(said))


def _html(status: int) -> Fault:
    return Fault(says(whole(HTML, status=status, kind=HTML_TYPE)))


def _limited(*headers: bytes) -> Fault:
    return _status(429, "rate_limit_exceeded", *headers, words="Slow down.")


def _redirect(status: int, where: str) -> Fault:
    def said(peer: Peer) -> bytes:
        target = where.format(canary=peer.canary, itself=peer.head.split(b" ", 2)[1].decode())
        return whole(b"", b"location: %b" % target.encode(), status=status)

    return Fault(says(said))


async def _error_in_200(peer: Peer) -> None:
    """Say an error below a 200: an object, whatever was asked."""
    await peer.send(whole(error(peer.wire, "Overloaded.")))


async def _error_event_first(peer: Peer) -> None:
    await answer(peer, error(peer.wire, "Overloaded."), [error_event(peer.wire, "Overloaded.")])


def _echo(peer: Peer) -> str:
    name = "x-api-key: " if peer.wire == MESSAGES else "Authorization: Bearer "
    return f"You sent {name}{peer.key}, which is no good."


def _echoes(status: int) -> Fault:
    return Fault(says(lambda peer: whole(error(peer.wire, _echo(peer)), status=status)))


async def _echo_event(peer: Peer) -> None:
    """Repeat our key in an error that ends a stream, or stands below a 200."""
    if not peer.stream:
        await peer.send(whole(error(peer.wire, _echo(peer))))
        return
    await begin(peer)
    await peer.send(chunk(error_event(peer.wire, _echo(peer))) + LAST)


async def _echo_in_answer(peer: Peer) -> None:
    """Repeat our key in an answer that is right but for that."""
    body = json.dumps({**peer.right.body, "headers": {"key": peer.key}}).encode()
    await answer(peer, body, _echoing(peer))


async def _echo_split(peer: Peer) -> None:
    """Repeat our key in a stream of which every byte is a chunk."""
    if not peer.stream:
        await _echo_in_answer(peer)
        return
    frames = [b"%c" % byte for byte in b"".join(_echoing(peer))]
    await answer(peer, b"", frames)


def _echoing(peer: Peer) -> tuple[bytes, ...]:
    """Return a right stream with an event that has our key."""
    event = b'data: {"headers":{"key":"%b"}}\n\n' % peer.key.encode()
    opening, content, closing = peer.right[1:]
    return (*opening, *content[:3], event, *content[3:], *closing)


_ELSEWHERE = "{canary}/chat/completions"
_METADATA = "http://169.254.169.254/latest/meta-data/"
_CREDIT = "Your credit balance is too low to access the API. Go to Plans & Billing."
_PLAYS: dict[str, Play] = {
    "F16-200": _error_in_200,
    "F16-event": _error_event_first,
    "F27-event": _echo_event,
    "F27-answer": _echo_in_answer,
    "F27-split": _echo_split,
}
FAULTS = {
    **{f"F13-{status}": _status(status) for status in (400, 404, 413, 422)},
    **{f"F13-{status}": _status(status) for status in (401, 402, 403, 405, 409)},
    "F13-400-credit": _status(400, words=_CREDIT),
    "F13-400-html": _html(400),
    "F14-seconds": _limited(b"retry-after: 7"),
    "F14-date": _limited(
        b"date: %b" % formatdate(_NOW, usegmt=True).encode(),
        b"retry-after: %b" % formatdate(_NOW + DATE_LATER_S, usegmt=True).encode(),
    ),
    "F14-negative": _limited(b"retry-after: -5"),
    "F14-hours": _limited(b"retry-after: 7200"),
    "F14-vast": _limited(b"retry-after: 1000000000"),
    "F14-garbage": _limited(b"retry-after: soon, I hope"),
    "F14-ms": _limited(b"retry-after-ms: 1500"),
    "F14-none": _limited(),
    **{f"F15-{status}": _html(status) for status in (500, 502, 503, 504)},
    "F16-529": _status(529, "overloaded_error"),
    **{f"F17-{status}": _redirect(status, _ELSEWHERE) for status in (301, 302, 303, 307, 308)},
    "F17-metadata": _redirect(302, _METADATA),
    "F17-loop": _redirect(307, "{itself}"),
    **{f"F27-{status}": _echoes(status) for status in (400, 401, 500)},
    **{name: Fault(play) for name, play in _PLAYS.items()},
}
