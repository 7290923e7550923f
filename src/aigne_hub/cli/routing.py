from pathlib import Path
from typing import Annotated, Any

import typer

from aigne_hub.bootstrap import plane_settings
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.cli.output import printable
from aigne_hub.cli.resting import resting
from aigne_hub.domain.access import DEFAULT_SCOPES, Principal, Role
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.gateway import live
from aigne_hub.gateway.needs import SESSION_CHARS_MAX, SESSION_HEADERS
from aigne_hub.gateway.wishes import HEADER
from aigne_hub.storage import target_health, users
from aigne_hub.storage.catalogue import load_snapshot
from aigne_hub.storage.engine import View
from aigne_hub.web.api.explanation import ANY_KEY, as_a_whole
from aigne_hub.web.api.routing_documents import Page, explained, state_document

COLUMNS = (
    *("target", "state", "percent", "fault", "since", "until", "bars", "weight", "priority"),
)
BODY_BYTES_MAX = 32 * 1024 * 1024

app = group("Where calls would go, and what is barred.")


@command(app)
def show(
    cli: Invocation,
    provider: Annotated[
        str | None, typer.Option(metavar="P", help="Only this provider's targets.")
    ] = None,
) -> None:
    """Show the rules in force, and how each provider, credential and model is."""
    with cli.reading() as (hub, view):
        snapshot = load_snapshot(view, hub.keyring)
        if provider is not None and provider not in snapshot.providers:
            known = ", ".join(sorted(snapshot.providers)) or "none"
            raise NotFound(f"There is no provider {provider[:80]!r}. Known are: {known}.")
        router = resting(hub, snapshot)
        page = Page(live.keys(router, provider), target_health.episodes(view))
        found = state_document(router, page, provider)
    if cli.output.as_json:
        cli.output.document({name: found[name] for name in ("at", "rules", "targets")})
    else:
        cli.output.rows(found["targets"], COLUMNS)


@command(app)
def explain(
    cli: Invocation,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model or an alias.")],
    *,
    path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where the call goes (default: by type).")
    ] = None,
    body: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The call's body, which names the model.")
    ] = None,
    input_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="How many tokens its prompt has.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="U", help="Whose call: e-mail, DID or id.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="S", help="The conversation it belongs to.")
    ] = None,
    wishes: Annotated[
        str | None, typer.Option(metavar="W", help="Its x-aigne-hub-routing header.")
    ] = None,
) -> None:
    """Say who would be asked for a call, in which order and why, and who would not."""
    if session is not None and user is None:
        raise InvalidRequest("--session goes with --user: conversations are an account's own.")
    fields = _fields(session, wishes)
    sent = None if body is None else _read(body)
    with cli.reading() as (hub, view):
        found = explained(
            resting(hub, load_snapshot(view, hub.keyring)),
            _caller(view, user),
            fields,
            model,
            path=path,
            body=sent,
            input_tokens=input_tokens,
            billing=plane_settings(hub).billing,
        )
    # Of one process's own nothing is known here.
    del found["budget"]
    for candidate in found["candidates"]:
        del candidate["outstanding"], candidate["latency_ms"]
    cli.output.document(found, _text(found))


def _fields(session: str | None, wishes: str | None) -> dict[bytes, bytes]:
    given = {
        SESSION_HEADERS[0]: None if session is None else session[:SESSION_CHARS_MAX],
        HEADER: wishes,
    }
    try:
        return {name: text.encode("latin-1") for name, text in given.items() if text is not None}
    except UnicodeEncodeError:
        raise InvalidRequest("--session and --wishes: headers are Latin-1 text.") from None


def _read(file: Path) -> bytes:
    if file.stat().st_size > BODY_BYTES_MAX:
        raise InvalidRequest(f"{file} is larger than any body.", param="--body")
    return file.read_bytes()


def _caller(view: View, user: str | None) -> Principal:
    if user is not None:
        return as_a_whole(view, users.find(view, user))
    return Principal(ANY_KEY, ANY_KEY, ANY_KEY, ANY_KEY, Role.MEMBER, DEFAULT_SCOPES)


def _text(found: dict[str, Any]) -> str:
    """Return the explanation as lines: the policy, who is asked in turn, who is passed over."""
    if found["error"] is not None:
        error = found["error"]
        return printable(f"refused  with {error['status']}: {error['message']}")
    lines = [f"policy   {found['policy']}, from {found['policy_from']}"]
    if found["affinity"] is not None:
        lines.append(f"affinity by its {found['affinity']}")
    for one in found["candidates"]:
        place = "passed" if one["position"] is None else str(one["position"])
        translated = f" as {one['translated_to']}" if one["translated_to"] else ""
        lines.append(
            f"{place:<8} {one['model']} with {one['credential']}{translated}: {one['why']}"
        )
    lines += [f"skipped  {one['model']}: {one['why']}" for one in found["skipped"]]
    return "\n".join(printable(line) for line in lines)
