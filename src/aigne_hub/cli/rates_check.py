"""`rates check`: prices below cost, and costs that are not the vendor's any more."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Annotated

import typer

from aigne_hub.cli.context import Invocation
from aigne_hub.cli.failures import FAILED
from aigne_hub.cli.price_sources import installed
from aigne_hub.domain.events import EventType
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.storage import accounts, engine, price_watch

COLUMNS = ("finding", "model", "version", "units", "percent", "source")


def check(
    cli: Invocation,
    *,
    notify: Annotated[
        bool, typer.Option("--notify", help="Tell webhooks, once for each version of prices.")
    ] = False,
) -> None:
    """Compare prices and costs with the installed genai-prices; exits 1 when something is off."""
    with cli.hub() as hub:
        now_us = hub.clock.now_us()
        listed = installed(datetime.fromtimestamp(now_us // 1_000_000, UTC))
        with engine.reading(hub.engine) as view:
            nano = accounts.terms(view).credit_price
            credit_price = None if nano is None else Fraction(nano, NANO_PER_CREDIT)
            found = price_watch.look(view, listed, credit_price)
        told = 0
        if notify and found:
            with engine.writing(hub.engine) as connection:
                told = price_watch.tell(connection, found, now_us)
    below = [one.document() for one in found if one.type is EventType.RATES_BELOW_COST]
    drift = [one.document() for one in found if one.type is EventType.RATES_DRIFT]
    if cli.output.as_json:
        cli.output.document(
            {
                "ok": not found,
                "source": listed.source,
                "below_cost": below,
                "drift": drift,
                "told": told,
            }
        )
    else:
        rows = [{"finding": "below cost", "percent": None, **one} for one in below]
        cli.output.rows([*rows, *({"finding": "drift", **one} for one in drift)], COLUMNS)
    if found:
        raise typer.Exit(FAILED)
