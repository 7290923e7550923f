"""What upstreams say when they refuse, fail or break off, and what it means.

`complaint_in` reads the body of an answer, `cause_of` says what it is about. An error inside an
answer that looked good is `reported`: by the same tables, so that a stream's first event and a
whole answer mean the same.
"""

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.providers.complaints.causes import FAULTS, Cause
from aigne_hub.providers.complaints.verdict import OVERLOADED, cause_of
from aigne_hub.providers.complaints.words import Complaint, complaint_in, complaint_of
from aigne_hub.providers.frames import words_of

__all__ = [
    "FAULTS",
    "OVERLOADED",
    "Cause",
    "Complaint",
    "blamed",
    "cause_of",
    "complaint_in",
    "complaint_of",
    "reported",
]


def blamed(message: str, error: object, name: str = "") -> UpstreamError:
    """Return an error with this message for one that an answer carries.

    Its fault is None when it is about the request. `name` is what it is called beside it.
    """
    said = complaint_of(error, name)
    fault = FAULTS[cause_of(said.status, said)]
    is_overload = fault in {Fault.OVERLOADED, Fault.THROTTLED}
    failure = UpstreamError(message, is_overload=is_overload, fault=fault)
    failure.patience_s = said.patience_s
    return failure


def reported(error: object, name: str = "") -> UpstreamError:
    """Return the error that an answer carries, in its own words, bounded."""
    return blamed(f"The upstream reported an error: {words_of(error)}", error, name)
