"""What one batch of operations reads, each thing once: accounts, counters and claims.

Each part keeps what was loaded, lets the use cases change it in memory, and gives the rows
to write at the end: one for each thing, however many operations moved it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from aigne_hub.domain.errors import Conflict, HubError, IdempotencyMismatch
from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.idempotency import Claimed
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Counter, Limit, Measure, Subject, measure_of
from aigne_hub.domain.lots import Lot
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Open

# Named tuples are rows too.
Row = tuple[Any, ...]


class View(Protocol):
    """Reads inside the batch's transaction; the rows are locked until it ends."""

    def account(self, account_id: str) -> tuple[Account, int | None] | None:
        """Return an account and the earliest instant at which time changes it."""
        ...

    def lots(self, account_id: str) -> list[Lot]: ...

    def counter(self, counter_id: str) -> Counter | None: ...

    def claim(self, key_digest: bytes) -> Claimed | None: ...


class Accounts:
    """The customer accounts of a batch."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._accounts: dict[str, Account | None] = {}
        self._with_lots: set[str] = set()
        self._due: dict[str, int | None] = {}
        self.transfers: list[Row] = []

    def get(self, account_id: str, now_us: int) -> Account | None:
        """Return an account as of now: what time alone does is posted when it is first read."""
        try:
            return self._accounts[account_id]
        except KeyError:
            pass
        loaded = self._view.account(account_id)
        if loaded is None:
            self._accounts[account_id] = None
            return None
        account, due = loaded
        self._accounts[account_id] = account
        self._due[account_id] = due
        self.advance(account, now_us)
        return account

    def with_lots(self, account: Account) -> None:
        if account.id not in self._with_lots:
            self._with_lots.add(account.id)
            account.lots = self._view.lots(account.id)

    def advance(self, account: Account, now_us: int) -> None:
        due = self._due[account.id]
        if due is not None and due <= now_us:
            self.with_lots(account)
            self.transfers.extend(account.advance(now_us))

    def rows(self) -> list[Row]:
        return [
            (account.balance, account.held, self._next_due(account), account.id)
            for account in self._accounts.values()
            if account is not None
        ]

    def lot_rows(self) -> list[Row]:
        return [
            (lot.remaining, lot.posted, lot.id)
            for account in self._accounts.values()
            if account is not None and account.touched
            for lot in account.lots
            if lot.id in account.touched
        ]

    def _next_due(self, account: Account) -> int | None:
        if account.id not in self._with_lots:
            return self._due[account.id]
        return account.due_us()


class Counters:
    """The limits' counters of a batch, and the alerts they gave."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._counters: dict[str, Counter] = {}
        self.events: list[Row] = []

    def of(self, limit: Limit, now_us: int) -> Counter:
        """Return the counter of a limit's current window, at the limit's current amount."""
        counter = self.get(limit.counter_id(now_us))
        counter.limit_to(limit.amount)
        counter.until_us = limit.span(now_us).end_us
        return counter

    def get(self, counter_id: str) -> Counter:
        counter = self._counters.get(counter_id)
        if counter is None:
            counter = self._view.counter(counter_id) or Counter(counter_id)
            self._counters[counter_id] = counter
        return counter

    def alert(
        self, counters: Iterable[Counter], account_id: str, now_us: int, *, refused: bool = False
    ) -> None:
        """Note each spending limit that newly reached one of its percentages."""
        for counter in counters:
            if measure_of(counter.id) is not Measure.CREDITS:
                continue
            percent = counter.crossed(refused=refused)
            if percent is not None:
                self.events.append(_limit_reached(counter, percent, account_id, now_us))

    def rows(self) -> list[Row]:
        return [
            (c.id, c.used, c.held, c.amount, c.alerted, c.until_us) for c in self._counters.values()
        ]


class Claims:
    """The idempotency keys of a batch."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._claims: dict[bytes, Claimed | None] = {}
        self.stale: list[Row] = []
        self.taken: list[Row] = []

    def meet(self, opened: Open, now_us: int) -> Claimed | HubError | None:
        """Return the complete claim to replay, the error to answer, or None for a free key."""
        assert opened.claim is not None
        digest = opened.claim.key_digest
        if digest not in self._claims:
            self._claims[digest] = self._view.claim(digest)
        found = self._claims[digest]
        if found is None:
            return None
        if not found.live(now_us):
            self.stale.append((digest,))
            return None
        if found.body_digest != opened.claim.body_digest:
            return IdempotencyMismatch(
                "This Idempotency-Key was used with another body. Use a new key for a new request."
            )
        if not found.complete:
            return Conflict(
                f"The call with this Idempotency-Key is still running ({found.call_id}). "
                "Retry shortly."
            )
        if not found.kept:
            return Conflict(
                f"The call with this Idempotency-Key was charged ({found.call_id}), and its "
                "answer was not kept: it was cut short or too large."
            )
        return found

    def take(self, opened: Open, now_us: int) -> None:
        assert opened.claim is not None
        claim = opened.claim
        self._claims[claim.key_digest] = Claimed(
            claim.key_digest, claim.body_digest, opened.call_id, now_us
        )
        self.taken.append((claim.key_digest, claim.body_digest, opened.call_id, now_us))


def counter_ids(operations: Sequence[Any], now_us: int) -> set[str]:
    """Return every counter a batch will read, for stores that lock rows before they fold."""
    found: set[str] = set()
    for operation in operations:
        found.update(getattr(operation, "counters", ()))
        for limit in getattr(operation, "limits", ()):
            found.add(limit.counter_id(now_us))
    return found


def _limit_reached(counter: Counter, percent: int, account_id: str, now_us: int) -> Row:
    """Return the event's row; its id makes it one event, whoever saw it first.

    A project's limit is spent by several accounts, so it is news for the operator alone.
    """
    limit = counter.id.rpartition("@")[0]
    bound, _, window = limit.rpartition("/")
    subject, _, name = bound.rpartition("/")[0].partition(":")
    payload = {
        "limit": limit,
        "subject": subject,
        "name": name,
        "window": window,
        "percent": percent,
        "used": format_credits(counter.used),
        "amount": format_credits(counter.amount),
        "resets_at": None if counter.until_us is None else format_instant(counter.until_us),
    }
    return (
        event_id(EventType.LIMIT_REACHED, counter.id, str(counter.amount), str(percent)),
        EventType.LIMIT_REACHED.value,
        None if subject == Subject.PROJECT.value else account_id,
        json.dumps(payload),
        now_us,
    )
