"""Steps 7 to 10: pass the answer on, settle it, and only then let its last byte leave."""

import re

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import (
    HubError,
    InsufficientCredits,
    InvalidRequest,
    Overloaded,
    UpstreamError,
    UpstreamTimeout,
)
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Settled
from aigne_hub.domain.quotes import BYTES_PER_TOKEN, count_text
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.attempt import SHUTTING_DOWN, Streaming, Whole
from aigne_hub.gateway.dialects import Ask, Dialect, Served, Telling
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.own_keys import HIDDEN, key_in, without_key
from aigne_hub.gateway.reply import SETTLE, Reply
from aigne_hub.gateway.translated import JSON
from aigne_hub.gateway.verdicts import from_transport, without_words
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import TransportError
from aigne_hub.usage.tracker import CallTracker

# Looking a member up in its class costs more in Python 3.11 than comparing it.
_COMPLETED = Outcome.COMPLETED
_FAILED = frozenset({Outcome.UPSTREAM_FAILED, Outcome.UPSTREAM_TIMEOUT})
# Whatever a provider calls their whole answers: these were read as JSON.
_JSON_TYPES = frozenset({"chat", "embedding", "image", "moderation", "rerank"})
_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")


def failed(error: HubError) -> Outcome:
    if isinstance(error, InvalidRequest):
        return Outcome.REJECTED
    timeout = isinstance(error, UpstreamTimeout)
    return Outcome.UPSTREAM_TIMEOUT if timeout else Outcome.UPSTREAM_FAILED


async def relay_whole(
    reply: Reply, dialect: Dialect, ask: Ask, call: CallTracker, whole: Whole
) -> Settled:
    """Settle a complete answer, then send it: its bytes are the upstream's own."""
    model = whole.candidate.model.ref
    usage = whole.report.usage
    is_wanted = not reply.exchange.disconnected
    if is_wanted and usage is not None:
        counted = usage  # what the provider has counted is not counted again
        closing = call.closing(_COMPLETED, model=model, reported=usage, counted=usage)
    else:
        output = dialect.output_of(whole.body) if is_wanted else 0
        counted = dialect.counted(ask, call.opened.input_counted, output)
        outcome = _COMPLETED if is_wanted else Outcome.CLIENT_CANCELLED
        closing = call.closing(outcome, model=model, counted=counted)
    # All of it came at once.
    closing.ttfb_us = closing.duration_us
    if is_wanted:
        closing.made = ask.made
    body = whole.body if usage is not None else _telling(dialect, whole, counted)
    body = without_key(body, whole.candidate.secret)
    content_type = JSON if dialect.type in _JSON_TYPES else whole.content_type
    if ask.presented is not None:
        charge = format_credits(closing.charge)
        body = _presented(ask, call, model, charge, _shown(usage, counted), body)
    if call.kept is not None and is_wanted:
        closing.answer = call.answer(content_type.decode("latin-1"), model, body)
    settled = await call.settle(closing, whole.report)
    reply.mark(SETTLE)
    reply.whole(model, format_credits(settled.charge), content_type, body)
    return settled


async def relay_stream(
    reply: Reply, dialect: Dialect, ask: Ask, call: CallTracker, stream: Streaming
) -> Settled:
    """Pass a stream on frame by frame; its terminal frames wait for the settlement.

    Raises what ended it early, once that is settled, for the caller to be told.
    """
    exchange, meter, answer = reply.exchange, stream.meter, stream.answer
    model = stream.candidate.model.ref
    exchange.on_disconnect = answer.close
    if meter.plain:
        known = dialect.counted(ask, call.opened.input_counted, 0)
        reply.expect_plain(_type_of(answer), format_credits(call.price(known)))
    try:
        broken = await _pump(reply, dialect, call, stream)
    except BaseException:
        answer.close()
        raise
    finally:
        exchange.on_disconnect = None
    outcome, error = _ending(exchange, broken)
    if not meter.complete or error is not None:
        answer.close()
    if outcome in _FAILED and error is not None:
        call.attempts[-1] = call.attempts[-1]._replace(error=error.recorded)
    # A caller who left pays for what was produced until the upstream was stopped.
    produced = outcome in {Outcome.COMPLETED, Outcome.CLIENT_CANCELLED}
    text = meter.delivered_bytes if produced else stream.left_bytes
    counted = dialect.counted(ask, call.opened.input_counted, text)
    closing = call.closing(
        outcome, model=model, reported=stream.usage, counted=counted, error=error
    )
    last = b""
    if outcome is Outcome.COMPLETED:
        closing.made = ask.made
        charge, shown = format_credits(closing.charge), _shown(stream.usage, counted)
        closed = without_key(meter.last(charge, shown), stream.candidate.secret)
        last = _presented(ask, call, model, charge, shown, closed)
        if call.kept is not None:
            content_type = (
                ask.stream_type if not meter.plain else _type_of(answer).decode("latin-1")
            )
            closing.answer = call.answer(content_type, model, last)
    settled = await call.settle(closing, stream.report)
    answer.leave()
    if error is not None:
        raise error
    if not exchange.disconnected:
        _end(reply, stream, format_credits(settled.charge), last)
    return settled


def _end(reply: Reply, stream: Streaming, charge: str, last: bytes) -> None:
    """Send what was kept back of a stream: all of it, when nothing of it has left."""
    model = stream.candidate.model.ref
    if not reply.exchange.response_started:
        if stream.meter.plain:
            reply.whole(model, charge, _type_of(stream.answer), last)
            return
        reply.start_stream(model, b"")
    reply.exchange.finish(last)


def _telling(dialect: Dialect, whole: Whole, counted: Usage) -> bytes:
    """Return an answer that has no usage with what was counted, where its format always has some.

    The bytes of a provider that speaks the caller's format are its own.
    """
    is_translated = dialect.language not in whole.candidate.languages
    if is_translated and isinstance(dialect.form, Telling):
        return dialect.form.telling(whole.body, counted)
    return whole.body


def _presented(
    ask: Ask, call: CallTracker, model: str, charge: str, usage: Usage, data: bytes
) -> bytes:
    """Return an answer, or its last bytes, as it is told with what the call came to."""
    if ask.presented is None:
        return data
    return ask.presented(data, Served(call.opened.call_id, model, charge, usage))


def _type_of(answer: Answer) -> bytes:
    return answer.header(b"content-type") or b"application/json"


def _ending(exchange: Exchange, error: HubError | None) -> tuple[Outcome, HubError | None]:
    """Return how a stream ended, and the error its caller and its record are told of."""
    if exchange.disconnected:
        return Outcome.CLIENT_CANCELLED, None
    if error is None:
        return Outcome.COMPLETED, None
    if exchange.interrupted:
        return Outcome.INTERRUPTED, Overloaded(SHUTTING_DOWN)
    if isinstance(error, InsufficientCredits):
        return Outcome.CUT_OFF, error
    return failed(error), error


async def _pump(
    reply: Reply, dialect: Dialect, call: CallTracker, stream: Streaming
) -> HubError | None:
    """Move content until the stream ends; return what ended it early, None for a clean end."""
    exchange, meter = reply.exchange, stream.meter
    passage = _Passage(reply, call, stream)
    passage.out = stream.first
    try:
        while not exchange.disconnected:
            out, passage.out = passage.out, b""
            if out:
                tokens = count_text(meter.delivered_bytes)
                if not await call.deliver(tokens):
                    out, text = _affordable(
                        dialect, out, call.tokens_held * BYTES_PER_TOKEN - stream.left_bytes
                    )
                    stream.left_bytes += text
                    passage.leave(out)
                    return InsufficientCredits("The credits ran out in mid-stream.")
                stream.left_bytes = meter.delivered_bytes
                passage.leave(out)
            if exchange.write_paused:
                await exchange.drain()
            if meter.complete or meter.failure is not None:
                break
            if await stream.answer.pour(passage.take):
                meter.end()
                break
    except (TransportError, UpstreamError) as broken:
        return _broken(broken, stream)
    if meter.failure is not None:
        return without_words(meter.failure, stream.candidate.secret)
    if meter.complete or exchange.disconnected:
        return None
    return UpstreamError("The upstream ended the stream before it was complete.")


def _broken(error: TransportError | UpstreamError, stream: Streaming) -> HubError:
    if isinstance(error, TransportError):
        return from_transport(error)
    return without_words(error, stream.candidate.secret)


class _Passage:
    """What happens to a piece of a stream when it arrives, as far as nothing is waited for.

    `out` has to wait for a commit.
    """

    __slots__ = ("_call", "_exchange", "_key", "_meter", "_reply", "_stream", "out")

    def __init__(self, reply: Reply, call: CallTracker, stream: Streaming) -> None:
        self._reply = reply
        self._exchange = reply.exchange
        self._call = call
        self._stream = stream
        self._meter = stream.meter
        self._key = key_in(stream.candidate.secret)
        self.out = b""
        if reply.exchange.response_started:  # its head left early
            call.ttfb_us = call.elapsed_us()

    def take(self, data: bytes) -> bool:
        """Pass a piece on; return False when the next one must wait."""
        meter, exchange = self._meter, self._exchange
        out = meter.feed(data)
        if out:
            text = meter.delivered_bytes
            # As `count_text` says, without a call for each piece.
            if not self._call.passes(-(-text // BYTES_PER_TOKEN)):
                self.out = out
                return False
            self._stream.left_bytes = text
            self.leave(out)
        return not (
            exchange.write_paused
            or exchange.disconnected
            or meter.complete
            or meter.failure is not None
        )

    def leave(self, out: bytes) -> None:
        call, exchange = self._call, self._exchange
        if self._key is not None and self._key in out:
            out = out.replace(self._key, HIDDEN)
        if call.kept is not None:
            call.keep(out)
        if exchange.response_started:
            exchange.write(out)
        elif out:
            call.ttfb_us = call.elapsed_us()
            self._reply.start_stream(self._stream.candidate.model.ref, out)


def _affordable(dialect: Dialect, out: bytes, room: int) -> tuple[bytes, int]:
    """Return the leading events of `out` with at most `room` bytes of text, and their text's size.

    What was read in one go can be more than the last credits pay for; its first events are
    paid for, so they leave.
    """
    end = size = 0
    for event in _EVENT_END.finditer(out):
        text = dialect.output_of(out[end : event.end()])
        if size + text > room:
            break
        size += text
        end = event.end()
    return out[:end], size


def _shown(reported: Usage | None, counted: Usage) -> Usage:
    return counted if reported is None else reported
