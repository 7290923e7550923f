"""Keys that tokens are signed with, and clients of the authorization server."""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.oauth.clients import Authentication, Client, GrantType, described, metadata
from aigne_hub.domain.oauth.errors import OAuthError
from aigne_hub.storage import oauth_clients, oauth_grants, signing_keys, users

KEY_COLUMNS = ("algorithm", "state", "created_at", "signs_from", "verifies_until", "id")
CLIENT_COLUMNS = ("name", "authentication", "grant_types", "known", "disabled", "created_at", "id")

app = group("OAuth clients, and the keys that tokens are signed with.")
keys_app = group("Keys that tokens are signed with.")
clients_app = group("Programs that people let act for them.")
app.add_typer(keys_app, name="keys")
app.add_typer(clients_app, name="clients")


@command(keys_app, "list")
def list_keys(cli: Invocation) -> None:
    """List the keys that verify tokens now or will sign soon."""
    with cli.reading() as (hub, connection):
        now = hub.clock.now_us()
        found = signing_keys.listed(connection, now)
    cli.output.rows([_key(key, now) for key in found], KEY_COLUMNS)


@command(keys_app)
def rotate(
    cli: Invocation,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="The old key leaked: every access token ends at once.")
    ] = False,
) -> None:
    """Make the next key of each algorithm; it signs from some minutes on."""
    with cli.changing() as (hub, change):
        made = signing_keys.rotate(change, hub.keyring, at_once=now)
        instant = change.clock.now_us()
    cli.output.rows([_key(key, instant) for key in made], KEY_COLUMNS)


@command(clients_app, "list")
def list_clients(cli: Invocation) -> None:
    """List every client, oldest first."""
    with cli.reading() as (_, connection):
        found = oauth_clients.listed(connection)
    cli.output.rows([_client(client) for client in found], CLIENT_COLUMNS)


@command(clients_app)
def create(
    cli: Invocation,
    *,
    name: Annotated[str, typer.Option(metavar="N", help="What people are shown.")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(metavar="URI", help="Where its users go back to.")
    ] = None,
    grant: Annotated[
        list[GrantType] | None, typer.Option(help="What it gets tokens for (default: codes).")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="S", help="Scopes it may ask for, with spaces between.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="U", help="For whom client credentials act: who pays."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="It can keep no secret, so it gets none.")
    ] = False,
    native: Annotated[
        bool, typer.Option("--native", help="It runs on its user's machine.")
    ] = False,
) -> None:
    """Make a client. Its secret is shown here and never again."""
    document: dict[str, object] = {
        "client_name": name,
        "redirect_uris": redirect_uri or [],
        "grant_types": [str(one) for one in grant or (GrantType.CODE, GrantType.REFRESH)],
        "application_type": "native" if native else "web",
    }
    if scope is not None:
        document["scope"] = scope
    if public:
        document["token_endpoint_auth_method"] = Authentication.NONE.value
    try:
        about = described(document, trusted=True)
    except OAuthError as error:
        raise InvalidRequest(f"{error.description}.") from None
    if GrantType.CLIENT in about.grants and user is None:
        raise InvalidRequest("client_credentials needs --user: whose credit it spends.")
    with cli.changing() as (hub, change):
        holder = None if user is None else users.find(change.connection, user)
        made = oauth_clients.create(change, hub.keyring, os.urandom, hub.pepper, about, user=holder)
        if holder is not None and GrantType.CLIENT in about.grants:
            oauth_grants.allow(change, holder.id, made.client, about.scopes, None)
    secret = {} if made.secret is None else {"client_secret": made.secret}
    cli.output.document({**metadata(made.client), **secret})
    if made.secret is not None:
        cli.output.note("The secret is not shown again.")


@command(clients_app)
def disable(
    cli: Invocation, client_id: Annotated[str, typer.Argument(metavar="ID", help="The client.")]
) -> None:
    """Refuse everything of a client from now on, its tokens too."""
    with cli.changing() as (_, change):
        client = oauth_clients.disable(change, client_id)
    cli.output.document(_client(client))


def _key(key: signing_keys.SigningKey, now_us: int) -> Mapping[str, object]:
    state = "signs" if key.until_us is None else "followed"
    if key.active_us > now_us:
        state = "next"
    return {
        "id": key.id,
        "algorithm": key.algorithm.value,
        "state": state,
        "created_at": format_instant(key.created_us),
        "signs_from": format_instant(key.active_us),
        "verifies_until": None if key.until_us is None else format_instant(key.until_us),
    }


def _client(client: Client) -> Mapping[str, object]:
    about = client.described
    return {
        "id": client.id,
        "name": about.name,
        "authentication": about.authentication.value,
        "grant_types": sorted(grant.value for grant in about.grants),
        "scopes": list(about.scopes),
        "redirect_uris": list(about.redirect_uris),
        "known": client.is_known,
        "disabled": client.disabled,
        "app_did": client.app_did,
        "created_at": format_instant(client.created_us),
    }
