"""`rates import`: prices of what the hub offers, from a price list."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Annotated

import typer

from aigne_hub.bootstrap import Hub
from aigne_hub.catalog.price_import import Plan, Priced, Sale, plan
from aigne_hub.catalog.price_list import PriceList, PricesRefused
from aigne_hub.cli.arguments import decimal
from aigne_hub.cli.context import Invocation
from aigne_hub.cli.price_plan import show
from aigne_hub.cli.price_sources import Source, load
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.margins import PERCENT
from aigne_hub.storage import engine, prices


def import_rates(
    cli: Invocation,
    *,
    source: Annotated[Source, typer.Option("--from", help="The price list.")],
    where: Annotated[
        str | None,
        typer.Argument(metavar="FILE|URL", help="LiteLLM's file; OpenRouter's file or address."),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P", help="Only this provider; P=VENDOR takes the vendor's prices. Repeat it."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only these: openai/gpt-5*.")
    ] = None,
    markup: Annotated[
        str | None, typer.Option(metavar="X", help="Rates are the vendor's prices times this.")
    ] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="The same in percent on top: 20 is 1.2.")
    ] = None,
    credit_price: Annotated[
        str | None,
        typer.Option(metavar="USD", help="What a credit costs (default: as hub.yaml sells it)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also when most prices would jump or are gone.")
    ] = False,
) -> None:
    """Price what the hub offers by a vendor's price list. What hub.yaml prices stays."""
    factor = _markup(markup, margin)
    dollars = None if credit_price is None else decimal(credit_price, "--credit-price")
    with cli.hub() as hub:
        listed = load(source, where, hub.clock, cli.environ)
        with engine.reading(hub.engine) as connection:
            stored = prices.priced_models(connection)
            sale = Sale(factor, prices.credit_price(connection, dollars))
        found = plan(_wanted(stored, listed, provider or [], model), listed, sale)
        if not force:
            _require_sane(found)
        if not dry_run:
            with cli.changing_of(hub) as change:
                prices.apply(change, found)
                prices.refer(change, found)
    _note_unread(cli, hub)
    show(cli.output, found, dry_run=dry_run)


def _wanted(
    models: Sequence[Priced], listed: PriceList, providers: Sequence[str], pattern: str | None
) -> list[Priced]:
    """Return the models asked for, each with the vendor it is priced by."""
    vendors: dict[str, str | None] = {}
    for word in providers:
        name, _, vendor = word.partition("=")
        vendors[name] = vendor or None
        known = any(priced.offered.provider == name for priced in models)
        if not (known or listed.knows(name)) or (vendor and not listed.knows(vendor)):
            raise NotFound(
                f"Neither the hub nor {listed.source} knows a provider {word[:80]!r}. "
                "See: aigne-hub providers list"
            )
    found = []
    for priced in models:
        offer = priced.offered
        if vendors and offer.provider not in vendors:
            continue
        if pattern is not None and not fnmatchcase(offer.ref, pattern):
            continue
        found.append(replace(priced, offered=replace(offer, vendor=vendors.get(offer.provider))))
    return found


def _markup(markup: str | None, margin: str | None) -> Fraction:
    if markup is not None and margin is not None:
        raise InvalidRequest("Give --markup or --margin, not both.", param="--margin")
    if margin is not None:
        return 1 + decimal(margin.removesuffix("%"), "--margin", zero=True) / PERCENT
    return decimal(markup, "--markup") if markup is not None else Fraction(1)


def _require_sane(found: Plan) -> None:
    try:
        found.require_sane()
    except PricesRefused as error:
        raise Conflict(
            f"The price list {error}. Look at it with --dry-run --force; "
            "if it is right, --force imports it."
        ) from None


def _note_unread(cli: Invocation, hub: Hub) -> None:
    """Say that models of hub.yaml are missing because no server has read them yet."""
    with engine.reading(hub.engine) as connection:
        stored = {priced.offered.ref for priced in prices.priced_models(connection)}
    missing = [model.model for model in hub.hub_file.models if model.model not in stored]
    if missing:
        cli.output.note(
            f"{len(missing)} models of hub.yaml, such as {missing[0]}, are not offered yet: start "
            "the hub, or send it SIGHUP, and import again."
        )
