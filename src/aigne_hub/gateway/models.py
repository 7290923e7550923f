"""`GET /v1/models` and `/v1/models/{id}`: what the caller may use, with prices.

The list has Anthropic's shape for a caller that sends `anthropic-version`, Gemini's for one that
sends `x-goog-api-key` or `?key=`, OpenAI's for others.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import orjson

from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.gateway import gemini_models
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicMessages
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.model_facts import facts
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply

PAGE_MAX = 1_000
_PREFIX = "/v1/models/"
_VERSION = b"anthropic-version"
_OPENAI, _ANTHROPIC = OpenAIChat(), AnthropicMessages()


async def list_models(plane: Plane, exchange: Exchange) -> None:
    if gemini_models.is_meant(exchange):
        await gemini_models.list_models(plane, exchange)
        return

    def answer(principal: Principal, dialect: Dialect) -> dict[str, Any]:
        models = plane.router.snapshot.models.values()
        shown = [model for model in models if principal.may_use(model.ref)]
        if dialect is _ANTHROPIC:
            return _page(plane, shown, exchange.query)
        return {"object": "list", "data": [_entry(plane, model) for model in shown]}

    await _answer(plane, exchange, answer)


async def one_model(plane: Plane, exchange: Exchange) -> None:
    if gemini_models.is_meant(exchange):
        await gemini_models.one_model(plane, exchange)
        return

    def answer(principal: Principal, dialect: Dialect) -> dict[str, Any]:
        reference = exchange.path.removeprefix(_PREFIX)
        model = plane.router.snapshot.resolve(reference)[0]
        if not principal.may_use(model.ref):
            raise NotFound(f"The model {reference!r} is not offered here.", param="model")
        return _info(plane, model) if dialect is _ANTHROPIC else _entry(plane, model)

    await _answer(plane, exchange, answer)


async def _answer(
    plane: Plane, exchange: Exchange, answer: Callable[[Principal, Dialect], dict[str, Any]]
) -> None:
    dialect: Dialect = _OPENAI if exchange.header(_VERSION) is None else _ANTHROPIC
    reply = Reply(exchange, dialect, plane.clock, plane.new_id())
    try:
        principal = await plane.verifier.verify(exchange.fields, Scope.MODELS)
        reply.plain(orjson.dumps(answer(principal, dialect)))
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(plane.explained(error))


def _entry(plane: Plane, model: Model) -> dict[str, Any]:
    """Return OpenAI's model object, with what a caller of a gateway wants to know beside it."""
    return {
        "id": model.ref,
        "object": "model",
        "created": model.created_us // 1_000_000,
        "owned_by": model.provider.name,
        **facts(plane, model),
    }


def _info(plane: Plane, model: Model) -> dict[str, Any]:
    """Return Anthropic's model object with the same beside it.

    https://platform.claude.com/docs/en/api/models-list, looked up in November 2026.
    """
    known = facts(plane, model)
    return {
        "type": "model",
        "id": model.ref,
        "display_name": model.ref,
        "created_at": format_instant(model.created_us),
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "owned_by": model.provider.name,
        # `type` is taken: Anthropic's objects all say what they are with it.
        "model_type": known.pop("type"),
        **known,
    }


def _page(plane: Plane, models: Sequence[Model], query: bytes) -> dict[str, Any]:
    """Return a page of Anthropic's list: all that is there, unless the caller wants less.

    Raises InvalidRequest for a limit or a cursor that makes no sense.
    """
    asked = parse_qs(query.decode("latin-1"))
    limit = asked.get("limit", [str(PAGE_MAX)])[0]
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= PAGE_MAX):
        raise InvalidRequest(f"`limit` is a number from 1 to {PAGE_MAX}.", param="limit")
    start, end = 0, len(models)
    if "after_id" in asked:
        start = _place(models, asked["after_id"][0]) + 1
    if "before_id" in asked:
        end = _place(models, asked["before_id"][0])
        start = max(start, end - int(limit))
    page = models[start : min(end, start + int(limit))]
    more = start > 0 if "before_id" in asked else start + len(page) < end
    return {
        "data": [_info(plane, model) for model in page],
        "has_more": more,
        "first_id": page[0].ref if page else None,
        "last_id": page[-1].ref if page else None,
    }


def _place(models: Sequence[Model], cursor: str) -> int:
    for place, model in enumerate(models):
        if model.ref == cursor:
            return place
    raise InvalidRequest("There is no model of that id to continue at.", param="after_id")
