"""`GET /{v1,v1beta}/models` and one of them in Gemini's shape.

https://ai.google.dev/api/models, looked up in November 2026.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import orjson

from aigne_hub.auth.verifier import presented
from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.generate import METHODS, GeminiGenerate
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.gemini_calls import take_key
from aigne_hub.gateway.model_facts import facts
from aigne_hub.gateway.offers import is_reached
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply
from aigne_hub.providers.profiles import GEMINI_LANGUAGE, languages_of

PAGE_MAX = 1_000
_COLLECTION = "models/"
# Limits have names of their own in this format.
_SAID = frozenset({"context_tokens", "max_output_tokens"})
_DIALECT = GeminiGenerate(Called("v1beta", "", "generateContent"))
_METHODS = {
    "chat": ["generateContent", "streamGenerateContent", "countTokens"],
    "embedding": ["embedContent", "batchEmbedContents"],
}


def is_meant(exchange: Exchange) -> bool:
    """Tell whether a caller of `/v1/models`, which several formats have, speaks Gemini's."""
    if exchange.header(b"anthropic-version") is not None:
        return False
    sent = exchange.header(b"x-goog-api-key")
    return sent is not None or (b"key=" in exchange.query and presented(exchange.fields) is None)


async def list_models(plane: Plane, exchange: Exchange) -> None:
    def answer(principal: Principal) -> dict[str, Any]:
        models = plane.router.snapshot.models.values()
        shown = [model for model in models if principal.may_use(model.ref)]
        asked = parse_qs(exchange.query.decode("latin-1"))
        size = _number(asked, "pageSize", PAGE_MAX) or PAGE_MAX
        start = _number(asked, "pageToken", len(shown))
        page: dict[str, Any] = {
            "models": [_entry(plane, one) for one in shown[start : start + size]]
        }
        if start + size < len(shown):
            page["nextPageToken"] = str(start + size)
        return page

    await _answer(plane, exchange, answer)


async def one_model(plane: Plane, exchange: Exchange) -> None:
    def answer(principal: Principal) -> dict[str, Any]:
        reference = exchange.path.partition(f"/{_COLLECTION}")[2].removeprefix(_COLLECTION)
        model = plane.router.snapshot.resolve(reference)[0]
        if not principal.may_use(model.ref):
            raise NotFound(f"The model {reference!r} is not offered here.", param="model")
        return _entry(plane, model)

    await _answer(plane, exchange, answer)


async def _answer(
    plane: Plane, exchange: Exchange, answer: Callable[[Principal], dict[str, Any]]
) -> None:
    take_key(exchange)
    reply = Reply(exchange, _DIALECT, plane.clock, plane.new_id())
    try:
        principal = await plane.verifier.verify(exchange.fields, Scope.MODELS)
        reply.plain(orjson.dumps(answer(principal)))
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(plane.explained(error))


def _entry(plane: Plane, model: Model) -> dict[str, Any]:
    """Return Gemini's model object, with what a caller of a gateway wants to know beside it.

    A model that is not reached in Gemini's format has no method here.
    """
    return {
        "name": f"{_COLLECTION}{model.ref}",
        "displayName": model.ref,
        "inputTokenLimit": model.context_tokens,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": _methods(model),
        "ownedBy": model.provider.name,
        **{name: value for name, value in facts(plane, model).items() if name not in _SAID},
    }


def _methods(model: Model) -> list[str]:
    """Return the methods that a model is called by, those that only Google answers apart."""
    known = _METHODS.get(model.type, [])
    if GEMINI_LANGUAGE in languages_of(model.provider.kind, model.name):
        return known
    return [
        method
        for method in known
        if is_reached(model, METHODS[method](Called("v1beta", model.ref, method)))
    ]


def _number(asked: dict[str, list[str]], name: str, most: int) -> int:
    """Return a number in a query, 0 for none. Raises InvalidRequest."""
    text = asked.get(name, ["0"])[0]
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= most):
        raise InvalidRequest(f"`{name}` is a number from 0 to {most}.", param=name)
    return int(text)
