import json
from typing import Annotated, Any

import typer

from aigne_hub.bootstrap import plane_settings
from aigne_hub.cli.arguments import UserName
from aigne_hub.cli.context import Invocation, command, single
from aigne_hub.cli.output import printable
from aigne_hub.domain.errors import HubError, InvalidRequest, Unauthenticated
from aigne_hub.gateway.preview import wanted_by_size
from aigne_hub.storage import keys, users
from aigne_hub.storage.catalogue import load_snapshot
from aigne_hub.storage.engine import View
from aigne_hub.web.api import explanation

AMOUNTS = ("available", "balance", "held", "overdraft")

app = single()


@command(app)
def explain(
    cli: Invocation,
    *,
    user: UserName,
    key: Annotated[
        str | None, typer.Option("--key", metavar="ID", help="One of the user's keys, by its id.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="DID", help="The application that calls.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="A model or an alias to try a call of.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="The call's output limit.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Whether the call streams.")] = False,
    n: Annotated[
        int | None, typer.Option("--n", metavar="N", help="How many answers it asks for.")
    ] = None,
    input_tokens: Annotated[
        int, typer.Option(metavar="N", help="How many tokens its prompt has.")
    ] = 0,
) -> None:
    """Show what binds a user or key now, its last refusals, and a dry run of a call."""
    with cli.reading() as (hub, view):
        settings, snapshot = plane_settings(hub), load_snapshot(view, hub.keyring)
        now = hub.clock.now_us()
        context = explanation.Hub(snapshot, settings.billing, settings.payment_link, now)
        wanted = None
        if model is not None:
            wanted = wanted_by_size(
                snapshot,
                model,
                max_tokens=max_tokens,
                stream=stream,
                n=n,
                input_tokens=input_tokens,
            )
        asking = _asking(view, users.find(view, user), key, project, now)
        found = explanation.explain(view, context, asking, wanted)
    cli.output.document(found, _text(found))


def _asking(
    view: View, user: users.User, key_id: str | None, project: str | None, now_us: int
) -> explanation.Asking:
    if key_id is None:
        principal = explanation.as_a_whole(view, user)
        refusal = Unauthenticated("The user is disabled.") if user.disabled else None
        return explanation.Asking(principal, project or user.did, None, refusal)
    key = keys.find(view, key_id)
    if key.user_id != user.id:
        raise InvalidRequest("That key is another user's. See: aigne-hub keys list", param="key")
    holder = keys.holder_of(view, key_id)
    application = project or holder.principal.app_did
    return explanation.Asking(holder.principal, application, key, _refusal(holder, now_us))


def _refusal(holder: keys.KeyHolder, now_us: int) -> HubError | None:
    if holder.revoked:
        return Unauthenticated("The key was revoked.")
    if holder.disabled:
        return Unauthenticated("The user is disabled.")
    try:
        holder.principal.require_live(now_us)
    except HubError as error:
        return error
    return None


def _text(found: dict[str, Any]) -> str:
    """Return the explanation as lines: who, what there is, what binds, what was refused."""
    credit, key = found["credit"], found["key"]
    user = found["user"]["did"]
    amounts = ", ".join(f"{credit[name]} {name}" for name in AMOUNTS)
    lines = [
        f"user     {user}, key {key['prefix']}… {key['name']}" if key else f"user     {user}",
        f"billing  {'on' if found['billing'] else 'off'}",
        f"credit   {amounts}",
    ]
    if credit["next_grant"]:
        lines.append(f"next     {_grant(credit['next_grant'])}")
    lines += [f"expires  {_grant(lot)}" for lot in credit["expiring"]]
    lines += [
        f"limit    {row['limit']}: {row['remaining']} of {row['amount']} left, {row['used']} used, "
        f"{row['held']} held, resets {row['resets_at'] or 'never'}"
        for row in found["limits"]
    ]
    lines += [f"refused  {row['at']} {row['model']}: {row['message']}" for row in found["refusals"]]
    return "\n".join(printable(line) for line in [*lines, *_call_text(found["call"])])


def _grant(lot: dict[str, Any]) -> str:
    expires = f", expires {lot['expires_at']}" if lot["expires_at"] else ""
    return f"{lot['remaining']} of grant {lot['grant_id']} ({lot['category']}){expires}"


def _call_text(call: dict[str, Any] | None) -> list[str]:
    if call is None:
        return []
    if not call["admitted"]:
        return [f"call     refused with {call['status']}: {call['error']['message']}"]
    lines = [f"call     admitted on {', '.join(call['models'])}"]
    if call["hold"] is not None:
        lines.append(f"hold     {call['hold']}, bound by {call['bound_by'] or 'nothing'}")
    if call["affordable_tokens"] is not None:
        lines.append(f"output   at most {call['affordable_tokens']} tokens can be paid")
    if call["price"] is not None:
        price = call["price"]
        amounts = json.dumps(price["amounts"])
        lines.append(f"price    version {price['version']} from {price['source']}: {amounts}")
    return lines
