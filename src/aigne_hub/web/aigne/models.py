"""The models that AIGNE's clients choose from: `/api/ai-providers/models`, `/api/ai/models`.

Both need no key. Prices are always decimal strings, and a status is an object or null: the
stock client refuses a list that has anything else (wire/aigne.md, section 1.9).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Response

from aigne_hub.catalog.snapshot import Model, Snapshot
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.domain.pricing import RATE_UNITS
from aigne_hub.storage.bulk_rates import TYPES
from aigne_hub.web.api.access import Caller
from aigne_hub.web.api.unit_prices import TYPE_NAMES, per_unit
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all

# `/api/ai` is the older name of the same.
PREFIXES: Final = (("/api/ai-providers", ""), ("/api/ai", "Alias"))
# One for each type, for two versions.
LISTS_KEPT: Final = 20
FRESH_US: Final = 2_000_000
_LISTED_AS: Final[Mapping[str, str]] = {"image": "image_generation"}
_KNOWN: Final[Mapping[str, str]] = {
    **{name: name for name in ("speech", "transcription", "rerank", "moderation")},
    "audioGeneration": "speech",
    **TYPES,
}

Kind = Annotated[
    str | None,
    Query(alias="type", max_length=40, description="Only of this type; `chat`, `image`."),
]


class ModelList:
    """Answers the public list, written once for each version of the configuration.

    Its statuses are at most FRESH_US old.
    """

    def __init__(self) -> None:
        self._written: dict[tuple[int, str | None, int], bytes] = {}

    def answer(self, hub: Hub, kind: Kind = None) -> Response:
        """Return every model with its price: per token, or per image or second of output."""
        wanted = type_of(kind)
        snapshot = hub.snapshot
        # The version is in the key: requests that overlap a change must not mix lists up.
        key = (snapshot.version, wanted, hub.clock.now_us() // FRESH_US)
        body = self._written.get(key)
        if body is None:
            body = orjson.dumps(_listed(hub, snapshot, wanted))
            if len(self._written) >= LISTS_KEPT:
                self._written = {}
            self._written[key] = body
        return Response(body, media_type="application/json")


def grouped(caller: Caller, hub: Hub, kind: Kind = None) -> list[dict[str, Any]]:
    """Return what the caller's key may use, by the model's name, with every provider of it."""
    wanted = type_of(kind)
    found: dict[str, dict[str, Any]] = {}
    for model in hub.snapshot.models.values():
        if wanted not in (None, model.type) or not caller.may_use(model.ref):
            continue
        group = found.setdefault(
            model.name, {"model": model.name, "description": "", "rates": [], "providers": []}
        )
        provider = provider_named(model)
        read, wrote = per_unit(model.type, amounts_of(model))
        group["rates"].append(
            {
                "id": model.rates.id if model.rates else "",
                "type": TYPE_NAMES.get(model.type, model.type),
                "inputRate": read,
                "outputRate": wrote,
                "provider": provider,
                "description": "",
            }
        )
        group["providers"].append(provider)
    return list(found.values())


def type_of(name: str | None) -> str | None:
    """Return the hub's own name of a type, None for any. Raises InvalidRequest."""
    if not name:
        return None
    kind = _KNOWN.get(name)
    if kind is None:
        raise InvalidRequest(
            f"{name!r} is no type of model; use {', '.join(_KNOWN)}.", param="type"
        )
    return kind


def amounts_of(model: Model) -> dict[str, int]:
    """Return a model's prices in nano-credits, those above zero."""
    if model.rates is None:
        return {}
    base = model.rates.base
    return {unit: price for unit in RATE_UNITS if (price := getattr(base, unit))}


def provider_named(model: Model) -> dict[str, str]:
    provider = model.provider
    return {"id": provider.id, "name": provider.name, "displayName": provider.name}


def _listed(hub: Backend, snapshot: Snapshot, kind: str | None) -> list[dict[str, Any]]:
    return [_entry(hub, model) for model in snapshot.models.values() if kind in (None, model.type)]


def _status(status: ModelStatus | None) -> dict[str, Any] | None:
    """Return a model's status as these clients know it, None before its first call.

    Nobody has to show a key for it, so it says why in a word: messages name addresses.
    """
    if status is None:
        return None
    error = None
    if not status.available:
        error = {"code": status.code, "message": str(status.code).replace("_", " ")}
    return {
        "available": status.available,
        "error": error,
        "responseTime": None if status.response_us is None else status.response_us // 1000,
        "lastChecked": format_instant(status.checked_us),
    }


def _entry(hub: Backend, model: Model) -> dict[str, Any]:
    read, wrote = per_unit(model.type, amounts_of(model))
    return {
        "key": model.ref,
        "model": model.name,
        "type": _LISTED_AS.get(model.type, model.type),
        "provider": model.provider.name,
        "providerId": model.provider.id,
        "input_credits_per_token": read,
        "output_credits_per_token": wrote,
        "modelMetadata": {
            "maxTokens": model.max_output_tokens,
            "contextTokens": model.context_tokens,
        },
        "status": _status(hub.status_of(model.ref)),
        "providerDisplayName": model.provider.name,
    }


def models_router() -> APIRouter:
    router = APIRouter()
    public = ModelList()
    for prefix, suffix in PREFIXES:
        router.get(
            f"{prefix}/models",
            tags=["Clients"],
            operation_id=f"listClientModels{suffix}",
            summary="Models and what they cost",
            response_class=Response,
            response_description="The models",
            responses={200: {"content": {"application/json": {"schema": {"type": "array"}}}}},
            openapi_extra={"security": []},
            dependencies=[open_to_all("clients show models before anybody has a key")],
        )(public.answer)
        router.get(
            f"{prefix}/chat/models",
            tags=["Models"],
            operation_id=f"listGroupedModels{suffix}",
            summary="Models by name, with each provider's price",
        )(grouped)
    return router
