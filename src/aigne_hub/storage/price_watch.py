"""Prices in force that lose money, or whose cost is not what the vendor lists any more."""

import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, select

from aigne_hub.catalog.price_import import Priced, in_dollars
from aigne_hub.catalog.price_list import PriceList, Unusable, usable
from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.margins import PERCENT, below_cost, drift, tenths
from aigne_hub.domain.pricing import Amounts
from aigne_hub.storage import prices, schema

# The daily look's name among the jobs.
JOB: Final = "price watch"


class Finding(NamedTuple):
    """One thing that is wrong with one version of a model's prices.

    `units` name each price concerned; `percent` how far a cost is off, for drift.
    """

    type: EventType
    model: str
    version: int
    rate_id: str
    units: tuple[str, ...]
    percent: str | None
    source: str

    def document(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "model": self.model,
            "version": self.version,
            "units": list(self.units),
            "source": self.source,
        }
        return shown if self.percent is None else {**shown, "percent": self.percent}


def look(connection: Connection, listed: PriceList, credit_price: Fraction | None) -> list[Finding]:
    """Compare every price in force with its cost, and every stated cost with a list.

    A model that the list does not know is compared with the list imported last. Without a
    `credit_price` in dollars prices cannot be compared with costs, and only drift is looked for.
    """
    references = prices.references(connection)
    models = {priced.model_id: priced for priced in prices.priced_models(connection)}
    found: list[Finding] = []
    for version in prices.versions(connection):
        if not version.amounts or version.model_id not in models:
            continue
        reference, source = _listed(models[version.model_id], listed)
        imported = references.get(version.model_id)
        if not reference and imported is not None:
            reference, source = imported.amounts, imported.source
        cost = version.cost or reference
        if credit_price is not None:
            below = below_cost(version.amounts, cost, credit_price)
            if below:
                found.append(_finding(EventType.RATES_BELOW_COST, version, below, None, source))
        off = drift(version.cost, reference)
        if off:
            percent = tenths(max(off.values(), key=abs) * PERCENT)
            found.append(_finding(EventType.RATES_DRIFT, version, sorted(off), percent, source))
    return found


def tell(connection: Connection, findings: Iterable[Finding], now_us: int) -> int:
    """Note an event for each finding that its version has not been told of; return how many.

    What was told is kept for good: events themselves are deleted some day.
    """
    alert, told = schema.price_alert, 0
    for finding in findings:
        known = connection.execute(
            select(alert.c.rate_id).where(
                alert.c.rate_id == finding.rate_id, alert.c.type == finding.type.value
            )
        ).first()
        if known is not None:
            continue
        connection.execute(
            insert(alert).values(
                rate_id=finding.rate_id, type=finding.type.value, created_us=now_us
            )
        )
        connection.execute(
            insert(schema.event).values(
                id=event_id(finding.type, finding.rate_id),
                type=finding.type.value,
                payload=json.dumps(finding.document()),
                created_us=now_us,
            )
        )
        told += 1
    return told


def _listed(priced: Priced, listed: PriceList) -> tuple[Amounts, str]:
    """Return what the list says that a model costs, in nano-dollars, and which list it is."""
    try:
        entry = listed.find(priced.offered)
        if entry is not None:
            return in_dollars(usable(priced.offered, entry).dollars), listed.source
    except Unusable:
        pass
    return {}, ""


def _finding(
    kind: EventType, version: prices.Version, units: list[str], percent: str | None, source: str
) -> Finding:
    return Finding(kind, version.model, version.version, version.id, tuple(units), percent, source)
