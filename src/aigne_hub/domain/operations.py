"""The operations handed to the journal, and what it answers.

Each is one durable step of a call's life: open, sent, progress, settle, void. They carry
values only; the journal folds them over the accounts concerned and commits.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.idempotency import Answer, Claim
from aigne_hub.domain.limits import Limit
from aigne_hub.domain.objects import Made
from aigne_hub.domain.quotes import Quote
from aigne_hub.domain.usage import Usage


@dataclass(slots=True)
class Open:
    """Begin a call: its record, and a hold on its quote, in one commit.

    `quote` is None when billing is off. `refusal` opens and closes a call that was refused
    before it could be quoted, so that every call of a known caller is on record.
    `rate_id` is the price version the call is admitted with; `input_counted` the prompt
    tokens counted from text, kept for a call that ends without a report. `tokens_wanted` is
    what it reserves of limits that count tokens. A `claim` is taken in the same commit.
    """

    call_id: str
    account_id: str
    user_did: str
    app_did: str
    key_id: str
    type: str
    model: str
    rate_id: str | None
    stream: bool
    input_counted: int
    request_id: str
    started_us: int
    quote: Quote | None = None
    refusal: HubError | None = None
    limits: tuple[Limit, ...] = ()
    tokens_wanted: int = 0
    claim: Claim | None = None


class Admission(NamedTuple):
    """The answer to Open: how much is held, and for how many output tokens.

    `counters` are the limits' counters the call holds room in, `tokens_reserved` what it
    holds of those that count tokens. `replay` names the call that has answered this
    idempotency key before; then nothing was opened.
    """

    held: int
    tokens: int
    counters: tuple[str, ...] = ()
    tokens_reserved: int = 0
    replay: str | None = None


class Reason(StrEnum):
    """Why an upstream was tried."""

    CHOSEN = "chosen"  # the best of those that may be asked
    FAILOVER = "failover"  # another one failed before
    RETRY = "retry"  # it failed before, and no other was left
    PROBE = "probe"  # it was barred, and this call shows whether it works again
    LAST_RESORT = "last_resort"  # it is barred, as are all others
    HEDGE = "hedge"  # another one took long to answer


class Attempt(NamedTuple):
    """One try at one upstream. `status` is the upstream's, None if it never answered.

    `cost` is what its provider charges for it in nano-credits: nothing for one that was
    refused, what was sent for one that may have worked without answering; None when unknown.
    """

    provider: str
    credential: str
    status: int | None
    error: str | None
    started_us: int
    duration_us: int
    model: str
    reason: Reason
    cost: int | None


@dataclass(slots=True)
class Progress:
    """Content that is about to leave, or has left within the last quarter second.

    `output_counted` is the running total. `extend_by` asks for that much more hold (nano);
    the journal grants it, or what is left. `rate_id` is the price of the model that serves,
    None when it is the one the call was admitted with.
    """

    call_id: str
    account_id: str
    output_counted: int
    extend_by: int = 0
    rate_id: str | None = None
    counters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """A heartbeat: proves that the store commits."""

    call_id: str = "-"


@dataclass(slots=True)
class Settle:
    """Close a call: its record, the capture of its hold and its meter event, in one commit.

    `held` is what the journal granted in all. `charge` is the price of `usage`; None means
    nothing is charged (and nothing is held when billing is off). `rate_id` as in Progress.
    `cost` is what the provider charges for `usage` in nano-credits, None when unknown.
    `counters` and `tokens_reserved` are those of its Admission. A call that `claimed` an
    idempotency key keeps its `answer` with it; without a charge the key is free again.
    `made` is what the call left at its provider, to be found again by its id.
    `deliver` says that its meter event is wanted elsewhere; the journal knows.
    """

    call_id: str
    account_id: str
    outcome: Outcome
    held: int
    charge: int
    usage: Usage | None
    usage_source: UsageSource | None
    provider: str | None
    credential: str | None
    ended_us: int
    duration_us: int
    ttfb_us: int | None
    billed: bool
    model: str
    error_code: str | None = None
    error_message: str | None = None
    rate_id: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    cost: int | None = None
    counters: tuple[str, ...] = ()
    tokens_reserved: int = 0
    claimed: bool = False
    answer: Answer | None = None
    made: Made | None = None
    hold_expired: bool = False
    deliver: bool = False


class Settled(NamedTuple):
    """`charge` is what the call costs; `written_off` is the part the account could not pay."""

    charge: int
    written_off: int
