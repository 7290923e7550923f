"""Instants as Unix microseconds, and their one spelling: RFC 3339, UTC, six decimals, `Z`."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def format_instant(us: int) -> str:
    """Return Unix microseconds as `2026-01-31T12:00:00.000000Z`."""
    moment = _EPOCH + timedelta(microseconds=us)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_instant(text: str) -> int:
    """Return the Unix microseconds of an RFC 3339 date-time, which must carry its offset.

    Raises ValueError for anything else: a time without a zone means different instants to
    its writer and its reader.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z for UTC")
    return (moment - _EPOCH) // _MICROSECOND
