"""F09 to F12, F25 and F28: broken, endless and untimely heads of answers."""

from tests.faults.server.fault import Fault, Place, answer, answer_right, end, says
from tests.faults.server.peer import JSON, Peer, error, top, whole

DRIP_S = 0.2
# Where a request says whether it wants a stream, when that is the first it says.
PEEK_BYTES = 64
_HEAD = top(200, JSON, b"content-length: 2")
_FILL = b"x-fill: " + b"f" * 1000


async def _drips(peer: Peer) -> None:
    """Send a head so slowly that it never ends, and is never quite silent."""
    for number in range(len(_HEAD) - 1):
        await peer.send(_HEAD[number : number + 1])
        await peer.pause(DRIP_S)
    await peer.silence()


async def _closes_at_reuse(peer: Peer) -> None:
    """Answer well, and break the connection when it is used a second time."""
    if peer.line.requests > 1:
        await end(peer, "reset")
    else:
        await answer_right(peer)


def _after(interim: bytes) -> Fault:
    """Return what says something of its own before a right answer."""

    async def play(peer: Peer) -> None:
        await peer.send(interim)
        await answer_right(peer)

    return Fault(play)


async def _early(peer: Peer) -> None:
    """Answer before the request has been read but for its beginning; the server reads it then."""
    await peer.body(PEEK_BYTES)
    await answer(peer, peer.right.whole, peer.right.frames)


async def _refuses_early(peer: Peer) -> None:
    await peer.send(whole(error(peer.wire, "Too much."), status=413))


FAULTS = {
    "F09-reset": Fault(says(b"", "reset")),
    "F10-close": Fault(says(b"", "finish")),
    "F11-stall": Fault(says(_HEAD[:40], "stall")),
    "F11-drip": Fault(_drips),
    "F11-reset": Fault(says(_HEAD[:40], "reset")),
    "F12-large": Fault(says(top(200, JSON, *[_FILL] * 80), "stall")),
    "F12-many": Fault(says(top(200, JSON, *[b"x: y"] * 5_000), "stall")),
    "F12-line": Fault(says(top(200, JSON, b"x-fill: " + b"f" * 200_000), "stall")),
    "F25-417": Fault(says(lambda peer: whole(error(peer.wire, "No."), status=417))),
    "F25-100": _after(top(100)),
    "F25-103": _after(top(103, b"link: </any>; rel=preload")),
    "F25-101": Fault(says(top(101, b"upgrade: any", b"connection: upgrade"), "stall")),
    "F25-early": Fault(_early, is_early=True),
    "F25-reuse": Fault(_closes_at_reuse),
    "F28-answer": Fault(_early, is_early=True),
    "F28-413": Fault(_refuses_early, is_early=True),
}
assert all(fault.place is Place.HTTP for fault in FAULTS.values())
