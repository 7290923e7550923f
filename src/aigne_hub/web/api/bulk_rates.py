"""Many prices at once, as AIGNE Hub's clients send them (wire/aigne.md, section 4).

`/api/ai-providers/bulk-rate-update` and `/api/ai/bulk-rate-update` are one route. Rates and
costs are per token, or per image or second of output, as decimal strings.
"""

from enum import Enum
from fractions import Fraction
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from aigne_hub.catalog.price_import import Change, Priced, Sale
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.margins import PERCENT
from aigne_hub.storage import bulk_rates, prices
from aigne_hub.storage.bulk_rates import Step, Sync, Wanted
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayWriteRates
from aigne_hub.web.api.bodies import Body, Number
from aigne_hub.web.api.unit_prices import per_unit, plain
from aigne_hub.web.backend import Hub

LINES_MAX = 10_000
TIERS_MAX = 16
NAME_MAX = 256
_ADMIN: list[str | Enum] = ["Administration"]

Name = Annotated[str, Field(max_length=NAME_MAX)]


class Wire(Body):
    """A body of existing clients: in camel case, and with more than is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, alias_generator=to_camel)


class UnitCosts(Wire):
    input: Number | None = None
    output: Number | None = None


class Caching(Wire):
    read_rate: Number | None = None
    write_rate: Number | None = None


class RateUpdate(Wire):
    """Costs of a model, in dollars per token, image or second."""

    provider_id: Name
    model: Name
    unit_costs: UnitCosts
    caching: Caching | None = None
    source: Name | None = None
    is_new: bool = False
    model_type: Name | None = None

    def wanted(self) -> Wanted:
        caching = self.caching or Caching()
        return Wanted(
            self.provider_id,
            self.model,
            _given(
                input=self.unit_costs.input,
                output=self.unit_costs.output,
                cache_read=caching.read_rate,
                cache_write=caching.write_rate,
            ),
            self.source or "",
            self.is_new,
            _type(self.model_type),
        )


class CacheTier(Wire):
    label: Name
    cost_per_token: Number


class RateEntry(Wire):
    """The same as a vendor's page lists it."""

    provider: Name
    model_id: Name
    input_cost_per_token: Number | None = None
    output_cost_per_token: Number | None = None
    cached_input_cost_per_token: Number | None = None
    cache_tiers: tuple[CacheTier, ...] = Field(default=(), max_length=TIERS_MAX, strict=False)
    model_type: Name | None = None
    is_new: bool = False

    def wanted(self) -> Wanted:
        written = [
            tier.cost_per_token for tier in self.cache_tiers if "write" in tier.label.lower()
        ]
        return Wanted(
            self.provider,
            self.model_id,
            _given(
                input=self.input_cost_per_token,
                output=self.output_cost_per_token,
                cache_read=self.cached_input_cost_per_token,
                cache_write=max(written, default=None),
            ),
            "",
            self.is_new,
            _type(self.model_type),
        )


class BulkRateUpdate(Wire):
    """`margin` prices every model anew from its cost; `sync` takes costs that are sent."""

    mode: Literal["margin", "sync"] = "margin"
    profit_margin: Number | None = None
    credit_price: Number | None = None
    updates: tuple[RateUpdate, ...] = Field(default=(), max_length=LINES_MAX, strict=False)
    entries: tuple[RateEntry, ...] = Field(default=(), max_length=LINES_MAX, strict=False)
    apply_rates: bool = False
    deprecate_unmatched: bool = False
    dry_run: bool = False

    def sale(self) -> Sale:
        if self.profit_margin is None or not self.credit_price:
            raise InvalidRequest(
                "profitMargin (percent, 0 or more) and creditPrice (dollars, above 0) are needed.",
                param="profitMargin" if self.profit_margin is None else "creditPrice",
            )
        return Sale(1 + self.profit_margin / PERCENT, self.credit_price)


def bulk_rate_update(admin: MayWriteRates, hub: Hub, body: BulkRateUpdate) -> dict[str, Any]:
    """Price many models at once. What hub.yaml prices is left alone."""
    if body.mode == "margin":
        return _margin(admin, hub, body)
    sale = body.sale() if body.apply_rates else None
    lines = [line.wanted() for line in body.updates]
    lines += [line.wanted() for line in body.entries]
    if not lines:
        raise InvalidRequest("There are no updates and no entries.", param="updates")
    deprecate = body.deprecate_unmatched
    if body.dry_run:
        with hub.reading() as view:
            found = bulk_rates.plan(view, lines, sale, deprecate=deprecate)
    else:
        with hub.changing(actor(admin)) as change:
            found = bulk_rates.plan(change.connection, lines, sale, deprecate=deprecate)
            bulk_rates.apply(change, found)
    return _sync_answer(found, len(lines), dry_run=body.dry_run)


def bulk_rates_router() -> APIRouter:
    router = APIRouter(prefix="/api", tags=_ADMIN)
    for prefix, name in (("/ai-providers", "bulkRateUpdate"), ("/ai", "bulkRateUpdateAlias")):
        router.post(
            f"{prefix}/bulk-rate-update", operation_id=name, summary="Price many models at once"
        )(bulk_rate_update)
    return router


def _margin(admin: MayWriteRates, hub: Hub, body: BulkRateUpdate) -> dict[str, Any]:
    sale = body.sale()
    if body.dry_run:
        with hub.reading() as view:
            found = prices.with_margin(view, sale)
    else:
        with hub.changing(actor(admin)) as change:
            found = prices.with_margin(change.connection, sale)
            prices.apply(change, found)
    changed = [*found.created, *found.updated]
    skipped = len(found.unchanged) + len(found.declared) + len(found.skipped) + len(found.unlisted)
    return {
        "message": f"{len(changed)} models were priced anew",
        "dryRun": body.dry_run,
        "updated": len(changed),
        "skipped": skipped,
        "parameters": {
            "profitMargin": plain(body.profit_margin or Fraction(0)),
            "creditPrice": plain(body.credit_price or Fraction(0)),
        },
        "summary": [_margin_line(change) for change in changed],
    }


def _margin_line(change: Change) -> dict[str, Any]:
    kind = change.priced.offered.type
    old_input, old_output = per_unit(kind, change.priced.rates)
    new_input, new_output = per_unit(kind, change.rates)
    return {
        **_named(change.priced),
        "oldInputRate": old_input,
        "newInputRate": new_input,
        "oldOutputRate": old_output,
        "newOutputRate": new_output,
    }


def _sync_answer(found: Sync, total: int, *, dry_run: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "updated": [_step(step) for step in found.updated],
        "unchanged": [_named(step.priced) for step in found.unchanged],
        "unmatched": [{"provider": line.provider, "model": line.model} for line in found.unmatched],
        "created": [_step(step) for step in found.created],
        "errors": [
            {"provider": line.provider, "model": line.model, "error": problem}
            for line, problem in found.errors
        ],
        "deprecated": [_named(priced) for priced in found.deprecated],
    }
    counts = {name: len(lines) for name, lines in answer.items()}
    return {
        "message": f"{counts['updated']} models updated, {counts['created']} created",
        "dryRun": dry_run,
        **answer,
        "summary": {"total": total, **counts},
    }


def _step(step: Step) -> dict[str, Any]:
    kind = step.priced.offered.type
    shown = {}
    for name, amounts in (
        ("oldUnitCosts", step.priced.cost),
        ("newUnitCosts", step.cost),
        ("oldRates", step.priced.rates),
        ("newRates", step.rates),
    ):
        inside, outside = per_unit(kind, amounts)
        shown[name] = {"input": inside, "output": outside}
    return {**_named(step.priced), "type": kind, **shown, "source": step.source}


def _named(priced: Priced) -> dict[str, str]:
    offered = priced.offered
    return {"id": priced.model_id, "model": offered.name, "provider": offered.provider}


def _given(**costs: Fraction | None) -> dict[str, Fraction]:
    return {unit: cost for unit, cost in costs.items() if cost}


def _type(name: str | None) -> str:
    if name is None:
        return "chat"
    kind = bulk_rates.TYPES.get(name)
    if kind is None:
        raise InvalidRequest(
            f"{name[:60]!r} is no type of model; use {', '.join(bulk_rates.TYPES)}.",
            param="modelType",
        )
    return kind
