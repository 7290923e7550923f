"""The life of a call, and the one charging table."""

from dataclasses import dataclass
from enum import StrEnum

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


SUCCESSFUL = frozenset({Outcome.COMPLETED, Outcome.CLIENT_CANCELLED, Outcome.CUT_OFF})


def status_of(outcome: Outcome) -> Status:
    return Status.SUCCESS if outcome in SUCCESSFUL else Status.FAILED


@dataclass(frozen=True, slots=True)
class Chargeable:
    """What of a call is charged: nothing when `usage` is None."""

    usage: Usage | None
    source: UsageSource | None


NOTHING = Chargeable(None, None)


def chargeable(
    outcome: Outcome, *, reported: Usage | None, counted: Usage, delivered: bool
) -> Chargeable:
    """Apply the charging table (contract, section 5).

    `reported` is the provider's own usage if a valid one arrived; `counted` is the input
    and delivered output counted by the hub; `delivered` says whether any content left.
    """
    match outcome:
        case Outcome.REJECTED:
            return NOTHING
        case Outcome.COMPLETED | Outcome.CLIENT_CANCELLED:
            if reported is not None:
                return Chargeable(reported, UsageSource.PROVIDER)
            return Chargeable(counted, UsageSource.COUNTED)
        case Outcome.CUT_OFF:
            return Chargeable(counted, UsageSource.COUNTED)
        case Outcome.UPSTREAM_FAILED | Outcome.UPSTREAM_TIMEOUT | Outcome.INTERRUPTED:
            return Chargeable(counted, UsageSource.COUNTED) if delivered else NOTHING
