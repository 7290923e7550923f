"""The ten steps of a call, in the order of the system's diagram.

 1 API request              4 check credits          7 AI response
 2 verify token             5 authorise              8 log usage
 3 start call tracking      6 proxy to provider      9 deduct credits
                                                    10 return response

3, 4 and 5 are one commit before anything goes upstream; 8 and 9 are one commit before the
last byte of the answer leaves.
"""

import structlog

from aigne_hub.domain.access import Principal
from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import HubError
from aigne_hub.gateway.attempts import Streaming, first_answer
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.idempotency import Replayed, repeat
from aigne_hub.gateway.intake import begin, lowered_limit, read
from aigne_hub.gateway.object_calls import bound
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.quoting import Request
from aigne_hub.gateway.relay import failed, relay_stream, relay_whole
from aigne_hub.gateway.reply import AUTH, OPEN, UPSTREAM, Reply
from aigne_hub.gateway.waiting import expected
from aigne_hub.usage.tracker import CallTracker

_log = structlog.get_logger()


async def handle(plane: Plane, dialect: Dialect, exchange: Exchange) -> None:
    """Answer one data-plane request."""
    reply = Reply(exchange, dialect, plane.clock, plane.new_id())
    plane.counters.in_flight += 1
    try:
        plane.admit()
        principal = await plane.verifier.verify(exchange.fields)  # 2
        reply.mark(AUTH)
        try:
            await _serve(plane, reply, dialect, principal)
        except Replayed as replayed:
            await repeat(plane.answers, reply, replayed.call_id)
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(plane.explained(error))
    except ClientGone:
        plane.counters.refused["client_gone"] += 1
    except Exception:  # noqa: BLE001 - a defect must not take the connection down unanswered
        # What was opened is now nobody's: the periodic clean-up closes it from its journal.
        _log.exception("a call failed in the hub", call_id=reply.call_id)
        reply.refuse(HubError("The hub failed to answer; its log says where."))
    finally:
        plane.counters.in_flight -= 1


async def _serve(plane: Plane, reply: Reply, dialect: Dialect, principal: Principal) -> None:
    request: Request | HubError
    try:
        body = reply.exchange.body_nowait()  # 1
        if body is None:
            body = await reply.exchange.body()
        request = read(plane, reply.exchange, dialect, principal, body)
        if request.ask.follows is not None:
            request.bound = await bound(
                plane, principal, request, request.ask.follows, dialect.language
            )
    except HubError as refusal:
        request = refusal
    call = await begin(plane, reply, dialect, principal, request)  # 3, 4, 5
    assert isinstance(request, Request)
    reply.mark(OPEN)
    waiting = expected(plane, reply, request.ask) if request.ask.head else None
    try:
        answer = await first_answer(  # 6
            reply.exchange,
            dialect,
            request.ask,
            request.bound or plane.router.candidates(request.models, dialect.language),
            call,
            plane.clock,
            lowered_limit(request, call),
        )
    except (HubError, ClientGone) as failure:
        interrupted = reply.exchange.interrupted
        await _unanswered(dialect, request, call, failure, interrupted=interrupted)
        raise
    finally:
        if waiting is not None:
            waiting.over()
    reply.mark(UPSTREAM)
    if answer.not_carried:
        reply.note(answer.not_carried)
    if isinstance(answer, Streaming):
        await relay_stream(reply, dialect, request.ask, call, answer)  # 7, 8, 9, 10
    else:
        await relay_whole(reply, dialect, request.ask, call, answer)  # 7, 8, 9, 10


async def _unanswered(
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
