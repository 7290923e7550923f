"""The ten steps of a call, in the order of the system's diagram.

 1 API request              4 check credits          7 AI response
 2 verify token             5 authorise              8 log usage
 3 start call tracking      6 proxy to provider      9 deduct credits
                                                    10 return response

3, 4 and 5 are one commit before anything goes upstream; 8 and 9 are one commit before the
last byte of the answer leaves.
"""

from collections.abc import Awaitable, Callable

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError
from aigne_hub.gateway.attempts import Tries
from aigne_hub.gateway.delivery import close_unanswered, pass_on
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.hedging import HedgedTries
from aigne_hub.gateway.idempotency import repeat
from aigne_hub.gateway.intake import begin, lowered_limit, read
from aigne_hub.gateway.object_calls import bound
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.quoting import Request
from aigne_hub.gateway.reply import AUTH, OPEN, UPSTREAM, Reply
from aigne_hub.gateway.router import Ways
from aigne_hub.gateway.waiting import expected
from aigne_hub.logs import get_logger

_log = get_logger()


# Tells who sent a request, where that is not told by a key or a token in its head.
Verify = Callable[[Plane, Exchange], Awaitable[Principal]]


async def handle(
    plane: Plane, dialect: Dialect, exchange: Exchange, verify: Verify | None = None
) -> None:
    """Answer one data-plane request."""
    reply = Reply(exchange, dialect, plane.clock, plane.new_id())
    plane.counters.in_flight += 1
    try:
        plane.admit()
        if verify is None:
            principal = await plane.verifier.verify(exchange.fields)  # 2
        else:
            principal = await verify(plane, exchange)
        reply.mark(AUTH)
        await _serve(plane, reply, dialect, principal)
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
    ways: Ways | None = None
    exchange = reply.exchange
    try:
        body = exchange.body_nowait()  # 1
        if body is None:
            body = await exchange.body()
        request = read(plane, exchange, dialect, principal, body)
        if request.ask.follows is not None:
            request.bound = await bound(
                plane, principal, request, request.ask.follows, dialect.language
            )
        ways = plane.router.ways(request, dialect.language, exchange.fields, principal.user_id)
    except HubError as refusal:
        request = refusal
    call = await begin(plane, reply, dialect, principal, request)  # 3, 4, 5
    if call.replay is not None:
        await repeat(plane.answers, reply, call.replay)
        return
    assert isinstance(request, Request)
    assert ways is not None
    reply.mark(OPEN)
    ask = request.ask
    waiting = expected(plane, reply, ask) if ask.head else None
    hedges = not ways.is_single and plane.settings.routing.hedge_percentile is not None
    tries = (HedgedTries if hedges else Tries)(
        plane, exchange, dialect, ask, call, lowered_limit(request, call)
    )
    try:
        answer = await tries.first_answer(ways)  # 6
    except (HubError, ClientGone) as failure:
        interrupted = exchange.interrupted
        await close_unanswered(dialect, request, call, failure, interrupted=interrupted)
        raise
    finally:
        if waiting is not None:
            waiting.over()
        reply.tried(len(call.attempts))
    reply.mark(UPSTREAM)
    if answer.not_carried:
        reply.note(answer.not_carried)
    await pass_on(plane, reply, dialect, ask, call, answer, ways)  # 7, 8, 9, 10
