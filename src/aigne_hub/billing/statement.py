"""An account's statement: what came, what went, what is left, and whether it agrees with itself.

A statement of a whole account also has its grants and what was taken back of them, which is
all that another hub needs to carry the account on. Amounts are nano-credits.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import AMOUNT_MAX, format_credits
from aigne_hub.domain.transfers import (
    BREAKAGE,
    FUNDING,
    PROMOTIONAL,
    REVENUE,
    WRITE_OFF,
)

# Stands for the account itself among the sides of a transfer.
CUSTOMER = "customer"
PRIORITY_MAX = 100
# What takes from a grant, and from an overdraft where no grant is named.
_TAKING = frozenset({"capture", "adjustment", "expiry", "reversal"})
_LENDING = frozenset({"capture", "adjustment", "reversal"})
# The two sides of the kinds that always have the same ones.
_SIDES = {
    "capture": (CUSTOMER, REVENUE),
    "adjustment": (CUSTOMER, REVENUE),
    "expiry": (CUSTOMER, BREAKAGE),
    "refund": (REVENUE, CUSTOMER),
}


class Movement(NamedTuple):
    """One transfer. `change` is what it did to the balance, which was `balance` afterwards.

    `model` and the tokens are those of its call, where that is known; the tokens stand on the
    first transfer of the charge only, so that they can be summed.
    """

    at_us: int
    kind: str
    operation_id: str
    seq: int
    amount: int
    change: int
    balance: int
    debit: str
    credit: str
    grant_id: str | None
    call_id: str | None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Granted(NamedTuple):
    """A grant and what is left of it. One that is not `posted` is in no balance yet."""

    id: str
    at_us: int
    amount: int
    remaining: int
    category: str
    priority: int
    source: str
    posted: bool
    effective_us: int | None
    expires_us: int | None
    name: str


class TakenBack(NamedTuple):
    """How much of a grant an operation took back."""

    operation_id: str
    at_us: int
    grant_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Statement:
    """Movements from `since_us` until `until_us` (exclusive), oldest first; None for no bound.

    `written_off` is what a statement that was read says that nobody paid, see `lost`.
    """

    opening: int
    movements: Iterable[Movement]
    since_us: int | None = None
    until_us: int | None = None
    grants: Sequence[Granted] = field(default=())
    taken_back: Sequence[TakenBack] = field(default=())
    written_off: int = 0

    @property
    def whole(self) -> bool:
        return self.since_us is None and self.until_us is None


class Disagreement(ValueError):
    """A statement that no ledger can have written. The message says where it disagrees."""


def lost(one: Movement) -> int:
    """Return what a movement adds to what was written off: below 0 when it makes that good."""
    return one.amount * ((one.debit == WRITE_OFF) - (one.credit == WRITE_OFF))


def require_agreement(statement: Statement, closing: int) -> None:
    """Raise Disagreement unless a whole statement is one that a ledger in order can have."""
    if not statement.whole or statement.opening:
        raise Disagreement("It is of a part of an account: export it without a period.")
    movements = list(statement.movements)
    _require_running(movements, closing)
    grants = {grant.id: grant for grant in statement.grants}
    if len(grants) != len(statement.grants):
        raise Disagreement("A grant is listed twice.")
    for grant in grants.values():
        _require_terms(grant)
    _require_numbered(movements)
    _require_written_off(movements, statement.written_off)
    _require_grants(grants, movements, closing)
    _require_taken_back(grants, movements, statement.taken_back)


def _require_running(movements: Iterable[Movement], closing: int) -> None:
    balance = 0
    for one in movements:
        balance += one.change
        if one.balance != balance or one.change != _change(one):
            raise Disagreement(f"{_named(one)}: its change and its balance do not follow.")
        if not 0 < one.amount <= AMOUNT_MAX or not _sides_agree(one):
            raise Disagreement(f"{_named(one)}: its sides are not those of its kind.")
    if balance != closing:
        raise Disagreement(
            f"It closes with {format_credits(closing)}, not what its rows add up to."
        )


def _require_terms(grant: Granted) -> None:
    if not (
        0 < grant.amount <= AMOUNT_MAX
        and 0 <= grant.remaining <= grant.amount
        and grant.category in set(Category)
        and 0 <= grant.priority <= PRIORITY_MAX
        and _funds(grant.source)
        and (grant.posted or grant.remaining == grant.amount)
    ):
        raise Disagreement(f"The terms of grant {grant.id[:80]} are impossible.")


def _require_numbered(movements: Iterable[Movement]) -> None:
    numbers = defaultdict(list)
    refundable: dict[str, int] = defaultdict(int)
    for one in movements:
        numbers[one.operation_id].append(one.seq)
        if one.kind == "capture" and one.call_id not in {None, one.operation_id}:
            raise Disagreement(f"{_named(one)}: it charges another call than its own.")
        if one.call_id is not None and one.kind in {"capture", "adjustment", "refund"}:
            refundable[one.call_id] += -one.change
    for operation, found in numbers.items():
        if sorted(found) != list(range(len(found))):
            raise Disagreement(f"Transfers of {operation[:80]} are missing or there twice.")
    for call, left in refundable.items():
        if left < 0:
            raise Disagreement(f"More of call {call[:80]} was refunded than was charged.")


def _require_written_off(movements: Iterable[Movement], stated: int) -> None:
    """Require the sum that is stated, and that no more was made good of a loss than there was.

    A loss is one of a call, which re-rating may lower, or of the payments from one source.
    """
    total = 0
    losses: dict[str | None, int] = defaultdict(int)
    for one in movements:
        change = lost(one)
        total += change
        source = one.credit if change > 0 else one.debit
        if change:
            losses[one.call_id if source == REVENUE else source] += change
    if total != stated:
        raise Disagreement(f"It writes {format_credits(stated)} off, not what its rows add up to.")
    for of, left in losses.items():
        if left < 0:
            raise Disagreement(f"More of {str(of)[:80]} was made good than was written off.")


def _require_grants(
    grants: dict[str, Granted], movements: Sequence[Movement], closing: int
) -> None:
    for one in movements:
        if one.grant_id is not None and one.grant_id not in grants:
            raise Disagreement(f"{_named(one)}: its grant is not listed.")
    posted = {one.operation_id: one for one in movements if one.kind == "grant"}
    unlisted = posted.keys() - {grant.id for grant in grants.values() if grant.posted}
    if unlisted:
        raise Disagreement(f"Grant {min(unlisted)[:80]} was posted and is not listed.")
    used, lent = _used(movements)
    for grant in grants.values():
        _require_posted(grant, posted.get(grant.id))
        if not 0 <= grant.amount - grant.remaining - used[grant.id] <= lent:
            raise Disagreement(f"What left grant {grant.id[:80]} is in no transfer.")
    left = sum(grant.remaining for grant in grants.values() if grant.posted)
    if left != max(closing, 0):
        raise Disagreement("What is left of the grants is not the closing balance.")


def _require_posted(grant: Granted, by: Movement | None) -> None:
    """Require that a grant was posted by one transfer, for its amount and from its source."""
    if by is None:
        agrees = not grant.posted
    else:
        agrees = (by.grant_id, by.amount, by.debit) == (grant.id, grant.amount, grant.source)
    if not agrees:
        raise Disagreement(f"Grant {grant.id[:80]} was not posted once, for its amount.")


def _used(movements: Iterable[Movement]) -> tuple[dict[str, int], int]:
    """Return what was taken from each grant, less what was returned, and what from none."""
    used: dict[str, int] = defaultdict(int)
    lent = 0
    for one in movements:
        if one.grant_id is None:
            lent += one.amount if one.kind in _LENDING else 0
        elif one.kind in _TAKING:
            used[one.grant_id] += one.amount
        elif one.kind == "refund":
            used[one.grant_id] -= one.amount
    return used, lent


def _require_taken_back(
    grants: dict[str, Granted], movements: Iterable[Movement], taken_back: Iterable[TakenBack]
) -> None:
    moved: dict[str, list[Movement]] = defaultdict(list)
    for one in movements:
        if one.kind == "reversal" or (one.kind == "write_off" and one.credit != REVENUE):
            moved[one.operation_id].append(one)
    of_grant: dict[str, int] = defaultdict(int)
    for back in taken_back:
        of_grant[back.grant_id] += back.amount
        grant = grants.get(back.grant_id)
        parts = moved.pop(back.operation_id, [])
        sides = {one.credit for one in parts}
        if (
            grant is None
            or sum(one.amount for one in parts) != back.amount
            or sides != {grant.source}
        ):
            raise Disagreement(f"Reversal {back.operation_id[:80]} is not what its transfers say.")
    if moved:
        raise Disagreement(f"Reversal {min(moved)[:80]} took back no grant.")
    for grant_id, amount in of_grant.items():
        if amount > grants[grant_id].amount:
            raise Disagreement(f"More of grant {grant_id[:80]} was taken back than was granted.")


def _change(one: Movement) -> int:
    return one.amount * ((one.credit == CUSTOMER) - (one.debit == CUSTOMER))


def _sides_agree(one: Movement) -> bool:
    """Whether money moved between the accounts that this kind of transfer is between."""
    sides = (one.debit, one.credit)
    if one.kind in _SIDES:
        return sides == _SIDES[one.kind]
    match one.kind:
        case "grant":
            return one.credit == CUSTOMER and _funds(one.debit)
        case "reversal":
            return one.debit == CUSTOMER and _funds(one.credit)
        case "write_off":
            return one.debit == WRITE_OFF and (one.credit == REVENUE or _funds(one.credit))
    paid_for = _funds(one.debit) or (one.debit == REVENUE and one.call_id is not None)
    return one.kind == "recovery" and paid_for and one.credit == WRITE_OFF


def _funds(name: str) -> bool:
    return name == PROMOTIONAL or (name.startswith(FUNDING) and len(name) > len(FUNDING))


def _named(one: Movement) -> str:
    return f"{one.kind[:20]} {one.operation_id[:80]}"
