"""The life of a call, and the one charging table."""

from enum import StrEnum
from typing import TypeAlias

from aigne_hub.domain.usage import Usage


class Status(StrEnum):
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


class Outcome(StrEnum):
    COMPLETED = "completed"
    CLIENT_CANCELLED = "client_cancelled"
    CUT_OFF = "cut_off"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"


class UsageSource(StrEnum):
    PROVIDER = "provider"
    COUNTED = "counted"


SUCCESSFUL = (Outcome.COMPLETED, Outcome.CLIENT_CANCELLED, Outcome.CUT_OFF)


def status_of(outcome: Outcome) -> Status:
    return _SUCCESS if outcome in SUCCESSFUL else _FAILED


# What of a call is charged, and who counted it: nothing without a usage.
Chargeable: TypeAlias = tuple[Usage, UsageSource] | tuple[None, None]

NOTHING: Chargeable = (None, None)
# Looking a member up in its class costs more in Python 3.11 than the rest of a look-up here.
_SUCCESS, _FAILED = Status.SUCCESS, Status.FAILED
_COMPLETED, _REPORTED = Outcome.COMPLETED, UsageSource.PROVIDER


def chargeable(
    outcome: Outcome, *, reported: Usage | None, counted: Usage, delivered: bool
) -> Chargeable:
    """Apply the charging table (contract, section 5).

    `reported` is the provider's own usage if a valid one arrived; `counted` is the input
    and delivered output counted by the hub; `delivered` says whether any content left.
    """
    if outcome is _COMPLETED and reported is not None:
        return reported, _REPORTED
    match outcome:
        case Outcome.REJECTED:
            return NOTHING
        case Outcome.COMPLETED | Outcome.CLIENT_CANCELLED:
            if reported is not None:
                return reported, UsageSource.PROVIDER
            return counted, UsageSource.COUNTED
        case Outcome.CUT_OFF:
            return counted, UsageSource.COUNTED
        case Outcome.UPSTREAM_FAILED | Outcome.UPSTREAM_TIMEOUT | Outcome.INTERRUPTED:
            return (counted, UsageSource.COUNTED) if delivered else NOTHING
