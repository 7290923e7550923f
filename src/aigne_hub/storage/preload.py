"""Which rows a batch needs before it can be folded: read at once, where a read is a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aigne_hub.domain.idempotency import Claimed
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Counter
from aigne_hub.domain.lots import Lot
from aigne_hub.domain.operations import Open, Progress, Settle
from aigne_hub.storage.batch import counter_ids
from aigne_hub.storage.fold import Operation


@dataclass(slots=True)
class Needed:
    """Keys of rows. Lots are needed of accounts `charged`, and of those due by `as_of_us`."""

    accounts: set[str] = field(default_factory=set)
    charged: set[str] = field(default_factory=set)
    counters: set[str] = field(default_factory=set)
    claims: set[bytes] = field(default_factory=set)
    as_of_us: int = 0


def needed(operations: Sequence[Operation], now_us: int) -> Needed:
    """Return what Fold will ask for at `now_us`; what it finds missing does not exist."""
    found = Needed(counters=counter_ids(operations, now_us), as_of_us=now_us)
    for op in operations:
        if type(op) is Open:
            if op.refusal is None and op.quote is not None:
                found.accounts.add(op.account_id)
            if op.claim is not None:
                found.claims.add(op.claim.key_digest)
        elif type(op) is Settle:
            if op.billed:
                found.accounts.add(op.account_id)
                found.as_of_us = max(found.as_of_us, op.ended_us)
                if op.charge:
                    found.charged.add(op.account_id)
        elif type(op) is Progress and op.extend_by:
            found.accounts.add(op.account_id)
    return found


@dataclass(frozen=True, slots=True)
class Loaded:
    """storage.batch.View over rows that were read, and locked, before.

    Raises LookupError for a row that was not asked for: it may well exist.
    """

    need: Needed
    accounts: Mapping[str, tuple[Account, int | None]]
    lots_by_account: Mapping[str, list[Lot]]
    counters: Mapping[str, Counter]
    claims: Mapping[bytes, Claimed]

    def account(self, account_id: str) -> tuple[Account, int | None] | None:
        _require(account_id in self.need.accounts, "account")
        return self.accounts.get(account_id)

    def lots(self, account_id: str) -> list[Lot]:
        _, due_us = self.accounts[account_id]
        due = due_us is not None and due_us <= self.need.as_of_us
        _require(due or account_id in self.need.charged, "lots")
        return self.lots_by_account.get(account_id, [])

    def counter(self, counter_id: str) -> Counter | None:
        _require(counter_id in self.need.counters, "counter")
        return self.counters.get(counter_id)

    def claim(self, key_digest: bytes) -> Claimed | None:
        _require(key_digest in self.need.claims, "claim")
        return self.claims.get(key_digest)


def _require(asked: bool, what: str) -> None:
    if not asked:
        raise LookupError(f"the batch reads a {what} that was not read before it")
