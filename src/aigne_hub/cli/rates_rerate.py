"""`rates rerate`: correct what the calls of a period were charged."""

from typing import Annotated, Any

import typer

from aigne_hub.bootstrap import Hub
from aigne_hub.cli.arguments import instant
from aigne_hub.cli.context import Invocation
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.storage import engine, rerating
from aigne_hub.storage.rerating import Done, Preview, Rerating

CURRENT = "current"
USERS_SHOWN_MAX = 20
VERSION_DIGITS_MAX = 9


def rerate(
    cli: Invocation,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A reference provider/model.")],
    since: Annotated[str, typer.Option(metavar="ISO", help="Calls that started from then on.")],
    until: Annotated[str, typer.Option(metavar="ISO", help="Calls that started before then.")],
    rate: Annotated[
        str, typer.Option(metavar="VERSION", help="By which version of the rates.")
    ] = CURRENT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the differences.")] = False,
) -> None:
    """Price a period's calls by other rates, and post the differences. Run it again to resume."""
    since_us, until_us = instant(since, "--since"), instant(until, "--until")
    with cli.hub() as hub:
        with engine.reading(hub.engine) as view:
            plan = rerating.prepare(view, model, version_of(rate), since_us, until_us)
            found = rerating.preview(view, plan)
        if not cli.output.as_json:
            _show_preview(cli, plan, found)
        run_id, done = None, None
        if not dry_run:
            run_id = hub.ids()
            done = _run(cli, hub, run_id, plan, found)
    document = rerating.document(plan, found, done, run_id)
    if cli.output.as_json:
        cli.output.document(document)
    elif done is not None:
        cli.output.document({"run": run_id, **rerating.posted(done)})


def version_of(text: str) -> int | None:
    """Return a version's number, None for the current one. Raises InvalidRequest."""
    if text == CURRENT:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= VERSION_DIGITS_MAX):
        raise InvalidRequest(
            f"--rate: {text[:40]!r} is no version. See: aigne-hub rates history MODEL",
            param="--rate",
        )
    return int(text)


def _run(cli: Invocation, hub: Hub, run_id: str, plan: Rerating, found: Preview) -> Done:
    """Correct batch by batch, so that calls which are being served never wait long."""
    done = Done()
    with cli.output.progress() as bar:
        task = bar.add_task(f"Rerating {plan.model}", total=found.examined)
        while True:
            with cli.changing_of(hub) as change:
                step = rerating.apply(change, run_id, plan, done.cursor)
            done.add(step)
            bar.update(task, completed=done.examined)
            if step.cursor is None:
                return done


def _show_preview(cli: Invocation, plan: Rerating, found: Preview) -> None:
    rows: list[dict[str, Any]] = rerating.users(found)
    if rows:
        cli.output.rows(rows[:USERS_SHOWN_MAX], ("user_did", "calls", "difference"))
    more = len(rows) - USERS_SHOWN_MAX
    total = rerating.difference(found.total)
    cli.output.note(
        f"{plan.model} by version {plan.version}: {found.total.calls} of {found.examined} calls "
        f"change by {total} credits" + (f", of {more} more users" if more > 0 else "")
    )
    if found.open_calls:
        cli.output.note(f"{found.open_calls} calls are still running: run it again when they end.")
