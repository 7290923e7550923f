"""`ledger reconcile`: the hub's calls beside what a provider says it served."""

import re
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.billing import provider_report
from aigne_hub.billing.provider_report import Key, Reported
from aigne_hub.billing.reconciliation import Own, Row, compared, total
from aigne_hub.cli.context import Invocation
from aigne_hub.cli.failures import FAILED
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.storage import provider_usage

TOLERANCE_PERCENT = "1"
FILE_BYTES_MAX = 256 * 1024 * 1024
COLUMNS = ("day", "model", "ok", "theirs", "own", "off", "causes")
FIGURES = {
    "read": "input_tokens",
    "cached": "cached_tokens",
    "written": "output_tokens",
    "cost": "cost",
}

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?", re.ASCII)


def reconcile(
    cli: Invocation,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Usage and cost exports of the provider."),
    ],
    *,
    provider: Annotated[
        str, typer.Option(metavar="P", help="The provider's name here, such as openai.")
    ],
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="From this UTC day on: 2026-01-31.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="Until before this UTC day.")
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="PERCENT", help="How far figures may be apart.")
    ] = TOLERANCE_PERCENT,
) -> None:
    """Compare a provider's export with the hub's calls; exits 1 when they are too far apart."""
    part = _part(tolerance)
    theirs: dict[Key, Reported] = {}
    for file in files:
        _read(file, theirs)
    first, after = _days(theirs, since, until)
    within = {key: one for key, one in theirs.items() if first <= key.day < after}
    with cli.reading() as (_, connection):
        own = provider_usage.by_day(connection, provider, _midnight(first), _midnight(after))
    rows = compared(within, own, part)
    ok = not any(row.off for row in rows)
    if cli.output.as_json:
        sums = total(rows)
        cli.output.document(
            {
                "ok": ok,
                "provider": provider,
                "since": first,
                "until": after,
                "rows": [_document(row) for row in rows],
                "total": {"theirs": _theirs(sums[0]), "own": _own(sums[1])},
            }
        )
    else:
        cli.output.rows(map(_line, rows), COLUMNS)
    if not ok:
        raise typer.Exit(FAILED)


def _read(file: Path, theirs: dict[Key, Reported]) -> None:
    if file.stat().st_size > FILE_BYTES_MAX:
        raise InvalidRequest(f"{file} is larger than any export.", param="FILE")
    try:
        provider_report.read(file.read_text(encoding="utf-8"), theirs)
    except (provider_report.Unreadable, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file}: {error}.", param="FILE") from None


def _days(theirs: dict[Key, Reported], since: str | None, until: str | None) -> tuple[str, str]:
    """Return the first day and the one after the last: as asked, else what the files cover."""
    days = sorted(key.day for key in theirs)
    if not days and (since is None or until is None):
        raise InvalidRequest("The files have no row: say which days with --since and --until.")
    first = days[0] if since is None else _day(since, "--since")
    if until is None:
        after = (date.fromisoformat(days[-1]) + timedelta(days=1)).isoformat()
    else:
        after = _day(until, "--until")
    if first >= after:
        raise InvalidRequest("The period ends before it begins.", param="--until")
    return first, after


def _day(text: str, option: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidRequest(f"{option} is a day such as 2026-01-31.", param=option) from None


def _midnight(day: str) -> int:
    return parse_instant(f"{day}T00:00:00Z")


def _part(percent: str) -> Fraction:
    if not _PERCENT.fullmatch(percent) or Fraction(percent) > 100:
        raise InvalidRequest("--tolerance is 0 to 100 percent.", param="--tolerance")
    return Fraction(percent) / 100


def _document(row: Row) -> dict[str, object]:
    return {
        "day": row.key.day,
        "model": row.key.model,
        "ok": not row.off,
        "theirs": None if row.theirs is None else _theirs(row.theirs),
        "own": _own(row.own),
        "off": [FIGURES[name] for name in row.off],
        "causes": list(row.causes),
    }


def _theirs(one: Reported) -> dict[str, object]:
    return {
        "requests": one.requests,
        "input_tokens": one.read,
        "cached_tokens": one.cached,
        "output_tokens": one.written,
        "cost": None if one.cost is None else format_credits(one.cost),
    }


def _own(own: Own) -> dict[str, object]:
    return {
        "calls": own.calls,
        "input_tokens": own.read,
        "cached_tokens": own.cached,
        "output_tokens": own.written,
        "cost": None if own.uncosted == own.calls else format_credits(own.cost),
        "failed_attempts": own.failed_attempts,
        "failed_cost": format_credits(own.failed_cost),
    }


def _line(row: Row) -> dict[str, object]:
    shown = _document(row)
    for side in ("theirs", "own"):
        figures = shown[side]
        if isinstance(figures, dict):
            shown[side] = " ".join(f"{name}={value}" for name, value in figures.items())
    return shown
