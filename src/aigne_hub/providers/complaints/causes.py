"""What an upstream's error is about."""

from enum import Enum, auto
from typing import Final

from aigne_hub.domain.faults import Fault


class Cause(Enum):
    CALLER = auto()  # the request is no good
    CONTENT = auto()  # a policy forbids what it says
    ABSENT = auto()  # it names an object of the caller's that is not there
    CONFLICT = auto()  # something else is going on with that object
    TOO_LARGE = auto()  # more than a limit on the rate will ever let through at once
    CREDENTIAL = auto()  # wrong, expired, revoked, or of a suspended account
    CREDIT = auto()  # the account has none, or has reached what it may spend
    REGION = auto()  # not served where the hub is
    BLOCKED = auto()  # for a while
    MODEL = auto()  # not known, or not for this account
    THROTTLED = auto()
    OVERLOADED = auto()
    TIMED_OUT = auto()
    BROKEN = auto()


# What it says of who gave it; None when it is about the request.
FAULTS: Final[dict[Cause, Fault | None]] = {
    Cause.CALLER: None,
    Cause.CONTENT: None,
    Cause.ABSENT: None,
    Cause.CONFLICT: None,
    Cause.TOO_LARGE: None,
    Cause.CREDENTIAL: Fault.REFUSED,
    Cause.CREDIT: Fault.EXHAUSTED,
    Cause.REGION: Fault.REGION,
    Cause.BLOCKED: Fault.THROTTLED,
    Cause.MODEL: Fault.NO_MODEL,
    Cause.THROTTLED: Fault.THROTTLED,
    Cause.OVERLOADED: Fault.OVERLOADED,
    Cause.TIMED_OUT: Fault.TIMED_OUT,
    Cause.BROKEN: Fault.BROKEN,
}
