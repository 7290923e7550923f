"""Double-entry rules of a customer account, as pure state changes.

An account has a balance (posted), an amount held for calls in flight, and lots: the grants
its balance came from. available = balance - held + overdraft, and it never falls below
zero. Money moves only by transfers, which are never changed; a hold is a pending transfer
that is resolved once, by capture (all, part or nothing) or by recovery.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple


class Category(StrEnum):
    PROMOTIONAL = "promotional"
    PAID = "paid"


# System accounts: the other side of a customer's transfers, summed on read.
REVENUE = "revenue"
PROMOTIONAL = "promotional"
FUNDING_MANUAL = "funding:manual"
WRITE_OFF = "write_off"
BREAKAGE = "breakage"

TransferKind = Literal["grant", "capture", "write_off", "expiry"]


class Transfer(NamedTuple):
    """One immutable movement from `debit` to `credit`.

    (`account_id`, `operation_id`, `seq`) is its identity and idempotency key: a call, a grant
    or an expiry posts once.
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


@dataclass(slots=True)
class Lot:
    """What is left of one grant."""

    id: str
    remaining: int
    category: Category
    priority: int
    created_us: int
    expires_us: int | None = None

    def burn_order(self) -> tuple[int, float, bool, int, str]:
        """Lower priority first, then earlier expiry, promotional before paid, then age."""
        expiry = float("inf") if self.expires_us is None else self.expires_us
        return (
            self.priority,
            expiry,
            self.category is Category.PAID,
            self.created_us,
            self.id,
        )


@dataclass(slots=True)
class Account:
    """A customer account while one batch of operations is folded over it."""

    id: str
    balance: int
    held: int
    overdraft: int
    lots: list[Lot] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    @property
    def available(self) -> int:
        return self.balance - self.held + self.overdraft

    def hold(self, amount: int) -> None:
        if not 0 <= amount <= self.available:
            raise ValueError("a hold fits into what is available")
        self.held += amount

    def release(self, amount: int) -> None:
        if not 0 <= amount <= self.held:
            raise ValueError("a release is part of what is held")
        self.held -= amount

    def grant(self, lot: Lot, *, source: str, at_us: int) -> Transfer:
        """Post a grant. A debt is repaid from it first."""
        amount = lot.remaining
        if amount <= 0:
            raise ValueError("a grant is positive")
        debt = max(-self.balance, 0)
        self.balance += amount
        lot.remaining = max(amount - debt, 0)
        self.lots.append(lot)
        self.touched.add(lot.id)
        return Transfer(self.id, lot.id, 0, "grant", source, self.id, amount, lot.id, None, at_us)

    def capture(self, call_id: str, *, held: int, charge: int, at_us: int) -> list[Transfer]:
        """Resolve a hold: take `charge`, release the rest, write off what cannot be paid.

        A charge above the hold is taken from what is available, so the account never falls
        below its overdraft limit; the remainder is owed by the write-off account.
        """
        self.release(held)
        paid = min(charge, max(self.available, 0))
        transfers = [
            Transfer(
                self.id,
                call_id,
                seq,
                "capture",
                self.id,
                REVENUE,
                amount,
                lot_id,
                call_id,
                at_us,
            )
            for seq, (lot_id, amount) in enumerate(self._burn(paid))
        ]
        if charge > paid:
            transfers.append(
                Transfer(
                    self.id,
                    call_id,
                    len(transfers),
                    "write_off",
                    WRITE_OFF,
                    REVENUE,
                    charge - paid,
                    None,
                    call_id,
                    at_us,
                )
            )
        return transfers

    def expire(self, at_us: int) -> list[Transfer]:
        """Post due expiries to breakage, except what open holds still stand on.

        A hold taken before a grant expired may settle from it; what it releases afterwards
        expires with the next call of this function.
        """
        transfers = []
        for lot in sorted(self.lots, key=Lot.burn_order):
            if lot.expires_us is None or lot.expires_us > at_us or not lot.remaining:
                continue
            amount = min(lot.remaining, max(self.balance - self.held, 0))
            if not amount:
                continue
            before = lot.remaining
            lot.remaining -= amount
            self.balance -= amount
            self.touched.add(lot.id)
            # A lot can expire in parts; what was left before each part numbers them.
            transfers.append(
                Transfer(
                    self.id,
                    f"{lot.id}/{before}",
                    0,
                    "expiry",
                    self.id,
                    BREAKAGE,
                    amount,
                    lot.id,
                    None,
                    at_us,
                )
            )
        return transfers

    def _burn(self, amount: int) -> list[tuple[str | None, int]]:
        """Take `amount` from the lots in burn order; what no lot covers is overdraft (None)."""
        self.balance -= amount
        parts: list[tuple[str | None, int]] = []
        lots = self.lots
        if len(lots) > 1:
            lots = sorted(lots, key=Lot.burn_order)
        for lot in lots:
            if not amount:
                break
            if lot.remaining:
                taken = min(lot.remaining, amount)
                lot.remaining -= taken
                amount -= taken
                self.touched.add(lot.id)
                parts.append((lot.id, taken))
        if amount:
            parts.append((None, amount))
        return parts
