"""Closing the calls of dead processes from their journal."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.operations import Settle, Settled
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import BYTES_PER_TOKEN
from aigne_hub.domain.usage import HEARD_MS_PER_TOKEN, Usage
from aigne_hub.ports import Clock, Journal

# Orphans handed to the journal at once: it commits them together.
CLOSED_AT_ONCE = 256
# Types of calls whose counted input stands for units: characters spoken, time heard.
SPEECH, TRANSCRIPTION = "speech", "transcription"


@dataclass(frozen=True, slots=True)
class StaleCall:
    """A call still `processing` whose process is gone, as its journal left it.

    `held` is None when the call was not billed; `rates` is the card it was admitted with and
    `cost` the provider's. The rest is as in its Admission and its Settle.
    """

    call_id: str
    account_id: str
    type: str
    model: str
    started_us: int
    input_counted: int
    delivered_tokens: int
    held: int | None
    rates: RateCard | None
    cost: RateCard | None = None
    counters: tuple[str, ...] = ()
    tokens_reserved: int = 0
    claimed: bool = False
    hold_expired: bool = False


class StaleCalls(Protocol):
    async def stale_calls(self) -> Iterable[StaleCall]: ...


async def cleanup_stale_processing_calls(store: StaleCalls, journal: Journal, clock: Clock) -> int:
    """Close every orphaned call: delivered content is charged, the rest is released.

    Returns how many calls were closed. A call is closed once, whoever runs this: the journal
    refuses a second close. One that it refuses keeps no other from being closed.
    """
    closed = 0
    stale = iter(await store.stale_calls())
    while calls := list(islice(stale, CLOSED_AT_ONCE)):
        entries = [_interrupted(call, clock.now_us()) for call in calls]
        answers = await asyncio.gather(*map(journal.settle, entries), return_exceptions=True)
        closed += sum(isinstance(answer, Settled) for answer in answers)
    return closed


def _delivered(call: StaleCall) -> Usage:
    """Return what was read and delivered, and the units that the count of its input stands for."""
    read = call.input_counted
    return Usage(
        input_tokens=read,
        output_tokens=call.delivered_tokens,
        duration_ms=read * HEARD_MS_PER_TOKEN if call.type == TRANSCRIPTION else 0,
        # The last token may have but one character.
        characters=max((read - 1) * BYTES_PER_TOKEN + 1, 0) if call.type == SPEECH else 0,
    )


def _interrupted(call: StaleCall, now_us: int) -> Settle:
    """Return the entry that closes a call with what its journal says was delivered."""
    delivered = call.delivered_tokens > 0
    usage = None
    charge = 0
    if delivered:
        usage = _delivered(call)
        if call.rates is not None and call.held is not None:
            charge = call.rates.cost(usage)
    return Settle(
        call_id=call.call_id,
        account_id=call.account_id,
        outcome=Outcome.INTERRUPTED,
        held=call.held or 0,
        charge=charge,
        usage=usage,
        usage_source=UsageSource.COUNTED if delivered else None,
        provider=None,
        credential=None,
        ended_us=now_us,
        duration_us=max(now_us - call.started_us, 0),
        ttfb_us=None,
        billed=call.held is not None,
        model=call.model,
        cost=call.cost.cost(usage) if call.cost is not None and usage is not None else None,
        counters=call.counters,
        tokens_reserved=call.tokens_reserved,
        claimed=call.claimed,
        hold_expired=call.hold_expired,
        error_code="interrupted",
        error_message="The hub stopped while this call was running.",
    )
