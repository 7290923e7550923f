"""Step 1 and the making of the entry that steps 3, 4 and 5 commit."""

from aigne_hub.auth.verifier import app_did
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.operations import Open
from aigne_hub.domain.quotes import count_text, size_of
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.idempotency import Replayed, claim_of
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
        request.claim = claim_of(exchange, principal, dialect, ask)
    except HubError as error:
        error.add_note(ask.model)
        raise
    return request


def printable(name: str) -> str:
    """Return a model's name as it may be stored and shown: bounded, without control characters."""
    return "".join(char if char.isprintable() else "�" for char in name[:NAME_MAX])


async def begin(
    plane: Plane,
    reply: Reply,
    dialect: Dialect,
    principal: Principal,
    request: Request | HubError,
) -> CallTracker:
    """Open the call in one commit: its record, its hold and its authorisation.

    A request that could not be read or is refused is recorded too, then raised. Raises
    Replayed for an idempotency key that was answered before.
    """
    refusal = request if isinstance(request, HubError) else None
    known = request if isinstance(request, Request) else None
    ask = known.ask if known else None
    rates = known.rates if known else None
    named = getattr(refusal, "__notes__", [""])[0]
    application = app_did(principal, reply.exchange.fields)
    limits = principal.limits + plane.router.snapshot.project_limits.get(application, ())
    opened = Open(
        call_id=reply.call_id,
        account_id=principal.user_id,
        user_did=principal.user_did,
        app_did=application,
        key_id=principal.key_id,
        type=dialect.type,
        model=known.models[0].ref if known else printable(named),
        rate_id=rates.id if rates else None,
        stream=bool(ask and ask.stream),
        input_counted=count_text(known.size.text_bytes) if known else 0,
        request_id=reply.request_id,
        started_us=plane.clock.now_us(),
        quote=known.quote if known else None,
        refusal=refusal,
        limits=limits,
        tokens_wanted=tokens_wanted(known) if known and limits else 0,
        claim=known.claim if known else None,
    )
    call = await plane.tracker.start(opened, rates, ask.n if ask else 1, reply.exchange.task)
    if call.replay is not None:
        raise Replayed(call.replay)
    return call


def lowered_limit(request: Request, call: CallTracker) -> int | None:
    """Return the output limit that credit imposes on a unary call, None when it imposes none."""
    quote = request.quote
    if quote is None or request.ask.stream or request.ask.output_limit is not None:
        return None
    tokens = call.tokens_held // call.n
    return tokens if tokens < quote.tokens_wanted else None
