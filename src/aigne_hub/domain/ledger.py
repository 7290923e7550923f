"""Double-entry rules of a customer account, as pure state changes.

An account has a balance (posted), an amount held for calls in flight, and lots: the grants
its balance came from. available = balance - held + overdraft, and it never falls below
zero. Money moves only by transfers, which are never changed; a hold is a pending transfer
that is resolved once, by capture (all, part or nothing) or by recovery.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aigne_hub.domain.lots import Lot
from aigne_hub.domain.transfers import (
    BREAKAGE,
    REVENUE,
    WRITE_OFF,
    Transfer,
    TransferKind,
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
    # How many transfers each expiry of this fold has.
    _expiries: dict[str, int] = field(default_factory=dict)

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

    def grant(self, lot: Lot, *, source: str, at_us: int) -> list[Transfer]:
        """Add a grant; it is posted now, or by `advance` once it is effective."""
        if lot.remaining <= 0:
            raise ValueError("a grant is positive")
        lot.source = source
        self.lots.append(lot)
        self.touched.add(lot.id)
        if lot.effective_us is not None and lot.effective_us > at_us:
            lot.posted = False
            return []
        return [self._post(lot, at_us)]

    def capture(self, call_id: str, *, held: int, charge: int, at_us: int) -> list[Transfer]:
        """Resolve a hold: take `charge`, release the rest, write off what cannot be paid.

        A charge above the hold is taken from what is available, so the account never falls
        below its overdraft limit; the remainder is owed by the write-off account.
        """
        self.release(held)
        return self._charge(call_id, "capture", charge, call_id, at_us)

    def meter(self, operation_id: str, amount: int, at_us: int, *, seq: int = 0) -> list[Transfer]:
        """Charge a metered event as far as there is credit, the overdraft included.

        What the transfers, numbered from `seq`, do not cover is in no account: it stays
        pending with the event until credit is available again.
        """
        if amount <= 0:
            raise ValueError("what is metered is positive")
        paid = min(amount, max(self.available, 0))
        return self._burn(paid, operation_id, "capture", REVENUE, None, at_us, first=seq)

    def advance(self, at_us: int) -> list[Transfer]:
        """Let time pass: post grants that became effective and expiries that are due.

        What open holds stand on stays: a hold taken before a grant expired may settle from
        it, and what it releases afterwards expires with the next call of this function.
        """
        begun = [lot for lot in self.lots if not lot.posted and (lot.effective_us or 0) <= at_us]
        # Which repays a debt is decided by time, not by the order of rows.
        begun.sort(key=lambda lot: (lot.effective_us or 0, lot.id))
        transfers = [self._post(lot, at_us) for lot in begun]
        for lot in sorted(self.lots, key=Lot.burn_order):
            if not lot.posted or lot.expires_us is None or lot.expires_us > at_us:
                continue
            amount = min(lot.remaining, max(self.balance - self.held, 0))
            if not amount:
                continue
            before = lot.remaining
            lot.remaining -= amount
            self.balance -= amount
            self.touched.add(lot.id)
            # A lot can expire in parts, and be refunded in between, at one instant too; what
            # was left, when, and how often before tells the parts apart.
            operation = f"{lot.id}/{before}@{at_us}"
            seq = self._expiries.get(operation, 0)
            self._expiries[operation] = seq + 1
            transfers.append(
                Transfer(
                    self.id,
                    operation,
                    seq,
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

    def refund(
        self,
        operation_id: str,
        parts: Iterable[tuple[str | None, int]],
        slack: Mapping[str, int],
        *,
        call_id: str,
        at_us: int,
    ) -> list[Transfer]:
        """Give a charge back to the lots it came from; the lots must be loaded.

        `parts` are (lot, amount) as captured. A debt incurred since is repaid first. What was
        overdraft (None) and has been repaid meanwhile returns to the lots that repaid it:
        `slack` says how much of each lot did.
        """
        left = dict(slack)
        transfers: list[Transfer] = []
        for lot_id, amount in parts:
            if amount <= 0:
                raise ValueError("a refund is positive")
            into = [(lot_id, amount)] if lot_id is not None else self._repaid(amount, left)
            for target, part in into:
                repaid = self._return(target, part)
                if target is not None:
                    left[target] = left.get(target, 0) + repaid
                seq = len(transfers)
                transfers.append(
                    Transfer(
                        self.id,
                        operation_id,
                        seq,
                        "refund",
                        REVENUE,
                        self.id,
                        part,
                        target,
                        call_id,
                        at_us,
                    )
                )
        return transfers

    def adjust(self, operation_id: str, amount: int, call_id: str, at_us: int) -> list[Transfer]:
        """Charge `amount` more for a settled call; what cannot be paid is written off."""
        return self._charge(operation_id, "adjustment", amount, call_id, at_us)

    def reverse(
        self, operation_id: str, lot: Lot, amount: int, source: str, at_us: int
    ) -> list[Transfer]:
        """Take back `amount` of a grant whose payment was returned.

        Its own lot pays first, then whatever is available, the overdraft included; the rest
        is written off against the funding account. Holds in flight keep what they hold.
        """
        if amount <= 0:
            raise ValueError("a reversal is positive")
        posted = [] if lot.posted else [self._post(lot, at_us)]
        paid = min(amount, max(self.available, 0))
        transfers = self._burn(paid, operation_id, "reversal", source, None, at_us, before=lot)
        if amount > paid:
            transfers.append(
                self._written_off(
                    operation_id, len(transfers), source, amount - paid, None, lot.id, at_us
                )
            )
        return posted + transfers

    def due_us(self) -> int | None:
        """Return the earliest instant at which time alone changes this account."""
        instants = [due for lot in self.lots if (due := lot.due_us()) is not None]
        return min(instants, default=None)

    def _post(self, lot: Lot, at_us: int) -> Transfer:
        """Post a grant. A debt is repaid from it first."""
        amount = lot.remaining
        debt = max(-self.balance, 0)
        self.balance += amount
        lot.remaining = max(amount - debt, 0)
        lot.posted = True
        self.touched.add(lot.id)
        return Transfer(
            self.id, lot.id, 0, "grant", lot.source, self.id, amount, lot.id, None, at_us
        )

    def _repaid(self, amount: int, slack: dict[str, int]) -> list[tuple[str | None, int]]:
        """Say where `amount` of former overdraft returns to: debt first, then who repaid it."""
        debt = min(max(-self.balance, 0), amount)
        into: list[tuple[str | None, int]] = [(None, debt)] if debt else []
        amount -= debt
        for lot in sorted(self.lots, key=Lot.burn_order, reverse=True):
            part = min(slack.get(lot.id, 0), amount)
            if part:
                slack[lot.id] -= part
                amount -= part
                into.append((lot.id, part))
        if amount:
            raise ValueError("more overdraft is refunded than was repaid or is owed")
        return into

    def _return(self, lot_id: str | None, amount: int) -> int:
        """Give `amount` back to a lot; return how much of it repaid a debt instead."""
        debt = min(max(-self.balance, 0), amount)
        self.balance += amount
        if lot_id is not None and amount > debt:
            lot = next(lot for lot in self.lots if lot.id == lot_id)
            lot.remaining += amount - debt
            self.touched.add(lot_id)
        return debt

    def _charge(
        self, operation_id: str, kind: TransferKind, amount: int, call_id: str, at_us: int
    ) -> list[Transfer]:
        """Take what is available of `amount`; the rest is owed by the write-off account."""
        available = self.available
        paid = amount if amount <= available else max(available, 0)
        transfers = self._burn(paid, operation_id, kind, REVENUE, call_id, at_us)
        if amount > paid:
            transfers.append(
                self._written_off(
                    operation_id, len(transfers), REVENUE, amount - paid, call_id, None, at_us
                )
            )
        return transfers

    def _burn(
        self,
        amount: int,
        operation_id: str,
        kind: TransferKind,
        to: str,
        call_id: str | None,
        at_us: int,
        *,
        first: int = 0,
        before: Lot | None = None,
    ) -> list[Transfer]:
        """Move `amount` to another account, a transfer for each lot it comes from.

        Lots are spent in burn order, after `before`; what none covers is overdraft. Transfers
        are numbered from `first`.
        """
        self.balance -= amount
        lots: Iterable[Lot] = self.lots
        if len(self.lots) > 1:
            lots = sorted(self.lots, key=Lot.burn_order)
        if before is not None:
            lots = (before, *lots)
        transfers: list[Transfer] = []
        for lot in lots:
            if not amount:
                break
            left = lot.remaining
            if not left or not lot.posted:
                continue
            taken = min(left, amount)
            lot.remaining = left - taken
            amount -= taken
            self.touched.add(lot.id)
            transfers.append(
                Transfer(
                    self.id,
                    operation_id,
                    first + len(transfers),
                    kind,
                    self.id,
                    to,
                    taken,
                    lot.id,
                    call_id,
                    at_us,
                )
            )
        if amount:
            seq = first + len(transfers)
            transfers.append(
                Transfer(
                    self.id, operation_id, seq, kind, self.id, to, amount, None, call_id, at_us
                )
            )
        return transfers

    def _written_off(
        self,
        operation_id: str,
        seq: int,
        to: str,
        amount: int,
        call_id: str | None,
        lot_id: str | None,
        at_us: int,
    ) -> Transfer:
        return Transfer(
            self.id, operation_id, seq, "write_off", WRITE_OFF, to, amount, lot_id, call_id, at_us
        )
