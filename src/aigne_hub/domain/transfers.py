"""Transfers: immutable movements between accounts by purpose."""

from typing import Literal, NamedTuple

# System accounts: the other side of a customer's transfers, summed on read. Funding has one
# account per payment provider, such as `funding:stripe`.
REVENUE = "revenue"
PROMOTIONAL = "promotional"
FUNDING = "funding:"
FUNDING_MANUAL = "funding:manual"
WRITE_OFF = "write_off"
BREAKAGE = "breakage"

# grant       funding or promotional -> customer    credit given
# capture     customer -> revenue                   a call, or a metered event, was charged
# write_off   write_off -> revenue or funding       what an account could not pay
# expiry      customer -> breakage                  a grant ran out
# refund      revenue -> customer                   a charge given back, to the lots it came from
# adjustment  customer -> revenue                   a charge corrected upwards
# reversal    customer -> funding or promotional    a payment taken back, or a grant revoked
# recovery    funding or revenue -> write_off       a loss made good: the payment came back, or
#                                                   the call that was not paid cost less
TransferKind = Literal[
    "grant", "capture", "write_off", "expiry", "refund", "adjustment", "reversal", "recovery"
]


class Transfer(NamedTuple):
    """One immutable movement from `debit` to `credit`.

    (`account_id`, `operation_id`, `seq`) is its identity and idempotency key: a call, a grant,
    an expiry or a refund posts once. `call_id` is the call it is about, if any; a metered event
    has none, and `meter/<its identifier>` as operation.
    """

    account_id: str
    operation_id: str
    seq: int
    kind: TransferKind
    debit: str
    credit: str
    amount: int
    grant_id: str | None
    call_id: str | None
    created_us: int
