"""For how long an upstream asks to be left alone: its headers, else its error's own words.

`retry-after` is seconds or a date (RFC 9110, section 10.2.3), which is read against the answer's
own, so that nobody's clock matters; Azure and OpenAI say it in milliseconds too. Limits on the
rate tell when they begin anew: OpenAI and Groq as `6m0s`
(https://developers.openai.com/api/docs/guides/rate-limits), OpenRouter in milliseconds since
1970, Anthropic as RFC 3339 (https://platform.claude.com/docs/en/api/rate-limits). Of those only
one that is used up says anything. Looked up in November 2026.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from aigne_hub.providers.complaints.durations import (
    ABSURD_S,
    PATIENCE_MAX_S,
    believed_s,
    number_s,
    span_s,
)
from aigne_hub.providers.upstream import Answer

RETRY_AFTER_MAX_S: Final = PATIENCE_MAX_S
_LIMITS: Final = tuple(
    (f"{before}-remaining-{what}".encode(), f"{before}-reset-{what}".encode())
    for before, what in (
        ("x-ratelimit", "requests"),
        ("x-ratelimit", "tokens"),
        ("x-ratelimit", "requests-day"),
        ("x-ratelimit", "tokens-minute"),
    )
) + tuple(
    (f"anthropic-ratelimit-{what}-remaining".encode(), f"anthropic-ratelimit-{what}-reset".encode())
    for what in ("requests", "tokens", "input-tokens", "output-tokens")
)
_BARE: Final = (b"x-ratelimit-remaining", b"x-ratelimit-reset")
# Numbers from here on are moments since 1970, in seconds or in milliseconds.
_MOMENT_S: Final = 1_000_000_000
_MOMENT_MS: Final = 1_000_000_000_000
_HEADER_MAX: Final = 100


def patience_s(answer: Answer, said: int) -> int:
    """Return the seconds, bounded, 0 when none are asked for. `said` is what the error asks."""
    return believed_s(_retry_after(answer)) or believed_s(said) or believed_s(_reset(answer))


def _retry_after(answer: Answer) -> int:
    value = _header(answer, b"retry-after")
    seconds = number_s(value)
    if seconds is not None:
        return seconds
    ms = number_s(_header(answer, b"retry-after-ms"))
    if ms is not None:
        return -(-ms // 1_000)
    return _until(_date(value), answer) if value else 0


def _reset(answer: Answer) -> int:
    """Return when the last limit that is used up begins anew."""
    waits = [
        _moment(_header(answer, reset), answer)
        for remaining, reset in (*_LIMITS, _BARE)
        if number_s(_header(answer, remaining)) == 0
    ]
    return max((wait for wait in waits if wait <= ABSURD_S), default=0)


def _moment(value: str, answer: Answer) -> int:
    """Return the seconds to what a limit says of its end, 0 for what cannot be read."""
    number = number_s(value)
    if number is None:
        span = span_s(value)
        return _until(_rfc3339(value), answer) if span is None else span
    if number < _MOMENT_S:
        return number
    moment_s = number // 1_000 if number >= _MOMENT_MS else number
    try:
        return _until(datetime.fromtimestamp(moment_s, UTC), answer)
    except (OverflowError, ValueError, OSError):
        return 0


def _header(answer: Answer, name: bytes) -> str:
    return (answer.header(name) or b"")[:_HEADER_MAX].decode("latin-1").strip()


def _until(there: datetime | None, answer: Answer) -> int:
    """Return the seconds from the answer's own date to another, 0 where one is none."""
    here = _date(_header(answer, b"date"))
    if there is None or here is None:
        return 0
    try:
        return int((there - here).total_seconds())
    except (TypeError, OverflowError):  # one has no zone
        return 0


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _rfc3339(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
