"""How a call ends: with the answer of a candidate, or without one."""

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import HubError
from aigne_hub.gateway.attempt import Streaming, Whole
from aigne_hub.gateway.dialects import Ask, Dialect
from aigne_hub.gateway.exchange import ClientGone
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.quoting import Request
from aigne_hub.gateway.relay import failed, relay_stream, relay_whole
from aigne_hub.gateway.reply import Reply
from aigne_hub.gateway.router import Ways
from aigne_hub.usage.tracker import CallTracker


async def pass_on(
    plane: Plane,
    reply: Reply,
    dialect: Dialect,
    ask: Ask,
    call: CallTracker,
    answer: Whole | Streaming,
    ways: Ways,
) -> None:
    """Give the caller its answer, and note how whoever gave it did to the end."""
    candidate = answer.candidate
    try:
        if isinstance(answer, Streaming):
            await relay_stream(reply, dialect, ask, call, answer)
        else:
            await relay_whole(reply, dialect, ask, call, answer)
    except HubError as failure:
        if failure.fault is not None:
            plane.board.failed(candidate.targets, failure.fault, is_probe=False)
        raise
    finally:
        if not ways.is_single:
            candidate.load.outstanding -= 1
    if reply.exchange.disconnected:
        return
    candidate.targets.model.successes += 1
    if plane.board.troubled:
        plane.board.succeeded(candidate.targets, call.attempts[-1].started_us)


async def close_unanswered(
    dialect: Dialect,
    request: Request,
    call: CallTracker,
    failure: HubError | ClientGone,
    *,
    interrupted: bool,
) -> None:
    """Close a call that no upstream answered: free, unless the caller gave up on it."""
    model = request.models[0].ref
    if isinstance(failure, ClientGone):
        counted = dialect.counted(request.ask, call.opened.input_counted, 0)
        await call.close(Outcome.CLIENT_CANCELLED, model=model, counted=counted)
        return
    outcome = Outcome.INTERRUPTED if interrupted else failed(failure)
    await call.close(outcome, model=model, error=failure)
