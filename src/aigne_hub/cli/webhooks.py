import os
import time
from typing import Annotated, Final

import typer

from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.cli.failures import FAILED
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.events import EventType
from aigne_hub.storage import deliveries, users, webhooks
from aigne_hub.storage.deliveries import Delivery, State
from aigne_hub.storage.engine import reading
from aigne_hub.transport import Target

ENDPOINTS = ("url", "types", "user_id", "succeeded_at", "failed_at", "disabled_at", "id")
DELIVERIES = ("created_at", "type", "state", "attempts", "status", "error", "event", "endpoint")
LIMIT_DEFAULT: Final = 50
# How long `test` waits for a server to send.
WAIT_S: Final = 20.0
_LOOK_S = 0.1

EndpointId = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id.")]

app = group("Tell other programs what happened.")


@command(app)
def create(
    cli: Invocation,
    url: Annotated[str, typer.Option(metavar="URL", help="Where events are posted to.")],
    event_type: Annotated[
        list[EventType] | None, typer.Option("--type", help="Only events of this type.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="U", help="Only events of this user: e-mail, DID or id."),
    ] = None,
    *,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Vouch for the address: it may be a private one.")
    ] = False,
) -> None:
    """Make an endpoint. Its secret is shown here and never again."""
    try:
        Target.parse(url, trusted=trusted)
    except ValueError as error:
        raise InvalidRequest(f"--url: {error}.", param="url") from None
    with cli.changing() as (hub, change):
        holder = None if user is None else users.find(change.connection, user)
        endpoint, secret = webhooks.create(
            change,
            hub.keyring,
            os.urandom,
            url=url,
            types=[kind.value for kind in event_type or ()],
            account_id=None if holder is None else holder.id,
            trusted=trusted,
        )
    shown = endpoint.document()
    cli.output.document({"id": shown.pop("id"), "secret": secret, **shown})
    cli.output.note("The secret is not shown again.")


@command(app, "list")
def list_endpoints(cli: Invocation) -> None:
    """List every endpoint, oldest first."""
    with cli.reading() as (_, connection):
        found = [endpoint.document() for endpoint in webhooks.listed(connection)]
    cli.output.rows(found, ENDPOINTS)


@command(app)
def remove(cli: Invocation, endpoint_id: EndpointId) -> None:
    """Send nothing to an endpoint any more."""
    with cli.changing() as (_, change):
        endpoint = webhooks.find(change.connection, endpoint_id)
        webhooks.remove(change, endpoint)
    cli.output.document({"ok": True})


@command(app, "deliveries")
def list_deliveries(
    cli: Invocation,
    endpoint: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those to this endpoint.")
    ] = None,
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those whose last attempt failed.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=deliveries.LIMIT_MAX, help="How many to print, newest first.")
    ] = LIMIT_DEFAULT,
) -> None:
    """List what was sent, and what could not be."""
    with cli.reading() as (_, connection):
        found = deliveries.of(connection, limit, endpoint_id=endpoint, failed=failed)
    cli.output.rows([delivery.document() for delivery in found], DELIVERIES)


@command(app)
def replay(
    cli: Invocation,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id.")],
    endpoint: Annotated[
        str | None, typer.Option(metavar="ID", help="Only to this endpoint.")
    ] = None,
) -> None:
    """Have an event sent again, under the id it had."""
    with cli.changing() as (_, change):
        receiver = None if endpoint is None else webhooks.find(change.connection, endpoint)
        made = deliveries.replay(change, event, receiver)
    cli.output.rows([delivery.document() for delivery in made], DELIVERIES)


@command(app)
def test(cli: Invocation, endpoint_id: EndpointId) -> None:
    """Have a test event sent to an endpoint, and say how it went."""
    with cli.changing() as (hub, change):
        endpoint = webhooks.find(change.connection, endpoint_id)
        made = deliveries.send_test(change, endpoint)
        engine = hub.engine
    deadline = time.monotonic() + WAIT_S
    with cli.output.waiting("Waiting for a server to send it…"):
        while not made.attempts and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            with reading(engine) as connection:
                made = deliveries.one(connection, made.event_id, endpoint.id)
    engine.dispose()
    cli.output.document(made.document())
    if made.state is not State.DELIVERED:
        cli.output.note(_advice(made))
        raise typer.Exit(FAILED)


def _advice(made: Delivery) -> str:
    if made.attempts:
        return "The endpoint did not take it. Mend it; the event is sent again by itself."
    return "Nothing was sent yet: start the hub, or see what else it has to send."
