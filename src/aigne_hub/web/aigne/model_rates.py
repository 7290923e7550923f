"""`/api/ai-providers/…/model-rates`: models with their prices (wire/aigne.md, section 1.9).

Rates and costs are per token, or per image or second of output, as numbers or decimal
strings; the hub keeps them exactly, in nano-credits a million.
"""

from collections.abc import Sequence
from enum import Enum
from fractions import Fraction
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.catalog.price_import import Priced, in_credits
from aigne_hub.catalog.price_list import MILLION, Unusable
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.permissions import Permission
from aigne_hub.domain.usage import TOKENS_MAX
from aigne_hub.storage import jobs, model_rates, price_watch, prices, vendors
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.vendors import Vendor
from aigne_hub.web.aigne.models import type_of
from aigne_hub.web.aigne.providers import ProviderId
from aigne_hub.web.aigne.shapes import rate_shown
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.allowed import MayWriteRates
from aigne_hub.web.api.bodies import Number
from aigne_hub.web.api.bulk_rates import Wire
from aigne_hub.web.api.unit_prices import WHOLE_OUTPUT
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.paging import Answer, Paging

MODEL_PATTERN = r"^[^\s?#%\x00-\x1f\x7f]{1,200}$"
PROVIDERS_AT_ONCE_MAX = 100
_ADMIN: list[str | Enum] = ["Administration"]

RateId = Annotated[str, Path(max_length=64, description="Id of a rate.")]


class Costs(Wire):
    """What the provider charges, in dollars."""

    input: Number | None = None
    output: Number | None = None


class Cached(Wire):
    read_rate: Number | None = None
    write_rate: Number | None = None


class Metadata(Wire):
    max_tokens: Annotated[int, Field(ge=1, le=TOKENS_MAX)] | None = None


class RateChange(Wire):
    """New prices of a model; what is left out stays."""

    input_rate: Number | None = None
    output_rate: Number | None = None
    unit_costs: Costs | None = None
    caching: Cached | None = None

    def rates(self, kind: str) -> dict[str, Any]:
        caching = self.caching or Cached()
        return _amounts(
            kind, self.input_rate, self.output_rate, caching.read_rate, caching.write_rate
        )

    def cost(self, kind: str) -> dict[str, Any]:
        costs = self.unit_costs or Costs()
        return _amounts(kind, costs.input, costs.output)


class RateBody(RateChange):
    """A model that a provider offers from now on, and its prices."""

    model: Annotated[str, Field(pattern=MODEL_PATTERN)]
    type: Annotated[str, Field(max_length=40)] = "chatCompletion"
    model_metadata: Metadata | None = None


class RatesBody(RateBody):
    """The same for several providers at once."""

    providers: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        min_length=1, max_length=PROVIDERS_AT_ONCE_MAX, strict=False
    )


def list_rates(
    caller: Caller,
    hub: Hub,
    paging: Paging,
    *,
    provider: Annotated[
        str | None,
        Query(alias="providerId", max_length=2_000, description="Ids or names, with commas."),
    ] = None,
    model: Annotated[
        str | None, Query(max_length=200, description="Part of a model's name.")
    ] = None,
    search: Annotated[
        str | None,
        Query(
            alias="q",
            max_length=200,
            description="Parts of references, or `model:`, `provider:`, `type:` and a value.",
        ),
    ] = None,
    order: Annotated[
        Literal["asc", "desc"], Query(alias="o", description="By when they were added.")
    ] = "desc",
) -> Answer:
    """Return rates, page by page. What the provider charges is for administrators."""
    found = _visible(caller, hub)
    if provider:
        wanted = {name.strip() for name in provider.split(",")}
        found = [one for one in found if wanted & {one[1].id, one[1].name}]
    if model:
        found = [one for one in found if model.lower() in one[0].offered.name.lower()]
    for word in (search or "").split():
        found = [one for one in found if _matches(one[0], word)]
    found.sort(key=lambda one: one[0].model_id, reverse=order == "desc")
    page = found[paging.offset : paging.offset + paging.size]
    return paging.answer(len(found), _shown(caller, page))


def list_of_provider(provider_id: ProviderId, caller: Caller, hub: Hub) -> list[dict[str, Any]]:
    """Return the rates of one provider."""
    found = _visible(caller, hub)
    with hub.reading() as view:
        vendor = vendors.find(view, provider_id)
    return _shown(caller, [one for one in found if one[1].id == vendor.id])


def add_rate(
    provider_id: ProviderId, admin: MayWriteRates, hub: Hub, body: RateBody
) -> dict[str, Any]:
    """Offer a model of a provider at a price."""
    with hub.changing(actor(admin)) as change:
        vendor = vendors.find(change.connection, provider_id)
        made = _add(change, vendor, body)
    return rate_shown(made, vendor, whole=True)


def add_rates(admin: MayWriteRates, hub: Hub, body: RatesBody) -> dict[str, Any]:
    """Offer a model of several providers at one price: of all of them or of none."""
    with hub.changing(actor(admin)) as change:
        try:
            named = [vendors.find(change.connection, name) for name in body.providers]
        except NotFound as error:
            raise InvalidRequest(error.message, param="providers") from None
        found = {vendor.id: vendor for vendor in named}.values()
        made = [(_add(change, vendor, body), vendor) for vendor in found]
    return {
        "message": f"{len(made)} rates were added",
        "data": [rate_shown(priced, vendor, whole=True) for priced, vendor in made],
        "summary": {"total": len(made)},
    }


def change_rate(
    provider_id: ProviderId, rate_id: RateId, admin: MayWriteRates, hub: Hub, body: RateChange
) -> dict[str, Any]:
    """Price a model anew: a new version, while calls under way keep the one they began with."""
    with hub.changing(actor(admin)) as change:
        vendor = vendors.find(change.connection, provider_id)
        priced = model_rates.find(change.connection, rate_id, vendor)
        kind = priced.offered.type
        changed = model_rates.price(
            change,
            priced,
            {**priced.rates, **body.rates(kind)},
            {**priced.cost, **body.cost(kind)},
        )
    return rate_shown(changed, vendor, whole=True)


def remove_rate(
    provider_id: ProviderId, rate_id: RateId, admin: MayWriteRates, hub: Hub
) -> dict[str, str]:
    """Stop offering a model of a provider."""
    with hub.changing(actor(admin)) as change:
        vendor = vendors.find(change.connection, provider_id)
        model_rates.remove(change, model_rates.find(change.connection, rate_id, vendor))
    return {"message": "The model is no longer offered."}


def trigger_check(admin: MayWriteRates, hub: Hub) -> dict[str, str]:
    """Compare prices with costs now instead of once a day; webhooks are told what is off."""
    if not hub.billing:
        raise Conflict("Billing is off, so no price is watched.")
    with hub.changing(actor(admin)) as change:
        jobs.hasten(change, price_watch.JOB)
    return {
        "message": "Prices are checked within some minutes; webhooks are told what is off.",
        "timestamp": format_instant(hub.clock.now_us()),
    }


def model_rates_router(prefix: str, *, listed: bool) -> APIRouter:
    router = APIRouter(prefix=prefix, include_in_schema=listed)
    router.get("/model-rates", tags=["Models"], operation_id="listRates", summary="Rates")(
        list_rates
    )
    router.post(
        "/model-rates", tags=_ADMIN, operation_id="addRates", summary="Price a model of several"
    )(add_rates)
    router.post(
        "/trigger-rate-check", tags=_ADMIN, operation_id="checkRates", summary="Check prices now"
    )(trigger_check)
    own = "/{provider_id}/model-rates"
    router.get(
        own, tags=["Models"], operation_id="listRatesOfProvider", summary="Rates of a provider"
    )(list_of_provider)
    router.post(own, tags=_ADMIN, operation_id="addRate", summary="Offer a model")(add_rate)
    one = f"{own}/{{rate_id}}"
    router.put(one, tags=_ADMIN, operation_id="changeRate", summary="Price a model anew")(
        change_rate
    )
    router.delete(one, tags=_ADMIN, operation_id="removeRate", summary="Stop offering a model")(
        remove_rate
    )
    return router


def _visible(caller: Principal, hub: Backend) -> list[tuple[Priced, Vendor]]:
    """Return what the caller's key may use, with who offers it."""
    with hub.reading() as view:
        by_name = {vendor.name: vendor for vendor in vendors.listed(view)}
        models = prices.priced_models(view)
    return [
        (priced, by_name[priced.offered.provider])
        for priced in models
        if priced.offered.provider in by_name and caller.may_use(priced.offered.ref)
    ]


def _shown(caller: Principal, found: Sequence[tuple[Priced, Vendor]]) -> list[dict[str, Any]]:
    whole = caller.may(Permission.RATES_READ)
    return [rate_shown(priced, vendor, whole=whole) for priced, vendor in found]


def _matches(priced: Priced, word: str) -> bool:
    """Tell whether a word of a search fits: `model:x` whole, `like-model:x` or `x` in part."""
    offered = priced.offered
    name, colon, value = word.partition(":")
    fields = {"model": offered.name, "provider": offered.provider}
    partly = name.removeprefix("like-")
    if colon and partly in fields:
        own, wanted = fields[partly].lower(), value.lower()
        return wanted in own if partly != name else wanted == own
    if colon and name == "type":
        return offered.type == type_of(value)
    return word.lower() in offered.ref.lower()


def _add(change: Changes, vendor: Vendor, body: RateBody) -> Priced:
    kind = type_of(body.type) or "chat"
    metadata = body.model_metadata or Metadata()
    return model_rates.add(
        change,
        vendor,
        body.model,
        kind=kind,
        rates=body.rates(kind),
        cost=body.cost(kind),
        max_output_tokens=metadata.max_tokens,
    )


def _amounts(
    kind: str,
    read: Fraction | None,
    wrote: Fraction | None,
    cache_read: Fraction | None = None,
    cache_write: Fraction | None = None,
) -> dict[str, Any]:
    """Return the prices that were given, in nano a million tokens or a piece of output."""
    given = {
        "characters" if kind == "speech" else "input": read,
        "cache_read": cache_read,
        "cache_write": cache_write,
    }
    amounts = {unit: price * MILLION for unit, price in given.items() if price is not None}
    if wrote is not None:
        whole = WHOLE_OUTPUT.get(kind)
        amounts[whole or "output"] = wrote if whole else wrote * MILLION
    try:
        return in_credits(amounts, Fraction(1))
    except Unusable as error:
        raise InvalidRequest(f"The rates cannot be kept: {error}.", param="inputRate") from None
