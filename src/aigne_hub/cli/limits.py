from typing import Annotated, TypeVar

import typer

from aigne_hub.cli.arguments import amount
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.limits import Measure, Subject
from aigne_hub.domain.windows import Window
from aigne_hub.storage import limits, subjects, users

COLUMNS = (
    "subject",
    "name",
    "measure",
    "window",
    "amount",
    "used",
    "held",
    "remaining",
    "resets_at",
    "zone",
)

User = Annotated[
    str | None, typer.Option("--user", metavar="U", help="A user's e-mail, DID or id.")
]
Key = Annotated[str | None, typer.Option("--key", metavar="ID", help="A key's id.")]
Project = Annotated[
    str | None, typer.Option("--project", metavar="DID", help="The DID of an application.")
]
Grant = Annotated[
    str | None,
    typer.Option("--grant", metavar="ID", help="What a user lets an OAuth client do."),
]

Kind = TypeVar("Kind")
Value = TypeVar("Value")

app = group("What keys, users and projects may use.")


@command(app, "set")
def set_limit(
    cli: Invocation,
    *,
    user: User = None,
    key: Key = None,
    project: Project = None,
    grant: Grant = None,
    credits_: Annotated[
        str | None, typer.Option("--credits", metavar="A", help="Credits it may spend.")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Calls it may make.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Tokens it may use, all kinds added.")
    ] = None,
    streams: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Streams it may have open at once.")
    ] = None,
    window: Annotated[
        Window | None, typer.Option(help="What is counted over; not with --streams.")
    ] = None,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose calendar windows follow: Europe/Berlin.")
    ] = "UTC",
) -> None:
    """Set one limit, replacing the one on the same measure and window."""
    subject, name = _subject(user, key, project, grant)
    spent = None if credits_ is None else amount(credits_, "--credits")
    measure, most = _one(
        "--credits, --requests, --tokens or --streams",
        (Measure.CREDITS, spent),
        (Measure.REQUESTS, requests),
        (Measure.TOKENS, tokens),
        (Measure.STREAMS, streams),
    )
    span = _window(measure, window)
    with cli.changing() as (hub, change):
        name = subjects.name_of(change.connection, subject, name)
        made = limits.put(change, subject, name, measure, span, most, zone)
        now = hub.clock.now_us()
        (usage,) = limits.used(change.connection, [made], now)
    cli.output.document(usage.document(now))


@command(app, "list")
def list_limits(
    cli: Invocation,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="U", help="Only those of a user and the user's keys."),
    ] = None,
) -> None:
    """List limits with what is used of them now."""
    with cli.reading() as (hub, connection):
        holder = None if user is None else users.find(connection, user).id
        now = hub.clock.now_us()
        found = limits.used(connection, limits.listed(connection, holder), now)
    cli.output.rows((usage.document(now) for usage in found), COLUMNS)


@command(app)
def remove(
    cli: Invocation,
    *,
    user: User = None,
    key: Key = None,
    project: Project = None,
    grant: Grant = None,
    measure: Annotated[Measure, typer.Option(help="What is counted.")],
    window: Annotated[
        Window | None, typer.Option(help="What it is counted over; not for streams.")
    ] = None,
) -> None:
    """Lift one limit."""
    subject, name = _subject(user, key, project, grant)
    span = _window(measure, window)
    with cli.changing() as (_, change):
        name = subjects.name_of(change.connection, subject, name)
        limits.remove(change, subject, name, measure, span)
    cli.output.document({"ok": True})


def _subject(
    user: str | None, key: str | None, project: str | None, grant: str | None
) -> tuple[Subject, str]:
    return _one(
        "--user, --key, --project or --grant",
        (Subject.USER, user),
        (Subject.KEY, key),
        (Subject.PROJECT, project),
        (Subject.GRANT, grant),
    )


def _one(options: str, *given: tuple[Kind, Value | None]) -> tuple[Kind, Value]:
    """Return the only one that was given. Raises InvalidRequest."""
    found = [(kind, value) for kind, value in given if value is not None]
    if len(found) != 1:
        raise InvalidRequest(f"Give exactly one of {options}.")
    return found[0]


def _window(measure: Measure, window: Window | None) -> Window:
    if measure is Measure.STREAMS:
        if window not in {None, Window.TOTAL}:
            raise InvalidRequest("Streams are limited at once, without a --window.")
        return Window.TOTAL
    if window is None:
        raise InvalidRequest("Say with --window what the limit is counted over.")
    return window
