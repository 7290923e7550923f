import json

from sqlalchemy import Connection, func, select

from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.storage import schema

COLUMNS = ("model", "version", "amounts", "cost", "source", "effective_at")

app = group("What models cost.")


@command(app, "list")
def list_rates(cli: Invocation) -> None:
    """List the rates in force: credits per 1,000,000 tokens or characters, image, second, call."""
    with cli.reading() as (_, connection):
        cli.output.rows(_in_force(connection), COLUMNS)


def _in_force(connection: Connection) -> list[dict[str, object]]:
    """Return the newest version of every live model that has one, by the model's reference."""
    rate, model, provider = schema.rate, schema.model, schema.provider
    newest = (
        select(rate.c.model_id, func.max(rate.c.version).label("version"))
        .group_by(rate.c.model_id)
        .subquery()
    )
    rows = connection.execute(
        select(
            provider.c.name.label("provider"),
            model.c.name,
            rate.c.version,
            rate.c.amounts,
            rate.c.cost,
            rate.c.source,
            rate.c.effective_us,
        )
        .join(model, model.c.id == rate.c.model_id)
        .join(provider, provider.c.id == model.c.provider_id)
        .join(
            newest,
            (newest.c.model_id == rate.c.model_id) & (newest.c.version == rate.c.version),
        )
        .where(model.c.removed_us.is_(None), provider.c.removed_us.is_(None))
        .order_by(provider.c.name, model.c.name)
    )
    return [
        {
            "model": f"{row.provider}/{row.name}",
            "version": row.version,
            "amounts": _decimals(row.amounts),
            "cost": _decimals(row.cost),
            "source": row.source,
            "effective_at": format_instant(row.effective_us),
        }
        for row in rows
    ]


def _decimals(amounts: str) -> dict[str, str]:
    return {unit: format_credits(nano) for unit, nano in json.loads(amounts).items()}
