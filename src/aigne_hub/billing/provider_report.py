"""What a provider says was used: exports of its usage and costs, as one table by day and model.

OpenAI's organization usage and costs (API pages or the dashboard's CSV), Anthropic's usage and
cost reports, and any CSV with a date and a model. Days are UTC, costs nano-dollars.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from aigne_hub.domain.instants import format_instant, parse_instant
from aigne_hub.domain.money import parse_amount

ROWS_MAX = 1_000_000
DIGITS_MAX = 18
_DAY_CHARS = len("2026-01-31")
_SECOND_US = 1_000_000

# Columns of CSV exports by what they hold. The first that a file has is read.
_DAY = ("date", "day", "start_time_iso", "start_time", "usage_date_utc")
_MODEL = ("model", "model_version", "line_item", "description")
_COUNTS = {
    "read": ("input", "input_tokens", "prompt_tokens"),
    "cached": ("cached", "input_cached_tokens", "cache_read_input_tokens"),
    "written": ("output", "output_tokens", "completion_tokens"),
    "requests": ("requests", "num_model_requests"),
}
_COST = ("cost", "amount_value", "cost_usd", "amount")


class Unreadable(ValueError):
    """A file that is no export known here. The message says where."""


class Key(NamedTuple):
    """A UTC day, as `2026-01-31`, and a model as its provider calls it."""

    day: str
    model: str


@dataclass(slots=True)
class Reported:
    """What was used. `read` is all input tokens, of which `cached` came from a cache.

    A figure that no file has is None.
    """

    read: int | None = None
    cached: int | None = None
    written: int | None = None
    requests: int | None = None
    cost: int | None = None

    def add(self, **amounts: int | None) -> None:
        for name, amount in amounts.items():
            if amount is not None:
                setattr(self, name, (getattr(self, name) or 0) + amount)


def read(text: str, into: dict[Key, Reported]) -> None:
    """Add an export to a table. Raises Unreadable, and then the table is of no use."""
    content = text.removeprefix("\ufeff").lstrip()
    if not content:
        raise Unreadable("it is empty")
    try:
        lines = _of_json(content) if content[0] in "[{" else _of_csv(content)
        for count, (key, amounts) in enumerate(lines):
            if count >= ROWS_MAX:
                raise ValueError(f"an export has at most {ROWS_MAX:,} rows")  # noqa: TRY301 - one message for all
            into.setdefault(key, Reported()).add(**amounts)
    except json.JSONDecodeError as error:
        raise Unreadable(f"line {error.lineno}: {error.msg}") from None
    except (KeyError, TypeError, AttributeError, csv.Error) as error:
        raise Unreadable(f"it is no usage or cost export known here ({error})") from None
    except ValueError as error:
        raise Unreadable(str(error)) from None


Line = tuple[Key, dict[str, int | None]]


def _of_json(content: str) -> Iterator[Line]:
    # Numbers stay the text they are, so that no cost loses a place.
    value = json.loads(content, parse_float=str)
    pages = value if isinstance(value, list) else [value]
    buckets = chain.from_iterable(page.get("data", [page]) for page in pages)
    for bucket in buckets:
        day = _day_of(bucket.get("start_time", bucket.get("starting_at")))
        for result in bucket.get("results", bucket.get("result")) or ():
            yield _of_result(day, result, anthropic="starting_at" in bucket)


def _of_result(day: str, result: Mapping[str, Any], *, anthropic: bool) -> Line:
    if anthropic:
        return _of_anthropic(day, result)
    if "amount" in result:
        item = result.get("line_item") or ""
        amount = result["amount"]
        _require_dollars(amount.get("currency"))
        return Key(day, _model(item)), {"cost": _cost(amount["value"])}
    return Key(day, _model(result.get("model"))), {
        "read": _count(result.get("input_tokens")),
        "cached": _count(result.get("input_cached_tokens")),
        "written": _count(result.get("output_tokens")),
        "requests": _count(result.get("num_model_requests")),
    }


def _of_anthropic(day: str, result: Mapping[str, Any]) -> Line:
    key = Key(day, _model(result.get("model") or result.get("description")))
    if "amount" in result:
        _require_dollars(result.get("currency"))
        # Amounts are in cents, with as many places as it takes.
        return key, {"cost": _cost(result["amount"], cents=True)}
    created = result.get("cache_creation") or {}
    parts = [
        result["uncached_input_tokens"],
        result.get("cache_read_input_tokens"),
        *created.values(),
    ]
    return key, {
        "read": sum(_count(part) or 0 for part in parts),
        "cached": _count(result.get("cache_read_input_tokens")),
        "written": _count(result.get("output_tokens")),
        "requests": None,
    }


def _of_csv(content: str) -> Iterator[Line]:
    reader = csv.DictReader(content.splitlines(), strict=True)
    names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    day, model = _column(names, _DAY), _column(names, _MODEL)
    counts = {what: _column(names, known) for what, known in _COUNTS.items()}
    cost, currency = _column(names, _COST), names.get("amount_currency")
    if day is None or model is None or not (cost or any(counts.values())):
        raise Unreadable("its first line names no date, no model, or nothing that was used")
    for row in reader:
        try:
            if currency is not None and row[currency]:
                _require_dollars(row[currency])
            amounts: dict[str, int | None] = {
                what: _count(row[name]) for what, name in counts.items() if name is not None
            }
            if cost is not None:
                amounts["cost"] = _cost(row[cost])
            yield Key(_day_of(row[day]), _model(row[model])), amounts
        except ValueError as error:
            raise Unreadable(f"line {reader.line_num}: {error}") from None


def _column(names: Mapping[str, str], known: Iterable[str]) -> str | None:
    return next((names[name] for name in known if name in names), None)


def _day_of(value: object) -> str:
    """Return the UTC day of Unix seconds, of an RFC 3339 time, or of a date."""
    text = str(value).strip()
    if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX:
        return format_instant(int(text) * _SECOND_US)[:_DAY_CHARS]
    if len(text) == _DAY_CHARS:
        text += "T00:00:00Z"
    try:
        return format_instant(parse_instant(text))[:_DAY_CHARS]
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no date such as 2026-01-31") from None


def _model(value: object) -> str:
    """Return a model's name; a line of costs has what was paid for after a comma."""
    name = str(value or "").partition(",")[0].strip()
    return name if name.isprintable() else ""


def _count(value: object) -> int | None:
    text = str(value if value is not None else "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise ValueError(f"{text[:40]!r} is no number of tokens or requests")
    return int(text)


def _cost(value: object, *, cents: bool = False) -> int | None:
    text = str(value if value is not None else "").strip()
    if not text:
        return None
    sign = -1 if text.startswith("-") else 1
    amount = parse_amount(text.removeprefix("-"))
    return sign * (amount // 100 if cents else amount)


def _require_dollars(currency: object) -> None:
    if str(currency or "usd").strip().lower() != "usd":
        raise ValueError(f"it is in {str(currency)[:20]!r}; costs are compared in dollars")
