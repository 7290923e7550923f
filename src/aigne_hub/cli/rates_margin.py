"""`rates margin`: what was earned on each model, and prices anew from their costs."""

from fractions import Fraction
from typing import Annotated

import typer

from aigne_hub.catalog.price_import import Sale
from aigne_hub.cli.arguments import decimal, instant
from aigne_hub.cli.context import Invocation
from aigne_hub.cli.price_plan import show
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.margins import PERCENT
from aigne_hub.domain.money import NANO_PER_CREDIT, format_credits
from aigne_hub.storage import engine, margins, prices

COLUMNS = (
    "model",
    "calls",
    "sale",
    "cost",
    "failed_cost",
    "margin_percent",
    "below_cost",
    "drift_percent",
)
DAY_US = 24 * 3600 * 1_000_000
DAYS_DEFAULT = 30


def margin(
    cli: Invocation,
    *,
    since: Annotated[
        str | None, typer.Option(metavar="ISO", help="Calls from then on (default: 30 days ago).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="ISO", help="Calls before then (default: now).")
    ] = None,
    set_: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="PERCENT", help="Make all rates the cost and this much on top."
        ),
    ] = None,
    provider: Annotated[
        list[str] | None, typer.Option(metavar="P", help="Only this provider. Repeat it.")
    ] = None,
    credit_price: Annotated[
        str | None,
        typer.Option(metavar="USD", help="What a credit costs (default: as hub.yaml sells it)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --set: only show the difference.")
    ] = False,
) -> None:
    """Show per model what calls brought and cost, and which prices are below cost."""
    dollars = None if credit_price is None else decimal(credit_price, "--credit-price")
    if set_ is None:
        if dry_run:
            raise InvalidRequest("--dry-run goes with --set.", param="--dry-run")
        _report(cli, since, until, provider, dollars)
        return
    if since is not None or until is not None:
        raise InvalidRequest("--set is for prices from now on, without a period.", param="--since")
    percent = decimal(set_.removesuffix("%"), "--set", zero=True)
    with cli.hub() as hub:
        with engine.reading(hub.engine) as view:
            sale = Sale(1 + percent / PERCENT, prices.credit_price(view, dollars))
            found = prices.with_margin(view, sale, provider)
        if not dry_run:
            with cli.changing_of(hub) as change:
                prices.apply(change, found)
    show(cli.output, found, dry_run=dry_run, missing="without_cost")


def _report(
    cli: Invocation,
    since: str | None,
    until: str | None,
    providers: list[str] | None,
    given: Fraction | None,
) -> None:
    with cli.reading() as (hub, view):
        until_us = hub.clock.now_us() if until is None else instant(until, "--until")
        default = until_us - DAYS_DEFAULT * DAY_US
        since_us = default if since is None else instant(since, "--since")
        credit_price = prices.credit_price(view, given)
        found = [
            margin
            for margin in margins.report(view, since_us, until_us, credit_price)
            if not providers or margin.model.partition("/")[0] in providers
        ]
    models = [margin.document(credit_price) for margin in found]
    if not cli.output.as_json:
        cli.output.rows(models, COLUMNS)
        return
    cli.output.document(
        {
            "since": format_instant(since_us),
            "until": format_instant(until_us),
            "credit_price": format_credits(int(credit_price * NANO_PER_CREDIT)),
            "total": margins.total(found).document(credit_price),
            "models": models,
        }
    )
