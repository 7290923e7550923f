"""Requests about what an earlier call left at its provider: a stored response, a video's job.

They go to the credential that made it, and only for the account that paid for it. They are no
calls: nothing is produced, recorded or charged.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple
from urllib.parse import quote

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import (
    Forbidden,
    HubError,
    InvalidRequest,
    NotFound,
    Overloaded,
)
from aigne_hub.domain.objects import Followed, UpstreamObject, is_id
from aigne_hub.gateway.attempt import SHUTTING_DOWN
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.quoting import Request
from aigne_hub.gateway.reply import AUTH, UPSTREAM, Reply
from aigne_hub.gateway.verdicts import from_transport, refused
from aigne_hub.logs import get_logger
from aigne_hub.providers.upstream import Answer, Keeper
from aigne_hub.transport import TransportError

# What may stand in a query as it is; anything else is percent-encoded.
_QUERY_SAFE: Final = "=&%+-._~,:@!$'()*;/?"

_log = get_logger()


Responding = Callable[[Plane, Reply, UpstreamObject, Answer], Awaitable[None]]


class Wanted(NamedTuple):
    """What is asked of an object: `path` is below the provider's base URL."""

    named: Followed
    method: str
    path: str


async def answer_whole(_plane: Plane, reply: Reply, found: UpstreamObject, answer: Answer) -> None:
    """Answer with a provider's bytes."""
    body = await read(reply.exchange, answer)
    reply.mark(UPSTREAM)
    kind = answer.header(b"content-type") or b"application/json"
    reply.whole(found.model, "0", kind, body)


async def relay_object(
    plane: Plane,
    dialect: Dialect,
    exchange: Exchange,
    wanted: Wanted,
    respond: Responding = answer_whole,
) -> None:
    """Answer with what the provider says of an object, passed on by `respond`; or its refusal."""
    reply = Reply(exchange, dialect, plane.clock, plane.new_id())
    plane.counters.in_flight += 1
    try:
        plane.admit()
        principal = await plane.verifier.verify(exchange.fields)
        reply.mark(AUTH)
        await exchange.body()  # says nothing; a line whose request was not read cannot be kept
        found = await owned(plane, principal, wanted.named)
        candidate = keeper(plane, found, dialect.language)
        answer = await fetched(exchange, candidate, wanted.method, with_query(wanted, exchange))
        await respond(plane, reply, found, answer)
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(plane.explained(error))
    except ClientGone:
        plane.counters.refused["client_gone"] += 1
    except Exception:  # noqa: BLE001 - a defect must not take the connection down unanswered
        _log.exception("a request about an object failed in the hub")
        reply.refuse(HubError("The hub failed to answer; its log says where."))
    finally:
        exchange.on_disconnect = None
        plane.counters.in_flight -= 1


async def owned(plane: Plane, principal: Principal, named: Followed) -> UpstreamObject:
    """Return the caller's own object; raises NotFound for any other, Forbidden for its model."""
    known = is_id(named.id)
    found = await plane.objects.find(principal.user_id, named.id) if known else None
    if found is None or found.kind != named.kind:
        raise NotFound(
            f"The hub knows no stored {named.kind} {named.id[:80]!r} of this account. It knows "
            f"those that were made through it in the last 31 days and stored by their provider.",
            param=named.param,
        )
    if not principal.may_use(found.model):
        raise Forbidden(f"This key may not use the model {found.model!r}.", param=named.param)
    return found


def keeper(plane: Plane, found: UpstreamObject, language: str) -> Candidate:
    """Return the way to where an object is; raises NotFound when that is gone."""
    models = plane.router.snapshot.models
    model = models.get(found.model)
    only = () if model is None else (model,)
    candidates = plane.router.bound(only, language, found.provider, found.credential)
    for candidate in candidates:
        if isinstance(candidate.upstream, Keeper):
            return candidate
    raise NotFound(
        f"The {found.kind} {found.id!r} cannot be reached any more: the model or the credential "
        "that made it is not configured now."
    )


async def bound(
    plane: Plane, principal: Principal, request: Request, followed: Followed, language: str
) -> list[Candidate]:
    """Return the only ways to serve a request that goes on from an object.

    Raises NotFound or Forbidden, or InvalidRequest when none of its models is where the object is.
    """
    try:
        found = await owned(plane, principal, followed)
        ways = plane.router.bound(request.models, language, found.provider, found.credential)
        if ways:
            return ways
        raise InvalidRequest(
            f"The {found.kind} {found.id!r} is kept by {found.provider} for the credential that "
            f"made it, which does not serve {request.models[0].ref}.",
            param=followed.param,
        )
    except HubError as error:
        error.add_note(request.ask.model)
        raise


def with_query(wanted: Wanted, exchange: Exchange) -> str:
    """Return the path to ask for, with the caller's query."""
    query = quote(exchange.query.decode("latin-1"), safe=_QUERY_SAFE, encoding="latin-1")
    return f"{wanted.path}?{query}" if query else wanted.path


async def fetched(exchange: Exchange, candidate: Candidate, method: str, path: str) -> Answer:
    """Return the provider's answer, its head read; raises its refusal as a HubError.

    A caller that leaves, and a hub that stops, end the wait.
    """
    assert isinstance(candidate.upstream, Keeper)
    exchange.on_disconnect = exchange.task.cancel
    try:
        answer = await candidate.upstream.fetch(method, path)
    except asyncio.CancelledError:
        if not exchange.disconnected and not exchange.interrupted:
            raise
        exchange.task.uncancel()
        raise _ended(exchange) from None
    except TransportError as error:
        raise from_transport(error) from None
    exchange.on_disconnect = answer.close
    if answer.status != 200:
        raise await refused(answer, candidate.secret)
    return answer


async def read(exchange: Exchange, answer: Answer) -> bytes:
    """Return a whole body; raises a HubError for one that breaks off."""
    try:
        return await answer.read()
    except TransportError as error:
        if exchange.disconnected or exchange.interrupted:
            raise _ended(exchange) from None
        raise from_transport(error) from None


def _ended(exchange: Exchange) -> Exception:
    return Overloaded(SHUTTING_DOWN) if exchange.interrupted else ClientGone()
