"""Things that happened which somebody outside wants to know, and how often they are told."""

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256

_ID_CHARS = 32


class EventType(StrEnum):
    """What webhooks are told about."""

    LIMIT_REACHED = "limit.reached"
    CREDITS_LOW = "credits.low"
    PAYMENT_PAID = "payment.paid"
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_DISPUTED = "payment.disputed"
    PAYMENT_RESTORED = "payment.restored"
    AUTO_RECHARGE_SUCCEEDED = "auto_recharge.succeeded"
    AUTO_RECHARGE_FAILED = "auto_recharge.failed"
    AUTO_RECHARGE_DISABLED = "auto_recharge.disabled"
    LEDGER_VIOLATION = "ledger.violation"
    USAGE_UNKNOWN_FIELD = "usage.unknown_field"
    USAGE_REFUSED = "usage.refused"
    RATES_BELOW_COST = "rates.below_cost"
    RATES_DRIFT = "rates.drift"
    CREDENTIAL_DISABLED = "credential.disabled"
    CREDENTIAL_RESTORED = "credential.restored"
    WEBHOOK_TEST = "webhook.test"


MEANINGS: Mapping[EventType, str] = {
    EventType.LIMIT_REACHED: "A spending limit reached 50, 80 or 100 % of its window's amount.",
    EventType.CREDITS_LOW: "What an account can spend fell below one of its thresholds.",
    EventType.PAYMENT_PAID: "An order was paid, and its account got the credits.",
    EventType.PAYMENT_REFUNDED: "Money of an order went back, and the credits with it.",
    EventType.PAYMENT_DISPUTED: (
        "The payer's bank took money of an order back, and the hub its credits."
    ),
    EventType.PAYMENT_RESTORED: "A refund failed or a dispute was won: the credits are back.",
    EventType.AUTO_RECHARGE_SUCCEEDED: "An automatic top-up was paid.",
    EventType.AUTO_RECHARGE_FAILED: "A saved card was declined for an automatic top-up.",
    EventType.AUTO_RECHARGE_DISABLED: "The hub gave up on the automatic top-ups of an account.",
    EventType.LEDGER_VIOLATION: "The hourly check of the ledger found an invariant broken.",
    EventType.USAGE_UNKNOWN_FIELD: (
        "A provider reports a field that the hub does not know, for the first time."
    ),
    EventType.USAGE_REFUSED: (
        "A provider reported usage that cannot be true, for the first time that day (UTC)."
    ),
    EventType.RATES_BELOW_COST: "A model's prices are below what its vendor charges.",
    EventType.RATES_DRIFT: "A model's stated cost is more than 10 % off the vendor's list.",
    EventType.CREDENTIAL_DISABLED: (
        "A provider refuses a credential, or its account there has no credit left."
    ),
    EventType.CREDENTIAL_RESTORED: "A credential that was disabled works again.",
    EventType.WEBHOOK_TEST: "Somebody asked whether an endpoint works.",
}

# Seconds from a failed attempt to the next: the schedule that Standard Webhooks suggests.
# When they are used up, some three days after the event, it is given up.
RETRY_DELAYS_S = (
    5,
    5 * 60,
    30 * 60,
    2 * 3600,
    5 * 3600,
    10 * 3600,
    14 * 3600,
    20 * 3600,
    24 * 3600,
)
ATTEMPTS_MAX = 1 + len(RETRY_DELAYS_S)
# An attempt comes up to this much of its delay later, so that what failed together spreads out.
JITTER_PERCENT_MAX = 20


def event_id(*what: str) -> str:
    """Return the id of an event that these words name: the same words are the same event.

    It goes out as `webhook-id`, so it has no full stop, no space and nothing of the words.
    """
    return f"evt_{sha256(chr(0).join(what).encode()).hexdigest()[:_ID_CHARS]}"


def retry_after_us(attempts: int, jitter_percent: int) -> int | None:
    """Return how long after its `attempts`-th failure a delivery is tried again; None for never.

    `jitter_percent` is 0 to JITTER_PERCENT_MAX.
    """
    if attempts > len(RETRY_DELAYS_S):
        return None
    return RETRY_DELAYS_S[attempts - 1] * 10_000 * (100 + jitter_percent)
