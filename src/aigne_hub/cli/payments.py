from typing import Annotated

import typer

from aigne_hub.cli.arguments import LIMIT_DEFAULT, Limit
from aigne_hub.cli.context import Invocation, command, group, login
from aigne_hub.domain.currencies import parse_minor
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.orders import OrderState
from aigne_hub.payment_bootstrap import cashier, receipt_url
from aigne_hub.payments.cashier import Purchase
from aigne_hub.payments.documents import order_document
from aigne_hub.storage import orders, payment_events, users

COLUMNS = ("reference", "state", "provider", "credits", "amount", "currency", "created_at", "id")
EVENT_COLUMNS = ("created_at", "provider", "type", "outcome", "detail", "order_id", "event_id")

OrderName = Annotated[str, typer.Argument(metavar="ORDER", help="An order's id or reference.")]

app = group("Orders of credit: who paid, who is to pay, what went back.")


@command(app, "list")
def list_orders(
    cli: Invocation,
    user: Annotated[
        str | None, typer.Option(metavar="U", help="Only those of a user: e-mail, DID or id.")
    ] = None,
    state: Annotated[OrderState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> None:
    """List orders, newest first."""
    with cli.reading() as (_, connection):
        account = None if user is None else users.find(connection, user).id
        found = orders.listed(connection, account_id=account, state=state, limit=limit)
    cli.output.rows(map(order_document, found), COLUMNS)


@command(app)
def show(cli: Invocation, order: OrderName) -> None:
    """Show an order, what providers reported of it, and the address of its receipt."""
    with cli.reading() as (hub, connection):
        record = orders.load(connection, order)
        events = payment_events.listed(connection, order_id=record.order.id)
    receipt = receipt_url(hub, record.order.id) if record.order.paid else None
    page = cashier(hub).page_url(record.order.id)
    returns = [
        {"id": one.id, "kind": one.kind.value, "state": one.state.value}
        for one in record.order.returns
    ]
    more = {"page": page, "checkout_url": record.checkout_url, "receipt": receipt}
    cli.output.document({**order_document(record), **more, "returns": returns, "events": events})


@command(app)
def events(
    cli: Invocation,
    *,
    refused: Annotated[
        bool, typer.Option("--refused", help="Only those that could not be true.")
    ] = False,
    limit: Limit = LIMIT_DEFAULT,
) -> None:
    """List what payment providers reported, newest first."""
    with cli.reading() as (_, connection):
        found = payment_events.listed(connection, refused=refused, limit=limit)
    cli.output.rows(found, EVENT_COLUMNS)


@command(app)
def link(
    cli: Invocation,
    *,
    user: Annotated[str, typer.Option(metavar="U", help="Who gets the credits.")],
    credits_: Annotated[str, typer.Option("--credits", metavar="C", help="How many.")],
    provider: Annotated[str | None, typer.Option(metavar="P", help="How it is paid.")] = None,
) -> None:
    """Make an order for somebody, and print the address at which it is paid for days."""
    try:
        wanted = parse_credits(credits_)
    except ValueError as error:
        raise InvalidRequest(f"--credits: {error}.", param="--credits") from None
    with cli.hub() as hub:
        desk = cashier(hub)
        with desk.reading() as view:
            account = users.find(view, user)
        purchase = Purchase(account.id, wanted, provider, lasting=True)
        record = desk.checkout(login(), purchase)
        page = desk.page_url(record.order.id)
    cli.output.document({**order_document(record), "page": page, "url": record.checkout_url})


@command(app)
def confirm(cli: Invocation, order: OrderName) -> None:
    """Say that the money of a manual order came in: its account gets the credits."""
    with cli.hub() as hub:
        record = cashier(hub).confirm(login(), order)
    cli.output.document(order_document(record))


@command(app)
def reject(
    cli: Invocation,
    order: OrderName,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; shown to the buyer.")
    ] = "the operator rejected it",
) -> None:
    """Say that the money of a manual order will not come."""
    with cli.hub() as hub:
        record = cashier(hub).reject(login(), order, reason)
    cli.output.document(order_document(record))


@command(app)
def refund(
    cli: Invocation,
    order: OrderName,
    amount: Annotated[
        str | None, typer.Option(metavar="A", help="How much, in the currency; default: the rest.")
    ] = None,
) -> None:
    """Give money back and take the credits for it from the account."""
    with cli.hub() as hub:
        desk = cashier(hub)
        with desk.reading() as view:
            currency = orders.load(view, order).order.currency
        try:
            wanted = None if amount is None else parse_minor(amount, currency)
        except ValueError as error:
            raise InvalidRequest(f"--amount: {error}.", param="--amount") from None
        record = desk.refund(login(), order, wanted)
    cli.output.document(order_document(record))


@command(app)
def providers(cli: Invocation) -> None:
    """Ask each payment provider whether it works."""
    with cli.hub() as hub:
        desk = cashier(hub)
        found = []
        for name, provider in desk.providers.items():
            with cli.output.waiting(f"asking {name}"):
                health = provider.health()
            found.append({"provider": name, "ok": health.ok, "detail": health.detail})
    cli.output.rows(found, ("provider", "ok", "detail"))
    if not all(row["ok"] for row in found):
        raise typer.Exit(1)
