"""Step 1 and the making of the entry that steps 3, 4 and 5 commit."""

from dataclasses import dataclass

from aigne_hub.auth.verifier import app_did
from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Forbidden, HubError, UnpricedModel
from aigne_hub.domain.idempotency import Claim
from aigne_hub.domain.operations import Open
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import STREAM_STEP_TOKENS, Quote, Size, count_text, size_of
from aigne_hub.gateway.dialects import Ask, Dialect
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.idempotency import Replayed, claim_of
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply
from aigne_hub.usage.tracker import CallTracker

# A refused name is kept only so far.
NAME_MAX = 200


@dataclass(slots=True)
class Request:
    """A request that was read: what it asks, who may serve it, what it can cost."""

    ask: Ask
    size: Size
    models: tuple[Model, ...]
    quote: Quote | None
    claim: Claim | None = None

    @property
    def rates(self) -> RateCard | None:
        return None if self.quote is None else self.models[0].rates


async def read(plane: Plane, exchange: Exchange, dialect: Dialect, principal: Principal) -> Request:
    """Read, resolve, authorise and quote; raises a HubError or ClientGone."""
    ask = dialect.ask(await exchange.body())
    try:
        request = _priced(plane, dialect, principal, ask)
        request.claim = claim_of(exchange, principal, dialect, ask.body)
    except HubError as error:
        error.add_note(ask.model)
        raise
    return request


def _priced(plane: Plane, dialect: Dialect, principal: Principal, ask: Ask) -> Request:
    models = plane.router.models(ask.model, dialect.type)
    if principal.models:
        allowed = tuple(model for model in models if principal.may_use(model.ref))
        if not allowed:
            raise Forbidden(f"This key may not use the model {models[0].ref!r}.", param="model")
        models = allowed
    size = size_of(ask.body)
    if not plane.settings.billing:
        return Request(ask, size, models, None)
    priced = tuple(model for model in models if model.rates is not None)
    if not priced:
        raise UnpricedModel(
            f"{models[0].ref} has no price, so it cannot be used while billing is on. "
            "Give it rates in hub.yaml.",
            param="model",
        )
    quotes = [_quote(dialect, ask, size, model) for model in priced]
    return Request(ask, size, priced, quotes[0] if len(quotes) == 1 else _worst(quotes))


def _quote(dialect: Dialect, ask: Ask, size: Size, model: Model) -> Quote:
    assert model.rates is not None
    return dialect.quote(
        ask,
        model.rates,
        input_tokens=min(size.tokens_bound, model.context_tokens),
        output_max=model.max_output_tokens,
    )


def _worst(quotes: list[Quote]) -> Quote:
    """Return a quote that covers whichever of several models serves."""
    return Quote(
        fixed=max(quote.fixed for quote in quotes),
        per_token=max(quote.per_token for quote in quotes),
        tokens_wanted=max(quote.tokens_wanted for quote in quotes),
        tokens_min=max(quote.tokens_min for quote in quotes),
    )


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
    application = app_did(principal, reply.exchange.headers)
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
        tokens_wanted=_tokens_wanted(known) if known and limits else 0,
        claim=known.claim if known else None,
    )
    call = await plane.tracker.start(opened, rates, ask.n if ask else 1)
    if call.replay is not None:
        raise Replayed(call.replay)
    return call


def _tokens_wanted(request: Request) -> int:
    """Return what a call reserves of limits on tokens: its text, and the output it may have.

    Without an output limit that is one step of a stream: what it answers beyond that is
    counted when it has ended, and leaves so much less for the calls after it.
    """
    ask, model = request.ask, request.models[0]
    output = 0
    if model.type == "chat":
        output = ask.output_limit if ask.output_limit is not None else STREAM_STEP_TOKENS
        output = min(output, model.max_output_tokens) * ask.n
    return count_text(request.size.text_bytes) + output


def lowered_limit(request: Request, call: CallTracker) -> int | None:
    """Return the output limit that credit imposes on a unary call, None when it imposes none."""
    quote = request.quote
    if quote is None or request.ask.stream or request.ask.output_limit is not None:
        return None
    tokens = call.tokens_held // call.n
    return tokens if tokens < quote.tokens_wanted else None
