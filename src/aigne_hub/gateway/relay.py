"""Steps 7 to 10: pass the answer on, settle it, and only then let its last byte leave."""

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import (
    HubError,
    InsufficientCredits,
    Overloaded,
    UpstreamError,
    UpstreamTimeout,
)
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Settled
from aigne_hub.domain.quotes import count_text
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.attempts import Streaming, Whole, from_transport
from aigne_hub.gateway.dialects import Ask, Dialect
from aigne_hub.gateway.reply import Reply
from aigne_hub.transport import TransportError
from aigne_hub.usage.tracker import CallTracker


def failed(error: HubError) -> Outcome:
    timeout = isinstance(error, UpstreamTimeout)
    return Outcome.UPSTREAM_TIMEOUT if timeout else Outcome.UPSTREAM_FAILED


async def relay_whole(
    reply: Reply, dialect: Dialect, ask: Ask, call: CallTracker, whole: Whole
) -> Settled:
    """Settle a complete answer, then send it: its bytes are the upstream's own."""
    call.ttfb_us = call.elapsed_us()
    model = whole.candidate.model.ref
    output = 0 if whole.usage is not None else dialect.text_bytes(whole.body)
    counted = dialect.counted(ask, call.opened.input_counted, output)
    outcome = Outcome.COMPLETED
    if reply.exchange.disconnected:
        outcome = Outcome.CLIENT_CANCELLED
        counted = dialect.counted(ask, call.opened.input_counted, 0)
    settled = await call.close(
        outcome,
        model=model,
        reported=whole.usage if outcome is Outcome.COMPLETED else None,
        counted=counted,
    )
    reply.mark(b"settle")
    reply.whole(model, format_credits(settled.charge), whole.content_type, whole.body)
    return settled


async def relay_stream(
    reply: Reply, dialect: Dialect, ask: Ask, call: CallTracker, stream: Streaming
) -> Settled:
    """Pass a stream on frame by frame; its terminal frames wait for the settlement."""
    exchange, meter, answer = reply.exchange, stream.meter, stream.answer
    model = stream.candidate.model.ref
    exchange.on_disconnect = answer.close
    error: HubError | None = None
    outcome = Outcome.COMPLETED
    try:
        error = await _pump(reply, model, call, stream)
    finally:
        exchange.on_disconnect = None
        counted = dialect.counted(ask, call.opened.input_counted, meter.delivered_bytes)
    if exchange.disconnected:
        error, outcome = None, Outcome.CLIENT_CANCELLED
    elif exchange.interrupted and error is not None:
        error, outcome = Overloaded("The hub is shutting down."), Outcome.INTERRUPTED
    elif isinstance(error, InsufficientCredits):
        outcome = Outcome.CUT_OFF
    elif error is not None:
        outcome = failed(error)
    if not meter.complete or error is not None:
        answer.close()
    settled = await call.close(
        outcome, model=model, reported=meter.usage, counted=counted, error=error
    )
    answer.close()
    if error is not None:
        reply.refuse(error)
    elif not exchange.disconnected:
        if not exchange.response_started:
            reply.start_stream(model, b"")
        exchange.finish(meter.last(format_credits(settled.charge), _shown(meter.usage, counted)))
    return settled


async def _pump(reply: Reply, model: str, call: CallTracker, stream: Streaming) -> HubError | None:
    """Move content until the stream ends; return what ended it early, None for a clean end."""
    exchange, meter, answer = reply.exchange, stream.meter, stream.answer
    out = stream.first
    try:
        while not exchange.disconnected:
            if out:
                if not await call.deliver(count_text(meter.delivered_bytes)):
                    return InsufficientCredits("The credits ran out in mid-stream.")
                if exchange.response_started:
                    exchange.write(out)
                    if exchange.write_paused:
                        await exchange.drain()
                else:
                    call.ttfb_us = call.elapsed_us()
                    reply.start_stream(model, out)
            if meter.complete or meter.failure is not None:
                return meter.failure
            data = await answer.chunk()
            if data is None:
                meter.end()
                if meter.complete:
                    return None
                return UpstreamError("The upstream ended the stream before it was complete.")
            out = meter.feed(data)
    except TransportError as broken:
        return from_transport(broken)
    return None


def _shown(reported: Usage | None, counted: Usage) -> Usage:
    return counted if reported is None else reported
