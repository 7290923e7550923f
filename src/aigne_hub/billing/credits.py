"""Credits: may this call start, and what is metered when it ends."""

from typing import NamedTuple

from aigne_hub.billing.allowance import described, sentence
from aigne_hub.domain.errors import InsufficientCredits
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Counter, Limit
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Admission, Settle
from aigne_hub.domain.quotes import Quote

METER = "AIGNE Hub AI Meter"
NOBODY = 0


class MeterEvent(NamedTuple):
    """One immutable fact for the meter; `call_id` identifies it, so delivery can repeat.

    `delivered_us` is None while somebody waits for it, and NOBODY when nobody did.
    """

    call_id: str
    meter: str
    account_id: str
    value: int
    created_us: int
    delivered_us: int | None


def check_user_credit_balance(
    account: Account | None,
    quote: Quote,
    limited: tuple[Limit, Counter] | None = None,
    now_us: int = 0,
) -> Admission:
    """Hold the worst case of a call on `account`, or raise InsufficientCredits.

    Fewer output tokens than wanted are held when the quote allows it. No account, however
    rich, is let through without a hold. `limited` is the spending limit with the least room,
    which bounds the hold as the balance does.
    """
    available = 0 if account is None else account.available
    if limited is not None and limited[1].room < available:
        available = limited[1].room
    else:
        limited = None
    tokens = quote.affordable(available)
    if tokens is None or tokens < quote.tokens_min:
        raise _refusal(quote, available, tokens, limited, now_us)
    amount = quote.amount(tokens)
    if amount and account is not None:
        account.hold(amount)
    return Admission(amount, tokens)


def _refusal(
    quote: Quote,
    available: int,
    tokens: int | None,
    limited: tuple[Limit, Counter] | None,
    now_us: int,
) -> InsufficientCredits:
    needed = format_credits(quote.amount(quote.tokens_min))
    left = format_credits(max(available, 0))
    state = None
    if limited is None:
        message = f"Not enough credits: this call needs up to {needed}, {left} is available."
    else:
        state = described(*limited, now_us)
        message = f"A spending limit is reached: this call needs up to {needed}. {sentence(state)}"
    if tokens and quote.tokens_min > 1:
        message += f" An output limit of at most {tokens} tokens can be paid."
    return InsufficientCredits(message, affordable_tokens=tokens or None, limit=state)


def create_meter_event(settle: Settle) -> MeterEvent:
    """Return the meter event of a settled call. Its identifier is the call's own id."""
    return MeterEvent(
        settle.call_id,
        METER,
        settle.account_id,
        settle.charge,
        settle.ended_us,
        None if settle.deliver else NOBODY,
    )
