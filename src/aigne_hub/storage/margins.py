"""What was earned on each model: calls, sale, cost, and prices that lose money."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, case, func, select

from aigne_hub.domain import margins
from aigne_hub.domain.margins import margin_percent, tenths
from aigne_hub.domain.money import format_credits
from aigne_hub.storage import prices, schema
from aigne_hub.storage.failed_attempts import of_attempts

_CALL = schema.model_call.c
_ATTEMPT = schema.call_attempt.c
_TRANSFER = schema.transfer.c
_SUMMED: Final = (
    *("calls", "sale", "costed_sale", "cost", "uncosted", "written_off"),
    *("failed_attempts", "failed_cost"),
)
# Transfers that correct what a call was charged.
_CORRECTIONS: Final = ("adjustment", "refund", "write_off", "recovery")


@dataclass(slots=True)
class Margin:
    """One model over a period. `sale` and `written_off` are nano-credits, `cost` nano-dollars.

    `sale` is what calls were charged, corrections included; `written_off` the part of it that
    nobody paid. `costed_sale` is the sale of the calls whose cost is known, and `cost` theirs.
    `failed_cost` is what the model's failed attempts cost besides, whoever answered then.
    """

    model: str
    calls: int = 0
    sale: int = 0
    costed_sale: int = 0
    cost: int = 0
    uncosted: int = 0
    written_off: int = 0
    failed_attempts: int = 0
    failed_cost: int = 0
    below: tuple[str, ...] = ()
    drift: dict[str, Fraction] | None = None
    reference: str | None = None

    def document(self, credit_price: Fraction) -> dict[str, Any]:
        """Return what operators see. Percentages are strings with one decimal."""
        costed = self.calls - self.uncosted
        earned = None
        if costed or not self.calls:
            whole = Fraction(self.cost + self.failed_cost)
            earned = margin_percent(self.costed_sale * credit_price, whole)
        off = max((self.drift or {}).values(), key=abs, default=None)
        return {
            "model": self.model,
            "calls": self.calls,
            "sale": format_credits(self.sale),
            "cost": format_credits(self.cost) if costed else None,
            "failed_attempts": self.failed_attempts,
            "failed_cost": format_credits(self.failed_cost),
            "margin_percent": None if earned is None else tenths(earned),
            "written_off": format_credits(self.written_off),
            "calls_without_cost": self.uncosted,
            "below_cost": bool(self.below) or (earned is not None and earned < 0),
            "below_cost_units": list(self.below),
            "drift_percent": None if off is None else tenths(off * margins.PERCENT),
            "drift_units": sorted(self.drift or {}),
            "reference": self.reference,
        }


def report(
    connection: Connection, since_us: int, until_us: int, credit_price: Fraction
) -> list[Margin]:
    """Return every model that is offered with a price or was called in [since, until).

    Only charged calls count, and what failed attempts cost besides. Prices are those in force,
    not those of the period. By reference.
    """
    found: dict[str, Margin] = {}
    for row in connection.execute(_sales(since_us, until_us)):
        found[row.model] = Margin(
            row.model,
            calls=row.calls,
            sale=int(row.sale),
            costed_sale=int(row.costed_sale),
            cost=int(row.cost),
            uncosted=int(row.uncosted),
        )
    for row in connection.execute(_corrections(since_us, until_us)):
        margin = found[row.model]
        margin.sale += int(row.corrected)
        margin.costed_sale += int(row.costed)
        margin.written_off += int(row.written_off)
    for row in connection.execute(_failed(since_us, until_us)):
        margin = found.setdefault(row.model, Margin(row.model))
        margin.failed_attempts = int(row.failed_attempts)
        margin.failed_cost = int(row.failed_cost)
    references = prices.references(connection)
    for priced in prices.priced_models(connection):
        if not priced.rates:
            continue
        reference = references.get(priced.model_id)
        cost = priced.cost or (reference.amounts if reference else {})
        margin = found.setdefault(priced.offered.ref, Margin(priced.offered.ref))
        margin.below = tuple(margins.below_cost(priced.rates, cost, credit_price))
        if reference is not None:
            margin.drift = margins.drift(priced.cost, reference.amounts)
            margin.reference = reference.source
    return [found[name] for name in sorted(found)]


def total(found: list[Margin]) -> Margin:
    """Return the sums of a report, as a line without a model of its own."""
    whole = Margin("*")
    for margin in found:
        for name in _SUMMED:
            setattr(whole, name, getattr(whole, name) + getattr(margin, name))
    return whole


def _of_period(since_us: int, until_us: int) -> Any:
    return and_(
        _CALL.started_us >= since_us,
        _CALL.started_us < until_us,
        _CALL.rate_id.is_not(None),
        _CALL.usage_source.is_not(None),
    )


def _sales(since_us: int, until_us: int) -> Select[Any]:
    known = _CALL.cost.is_not(None)
    return (
        select(
            _CALL.model,
            func.count().label("calls"),
            func.coalesce(func.sum(_CALL.charge), 0).label("sale"),
            func.coalesce(func.sum(case((known, _CALL.charge), else_=0)), 0).label("costed_sale"),
            func.coalesce(func.sum(_CALL.cost), 0).label("cost"),
            func.sum(case((known, 0), else_=1)).label("uncosted"),
        )
        .where(_of_period(since_us, until_us))
        .group_by(_CALL.model)
    )


def _failed(since_us: int, until_us: int) -> Select[Any]:
    """Sum the failed attempts of calls that are charged when they succeed, by their own model."""
    return of_attempts(_ATTEMPT.model).where(
        _CALL.started_us >= since_us,
        _CALL.started_us < until_us,
        _CALL.rate_id.is_not(None),
    )


def _corrections(since_us: int, until_us: int) -> Select[Any]:
    """Sum what refunds and adjustments did to the calls of a period, whenever they were made."""
    own = _TRANSFER.operation_id == _TRANSFER.call_id
    signed = case(
        (and_(_TRANSFER.kind == "write_off", own), 0),
        (_TRANSFER.kind.in_(("refund", "recovery")), -_TRANSFER.amount),
        else_=_TRANSFER.amount,
    )
    unpaid = case(
        (_TRANSFER.kind == "write_off", _TRANSFER.amount),
        (_TRANSFER.kind == "recovery", -_TRANSFER.amount),
        else_=0,
    )
    return (
        select(
            _CALL.model,
            func.sum(signed).label("corrected"),
            func.sum(case((_CALL.cost.is_not(None), signed), else_=0)).label("costed"),
            func.sum(unpaid).label("written_off"),
        )
        .join(schema.model_call, _CALL.id == _TRANSFER.call_id)
        .where(_TRANSFER.kind.in_(_CORRECTIONS), _of_period(since_us, until_us))
        .group_by(_CALL.model)
    )
