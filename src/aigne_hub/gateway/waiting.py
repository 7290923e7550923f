"""Telling a caller that its answer is being made, before it is there.

AIGNE's clients give up on an answer whose head has not come within a minute, and send the call
again: up to four times, at four times the cost. So the head leaves early, and then something
that means nothing, as often as it takes.
"""

import asyncio

from aigne_hub.gateway.dialects import EVENT_STREAM, Ask
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply

_SPACE = b" "
_COMMENT = b": keepalive\n\n"


class Waiting:
    """Sends the head `after_s` seconds from now, and a sign of life each time as long again.

    Made once nothing of the hub's own can refuse the call any more; `over` must be called.
    """

    def __init__(self, reply: Reply, ask: Ask, after_s: float) -> None:
        self._reply = reply
        self._ask = ask
        self._after_s = after_s
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(after_s, self._tell)

    def over(self) -> None:
        self._timer.cancel()

    def _tell(self) -> None:
        exchange, ask = self._reply.exchange, self._ask
        sign = _SPACE
        if ask.stream:
            sign = _COMMENT if ask.stream_type == EVENT_STREAM else b""
        if exchange.disconnected or exchange.response_complete:
            return
        if exchange.response_started:
            exchange.write(sign)
        else:
            self._reply.start_early(sign, stream=ask.stream)
        self._timer = self._loop.call_later(self._after_s, self._tell)


def expected(plane: Plane, reply: Reply, ask: Ask) -> Waiting | None:
    """Prepare a head that differs from others; return what sends it early, if it must be."""
    assert ask.head is not None
    reply.expect(ask.head.stream_type)
    return Waiting(reply, ask, plane.settings.head_within_s) if ask.head.is_early else None
