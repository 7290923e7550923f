"""Credits: may this call start, and what is metered when it ends."""

from typing import NamedTuple

from aigne_hub.domain.errors import InsufficientCredits
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Admission, Settle
from aigne_hub.domain.quotes import Quote

METER = "AIGNE Hub AI Meter"


class MeterEvent(NamedTuple):
    """One immutable fact for the meter; `call_id` identifies it, so delivery can repeat."""

    call_id: str
    meter: str
    account_id: str
    value: int
    created_us: int


def check_user_credit_balance(account: Account | None, quote: Quote) -> Admission:
    """Hold the worst case of a call on `account`, or raise InsufficientCredits.

    Fewer output tokens than wanted are held when the quote allows it. No account, however
    rich, is let through without a hold.
    """
    available = 0 if account is None else account.available
    tokens = quote.affordable(available)
    if tokens is None or tokens < quote.tokens_min:
        needed = format_credits(quote.amount(quote.tokens_min))
        left = format_credits(max(available, 0))
        message = f"Not enough credits: this call needs up to {needed}, {left} is available."
        if tokens and quote.tokens_min > 1:
            message += f" An output limit of at most {tokens} tokens can be paid."
        raise InsufficientCredits(message, affordable_tokens=tokens or None)
    amount = quote.amount(tokens)
    if amount and account is not None:
        account.hold(amount)
    return Admission(held=amount, tokens=tokens)


def create_meter_event(settle: Settle) -> MeterEvent:
    """Return the meter event of a settled call. Its identifier is the call's own id."""
    return MeterEvent(settle.call_id, METER, settle.account_id, settle.charge, settle.ended_us)
