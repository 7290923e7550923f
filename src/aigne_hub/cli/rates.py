from typing import Annotated

import typer

from aigne_hub.cli import rates_check, rates_import, rates_margin, rates_rerate
from aigne_hub.cli.arguments import amounts
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import prices

COLUMNS = ("model", "version", "amounts", "cost", "source", "effective_at")

app = group("What models cost.")
command(app, "import")(rates_import.import_rates)
command(app)(rates_margin.margin)
command(app)(rates_rerate.rerate)
command(app)(rates_check.check)

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A reference provider/model.")]


@command(app, "list")
def list_rates(
    cli: Invocation,
    model: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only these: openai/* for a provider's.")
    ] = None,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Also those no longer in force.")
    ] = False,
) -> None:
    """List the rates in force: credits per 1,000,000 tokens or characters, image, second, call."""
    with cli.reading() as (_, connection):
        found = prices.versions(connection, pattern=model, every=all_versions)
    cli.output.rows(map(_document, found), COLUMNS)


@command(app)
def history(cli: Invocation, model: ModelName) -> None:
    """List every version of a model's rates, newest first, with where it came from."""
    with cli.reading() as (_, connection):
        found = prices.history(connection, prices.model_named(connection, model).model_id)
    cli.output.rows(map(_document, found), COLUMNS)


@command(app, "set")
def set_rates(
    cli: Invocation,
    model: ModelName,
    rates: Annotated[
        list[str],
        typer.Argument(
            metavar="UNIT=AMOUNT…",
            help="Credits, such as input=0.15; nested as long_context.200000.input=0.3.",
        ),
    ],
    cost: Annotated[
        list[str] | None,
        typer.Option(metavar="UNIT=AMOUNT", help="What the vendor charges, in dollars; repeat it."),
    ] = None,
    source: Annotated[str, typer.Option(metavar="TEXT", help="Where the prices are from.")] = "cli",
) -> None:
    """Set all rates of a model, as a new version. Without --cost its cost stays."""
    wanted = amounts(rates, "UNIT=AMOUNT")
    with cli.changing() as (_, change):
        priced = prices.model_named(change.connection, model)
        charged = priced.cost if cost is None else amounts(cost, "--cost")
        prices.set_prices(change, priced, wanted, charged, source)
        newest = prices.history(change.connection, priced.model_id)[0]
    cli.output.document(_document(newest))


def _document(version: prices.Version) -> dict[str, object]:
    return {**prices.document(version), "effective_at": format_instant(version.effective_us)}
