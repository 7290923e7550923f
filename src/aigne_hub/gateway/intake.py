"""Step 1 and the making of the entry that steps 3, 4 and 5 commit."""

from collections.abc import Coroutine
from typing import Any

from aigne_hub.auth.verifier import app_did
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.operations import Open
from aigne_hub.domain.quotes import count_text, size_of
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.idempotency import HEADER, claim_of
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.quoting import Request, priced, tokens_wanted
from aigne_hub.gateway.reply import Reply
from aigne_hub.usage.tracker import CallTracker

# A refused name is kept only so far.
NAME_MAX = 200


def read(
    plane: Plane, exchange: Exchange, dialect: Dialect, principal: Principal, body: bytes
) -> Request:
    """Read, resolve, authorise and quote; raises a HubError."""
    ask = dialect.ask(body)
    try:
        request = priced(
            plane.router.snapshot,
            dialect,
            principal,
            ask,
            ask.size or size_of(ask.body),
            billing=plane.settings.billing,
        )
        if HEADER in exchange.fields:
            request.claim = claim_of(exchange, principal, dialect, ask)
    except HubError as error:
        error.add_note(ask.model)
        raise
    return request


def printable(name: str) -> str:
    """Return a model's name as it may be stored and shown: bounded, without control characters."""
    return "".join(char if char.isprintable() else "�" for char in name[:NAME_MAX])


def begin(
    plane: Plane,
    reply: Reply,
    dialect: Dialect,
    principal: Principal,
    request: Request | HubError,
) -> Coroutine[Any, Any, CallTracker]:
    """Open the call in one commit: its record, its hold and its authorisation.

    A request that could not be read or is refused is recorded too, then raised.
    """
    application = app_did(principal, reply.exchange.fields)
    rates, n, stream, counted = None, 1, False, 0
    quote = claim = refusal = None
    if isinstance(request, HubError):
        refusal = request
        model = printable(getattr(request, "__notes__", [""])[0])
    else:
        ask, quote, claim = request.ask, request.quote, request.claim
        n, stream = ask.n, ask.stream
        rates = request.rates
        model = request.models[0].ref
        counted = count_text(request.size.text_bytes)
    opened = Open(
        # By position: names would cost as much as all the rest.
        reply.call_id,
        principal.user_id,
        principal.user_did,
        application,
        principal.key_id,
        dialect.type,
        model,
        None if rates is None else rates.id,
        stream,
        counted,
        reply.request_id,
        plane.clock.now_us(),
        quote,
        refusal,
        principal.limits + plane.router.snapshot.project_limits.get(application, ()),
        0,
        claim,
    )
    if opened.limits and not isinstance(request, HubError):
        opened.tokens_wanted = tokens_wanted(request)
    return plane.tracker.start(opened, rates, n, reply.exchange.task)


def lowered_limit(request: Request, call: CallTracker) -> int | None:
    """Return the output limit that credit imposes on a unary call, None when it imposes none."""
    quote = request.quote
    if quote is None or request.ask.stream or request.ask.output_limit is not None:
        return None
    tokens = call.tokens_held // call.n
    return tokens if tokens < quote.tokens_wanted else None
