"""F01 to F08: what goes wrong before a request can be sent."""

import struct

from tests.faults.server.authority import EXPIRED, RIGHT, UNKNOWN, WRONG_HOST
from tests.faults.server.fault import Fault, Place, answer, answer_right, end
from tests.faults.server.peer import Peer

# RFC 8446: a fatal alert, handshake_failure; and the beginning of a record of a handshake, of
# which 120 bytes are announced.
_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
_HALF = b"\x16\x03\x03" + struct.pack(">H", 120) + b"\x02\x00\x00\x74\x03\x03" + bytes(20)


async def _nothing(peer: Peer) -> None:
    await peer.silence()


async def _once(peer: Peer) -> None:
    """Answer well and close, so that the next call looks for the address again."""
    await answer(peer, peer.right.whole, peer.right.frames, b"connection: close")
    await peer.finish()


def _at_hello(data: bytes, then: str) -> Fault:
    """Return what reads a client's hello, says `data` and ends as told."""

    async def play(peer: Peer) -> None:
        await peer.first_bytes()
        if data:
            await peer.send(data)
        await end(peer, then)

    return Fault(play, is_raw=True, place=Place.TLS)


FAULTS = {
    "F01-refused": Fault(_nothing, place=Place.REFUSED),
    "F02-silence": Fault(_nothing),
    "F02-unread": Fault(_nothing, is_raw=True),
    "F03-blackhole": Fault(_nothing, place=Place.BLACKHOLE),
    "F04-no-address": Fault(_nothing, place=Place.NOWHERE),
    "F05-moved": Fault(_once, place=Place.NAME),
    "F05-gone": Fault(_once, place=Place.NAME_ONCE),
    "F06-alert": _at_hello(_ALERT, "finish"),
    "F06-plain": _at_hello(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "finish"),
    "F07-expired": Fault(answer_right, place=Place.TLS, certificate=EXPIRED),
    "F07-wrong-host": Fault(answer_right, place=Place.TLS, certificate=WRONG_HOST),
    "F07-unknown": Fault(answer_right, place=Place.TLS, certificate=UNKNOWN),
    "F07-right": Fault(answer_right, place=Place.TLS, certificate=RIGHT),
    "F08-close": _at_hello(b"", "finish"),
    "F08-reset": _at_hello(b"", "reset"),
    "F08-half": _at_hello(_HALF, "finish"),
    "F08-stall": _at_hello(_HALF, "stall"),
}
