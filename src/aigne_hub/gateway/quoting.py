"""What a request may cost: who may serve it, its quote, and what it reserves of limits.

Admission and `explain` ask the same functions, so that they cannot disagree.
"""

import msgspec

from aigne_hub.catalog.snapshot import Model, Snapshot
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Forbidden, UnpricedModel
from aigne_hub.domain.idempotency import Claim
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import STREAM_STEP_TOKENS, Quote, Size, count_text
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects import Ask, Dialect
from aigne_hub.gateway.offers import models_of


class Request(msgspec.Struct):
    """A request that was read: what it asks, who may serve it, what it can cost.

    `bound` are the only ways to serve one that follows an object at a provider.
    """

    ask: Ask
    size: Size
    models: tuple[Model, ...]
    quote: Quote | None
    claim: Claim | None = None
    bound: list[Candidate] | None = None

    @property
    def rates(self) -> RateCard | None:
        return None if self.quote is None else self.models[0].rates


def priced(
    snapshot: Snapshot,
    dialect: Dialect,
    principal: Principal,
    ask: Ask,
    size: Size,
    *,
    billing: bool,
) -> Request:
    """Resolve, authorise and quote what was asked.

    Raises NotFound, InvalidRequest, Forbidden or UnpricedModel.
    """
    models = models_of(snapshot, ask.model, dialect)
    if principal.models:
        allowed = tuple(model for model in models if principal.may_use(model.ref))
        if not allowed:
            raise Forbidden(f"This key may not use the model {models[0].ref!r}.", param="model")
        models = allowed
    if not billing:
        return Request(ask, size, models, None)
    if len(models) == 1 and models[0].rates is not None:
        return Request(ask, size, models, _quote(dialect, ask, size, models[0]))
    quotes = [_quote(dialect, ask, size, model) for model in models if model.rates is not None]
    if not quotes:
        raise UnpricedModel(
            f"{models[0].ref} has no price, so it cannot be used while billing is on. "
            "Give it rates in hub.yaml or with aigne-hub rates set.",
            param="model",
        )
    offers = tuple(model for model in models if model.rates is not None)
    return Request(ask, size, offers, _worst(quotes))


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


def tokens_wanted(request: Request) -> int:
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
