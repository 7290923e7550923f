"""`GET /v1/models` and `/v1/models/{id}`: what the caller may use, with prices."""

from typing import Any

import orjson

from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import HubError, NotFound
from aigne_hub.domain.price_text import format_card
from aigne_hub.gateway.dialects.openai_chat import OpenAIChat
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply

_PREFIX = "/v1/models/"


async def list_models(plane: Plane, exchange: Exchange) -> None:
    def answer(principal: Principal) -> dict[str, Any]:
        models = plane.router.snapshot.models.values()
        shown = [_entry(model) for model in models if principal.may_use(model.ref)]
        return {"object": "list", "data": shown}

    await _answer(plane, exchange, answer)


async def one_model(plane: Plane, exchange: Exchange) -> None:
    def answer(principal: Principal) -> dict[str, Any]:
        reference = exchange.path.removeprefix(_PREFIX)
        model = plane.router.snapshot.resolve(reference)[0]
        if not principal.may_use(model.ref):
            raise NotFound(f"The model {reference!r} is not offered here.", param="model")
        return _entry(model)

    await _answer(plane, exchange, answer)


async def _answer(plane: Plane, exchange: Exchange, answer: Any) -> None:
    reply = Reply(exchange, OpenAIChat(), plane.clock, plane.new_id())
    try:
        principal = await plane.verifier.verify(exchange.fields, Scope.MODELS)
        reply.plain(orjson.dumps(answer(principal)))
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(error)


def _entry(model: Model) -> dict[str, Any]:
    """Return OpenAI's model object, with what a caller of a gateway wants to know beside it."""
    return {
        "id": model.ref,
        "object": "model",
        "created": model.created_us // 1_000_000,
        "owned_by": model.provider.name,
        "type": model.type,
        "context_tokens": model.context_tokens,
        "max_output_tokens": model.max_output_tokens,
        "pricing": format_card(model.rates),
    }
