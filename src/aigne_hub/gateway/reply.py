"""What goes back to the caller around the answer itself: headers, refusals, timings."""

import re

from aigne_hub.domain.errors import HubError, Overloaded, RateLimited, Unauthenticated
from aigne_hub.domain.routing import ATTEMPTS_MAX
from aigne_hub.gateway.dialects import EVENT_STREAM, Dialect, RefusesInEvents
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.ports import Clock

STEPS = AUTH, OPEN, UPSTREAM, SETTLE = range(4)
_JSON = b"content-type: application/json\r\n"
_CALL_ID = b"x-aigne-hub-call-id: %b\r\n"
# How many members that were left out are named.
NOTED_MAX = 32
_NOTABLE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# Scripts of any origin may call and read: keys stand in headers, which no browser adds by itself.
_IDS = (
    b"access-control-allow-origin: *\r\naccess-control-expose-headers: *\r\n"
    b"x-request-id: %b\r\nx-aigne-hub-call-id: %b\r\n"
)
_TIMING = (
    b"server-timing: auth;dur=%.3f, open;dur=%.3f, upstream;dur=%.3f, settle;dur=%.3f, "
    b"total;dur=%.3f\r\n"
)
_STREAM = b"content-type: %b\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n"
_EVENT_STREAM = _STREAM % EVENT_STREAM.encode()


def _attempts(number: int) -> bytes:
    return b"x-aigne-hub-attempts: %d\r\n" % number


# How the header begins; no value of another one can have a line's end in it.
_TOLD = b"\r\nx-aigne-hub-attempts: "
_ATTEMPTS = tuple(_attempts(number) for number in range(ATTEMPTS_MAX + 1))


class Reply:
    """One exchange's answer in the making, with its clock."""

    __slots__ = (
        "_began",
        "_clock",
        "_dialect",
        "_is_plain",
        "_is_whole_begun",
        "_last",
        "_spent",
        "call_id",
        "exchange",
        "ids",
        "request_id",
        "stream_head",
    )

    def __init__(self, exchange: Exchange, dialect: Dialect, clock: Clock, call_id: str) -> None:
        self.exchange = exchange
        self.call_id = call_id
        self._dialect = dialect
        self._clock = clock
        self._began = self._last = clock.monotonic_us()
        self._spent = [0.0, 0.0, 0.0, 0.0]
        self._is_whole_begun = False
        self.stream_head = _EVENT_STREAM
        known = own = call_id.encode()
        self.request_id = call_id
        sent = exchange.fields.get(b"x-request-id")
        if sent is not None and _REQUEST_ID.fullmatch(sent):
            known = sent
            self.request_id = sent.decode()
        self.ids = _IDS % (known, own)
        if dialect.request_id_header is not None:
            self.ids += b"%b: %b\r\n" % (dialect.request_id_header, known)

    def note(self, not_carried: tuple[str, ...]) -> None:
        """Tell the caller which members of its request the provider was not told."""
        names = ", ".join(name for name in not_carried[:NOTED_MAX] if _NOTABLE.fullmatch(name))
        self.ids += b"x-aigne-hub-not-carried: %b\r\n" % names.encode()

    def tried(self, attempts: int) -> None:
        """Tell the caller how many upstreams were asked."""
        self.ids += _ATTEMPTS[attempts]

    def mark(self, step: int) -> None:
        """Note that one of the STEPS ended; its time counts from the previous mark."""
        now = self._clock.monotonic_us()
        self._spent[step] = (now - self._last) / 1000
        self._last = now

    def refuse(self, error: HubError) -> None:
        """Answer an error in the caller's dialect: an event once a stream has begun.

        Of an answer whose head left early the error is the body, and the status stays 200.
        """
        exchange = self.exchange
        timestamp_ms = self._clock.now_us() // 1000
        if self._is_whole_begun:
            exchange.finish(self._dialect.error(error, timestamp_ms, self.request_id))
            return
        if exchange.response_started:
            if getattr(self, "_is_plain", False):
                # What was begun can be told to have failed by its end alone.
                exchange.abort()
                return
            exchange.finish(self._dialect.error_event(error, timestamp_ms))
            return
        if _TOLD not in self.ids:
            self.tried(0)
        head = [self.ids, b"x-aigne-hub-credits: 0\r\n", self._timing()]
        if isinstance(error, RateLimited | Overloaded):
            head.append(b"retry-after: %d\r\n" % error.retry_after_s)
        if isinstance(error, Unauthenticated) and error.challenge is not None:
            head.append(b"www-authenticate: %b\r\n" % error.challenge.encode())
        if isinstance(self._dialect, RefusesInEvents):
            event = self._dialect.error_event(error, timestamp_ms)
            exchange.respond(200, b"".join((_EVENT_STREAM, *head)), event)
            return
        body = self._dialect.error(error, timestamp_ms, self.request_id)
        exchange.respond(error.status, b"".join((_JSON, *head)), body)

    def whole(self, model: str, charge: str, content_type: bytes, body: bytes) -> None:
        if self._is_whole_begun:
            self.exchange.finish(body)
            return
        head = b"content-type: %b\r\n%bx-aigne-hub-model: %b\r\nx-aigne-hub-credits: %b\r\n%b" % (
            content_type,
            self.ids,
            model.encode(),
            charge.encode(),
            # The settlement was marked just now.
            _TIMING % (*self._spent, (self._last - self._began) / 1000),
        )
        self.exchange.respond(200, head, body)

    def repeat(
        self, call_id: str, model: str, charge: str | None, content_type: bytes, body: bytes
    ) -> None:
        """Send an earlier call's answer again; `charge` is left out for a stream."""
        credits_ = b"" if charge is None else b"x-aigne-hub-credits: %b\r\n" % charge.encode()
        own, earlier = (_CALL_ID % one.encode() for one in (self.call_id, call_id))
        head = (
            b"content-type: %b\r\n%bx-aigne-hub-model: %b\r\n%bidempotent-replayed: true\r\n%b"
        ) % (
            content_type,
            self.ids.replace(own, earlier),
            model.encode(),
            credits_,
            self._timing(),
        )
        self.exchange.respond(200, head, body)

    def plain(self, body: bytes) -> None:
        """Answer a JSON document that is not a call."""
        self.exchange.respond(200, _JSON + self.ids, body)

    def expect(self, stream_type: str) -> None:
        """Give a stream that is to come another media type."""
        self.stream_head = _STREAM % stream_type.encode()

    def expect_plain(self, content_type: bytes, charge: str) -> None:
        """Have what is to come passed on as it is, not as events; its charge is known before."""
        self._is_plain = True
        self.stream_head = b"content-type: %b\r\nx-aigne-hub-credits: %b\r\n" % (
            content_type,
            charge.encode(),
        )

    def start_early(self, sign: bytes, *, stream: bool) -> None:
        """Send the head before anybody has answered, and a sign of life as the body's first."""
        self._is_whole_begun = not stream
        kind = self.stream_head if stream else _JSON
        self.exchange.start(200, b"%b%b%b" % (kind, self.ids, self._timing()), sign)

    def start_stream(self, model: str, first: bytes) -> None:
        head = b"%b%bx-aigne-hub-model: %b\r\n%b" % (
            self.stream_head,
            self.ids,
            model.encode(),
            self._timing(),
        )
        self.exchange.start(200, head, first)

    def _timing(self) -> bytes:
        """Return Server-Timing (W3C), milliseconds; steps still to come are 0."""
        return _TIMING % (*self._spent, (self._clock.monotonic_us() - self._began) / 1000)
