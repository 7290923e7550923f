"""What a failed attempt says of the upstream that was asked, whatever its caller is told."""

from enum import StrEnum


class Fault(StrEnum):
    """Why an attempt failed, as far as the next choice of an upstream is concerned.

    What is the caller's own fault (a body that is refused, content that a policy forbids) is
    no fault of a candidate, and has no member here.
    """

    UNREACHABLE = "unreachable"  # no connection: refused, no such name, no handshake
    TIMED_OUT = "timed_out"  # connected, and then nothing within the limit
    BROKEN = "broken"  # 5xx, an answer that is none, a connection that broke off
    OVERLOADED = "overloaded"  # 503 or 529: it says itself that it has too much to do
    THROTTLED = "throttled"  # 429: this credential has asked too often
    REFUSED = "refused"  # 401, 403: the credential is wrong, expired or revoked
    EXHAUSTED = "exhausted"  # the vendor's account has no credit left
    NO_MODEL = "no_model"  # it does not know the model, or this account may not use it
    REGION = "region"  # not served where the hub is: of the place, not of the credential


# What concerns a credential whatever model is called with it.
OF_CREDENTIAL = frozenset({Fault.REFUSED, Fault.EXHAUSTED})
# What concerns a provider whatever is called with which credential.
OF_PROVIDER = frozenset({Fault.UNREACHABLE})
# Nothing that will be better or worse for the next call.
UNCOUNTED = frozenset({Fault.REGION})
