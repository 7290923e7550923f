"""A running hub's books and accounts, read and written without starting a command each time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import urandom
from typing import Any, Self

from aigne_hub.bootstrap import open_hub
from aigne_hub.domain.access import Role
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.pricing import BLOCK
from aigne_hub.domain.windows import Window
from aigne_hub.settings import load_settings
from aigne_hub.storage import accounts, grants, keys, users
from aigne_hub.storage import limits as limits_of
from aigne_hub.storage.calls import list_calls, show_call
from aigne_hub.storage.changes import Changes, changes
from aigne_hub.storage.engine import reading, writing
from tests.hub import HubProcess
from tests.patience import PATIENCE_S

NO_LIMITS = keys.Limits()
# A change reaches every process within a second (contract, section 2), one with other work later.
NOTICED_S = 2.5


@dataclass(frozen=True, slots=True)
class Customer:
    """A user with an account and a key of its own. Amounts are nano-credits."""

    books: "Books"
    user: users.User
    key: str = field(repr=False)
    key_id: str = ""

    @property
    def account(self) -> Any:
        return self.books.read(lambda view: accounts.load(view, self.user.id, lock=False))

    @property
    def balance(self) -> int:
        return int(self.account.balance)

    @property
    def held(self) -> int:
        return int(self.account.held)

    def calls(self) -> list[dict[str, Any]]:
        """Return this customer's calls, newest first."""
        return self.books.read(
            lambda view: list(list_calls(view, user=self.user, status=None, limit=1000))
        )

    def call(self) -> dict[str, Any]:
        """Return the only call of this customer, once it is closed."""
        return self.closed(1)[0]

    def closed(self, count: int, within_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        deadline = time.monotonic() + within_s
        while True:
            calls = self.calls()
            if len(calls) == count and all(call["status"] != "processing" for call in calls):
                return calls
            assert time.monotonic() < deadline, f"not {count} closed calls: {calls[:3]}"
            time.sleep(0.02)

    def held_when(self, condition: Callable[[int], bool], within_s: float = PATIENCE_S) -> int:
        """Return what is held once `condition` is true of it."""
        deadline = time.monotonic() + within_s
        while not condition(held := self.held):
            assert time.monotonic() < deadline, f"held {held}"
            time.sleep(0.01)
        return held


class Books:
    """The database of a hub that is serving; `customers` is how many were made."""

    def __init__(self, process: HubProcess) -> None:
        settings = load_settings(process.environment(), data_dir=process.folder)
        self._hub = open_hub(settings, process.environment())
        self.customers = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def let_go(self) -> None:
        """Keep no connection open, so that a hub that dies was the database's only user."""
        self._hub.engine.dispose()

    def read(self, query: Callable[[Any], Any]) -> Any:
        with reading(self._hub.engine) as view:
            return query(view)

    def call(self, call_id: str) -> dict[str, Any]:
        """Return what `calls show` prints."""
        return dict(self.read(lambda view: show_call(view, call_id)))

    def customer(
        self,
        nano: int = 0,
        *,
        models: Sequence[str] = (),
        overdraft: int | None = None,
        limits: keys.Limits = NO_LIMITS,
    ) -> Customer:
        """Create a customer with `nano` of credit."""
        hub = self._hub
        self.customers += 1
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            user = users.create(
                change,
                hub.keyring,
                urandom,
                email=f"customer{self.customers}@example.com",
                role=Role.MEMBER,
                overdraft=overdraft,
            )
            made = keys.create(
                change,
                hub.keyring,
                urandom,
                hub.pepper,
                user=user,
                models=tuple(models),
                limits=limits,
            )
            if nano:
                grants.grant(change.connection, hub.clock, hub.ids, user.id, nano)
        return Customer(self, user, made.text, made.record.id)

    def change(self, make: Callable[[Changes], Any]) -> None:
        """Make one administrative change."""
        hub = self._hub
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            make(change)

    def execute(self, statements: Mapping[str, Sequence[str]]) -> None:
        """Run the statements for this kind of database."""
        with writing(self._hub.engine) as connection:
            for statement in statements[self._hub.engine.dialect.name]:
                connection.exec_driver_sql(statement)

    def grant(self, customer: Customer, nano: int, *, lasts_s: float | None = None) -> None:
        """Give a customer credit; with `lasts_s` returns when it has expired."""
        hub = self._hub
        with writing(hub.engine) as connection:
            expires_us = None if lasts_s is None else hub.clock.now_us() + int(lasts_s * 1e6)
            terms = grants.Terms(expires_us=expires_us)
            grants.grant(connection, hub.clock, hub.ids, customer.user.id, nano, terms)
        time.sleep(lasts_s or 0)

    def second_key(self, customer: Customer) -> Customer:
        """Return the same customer with another key."""
        hub = self._hub
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            made = keys.create(change, hub.keyring, urandom, hub.pepper, user=customer.user)
        return Customer(self, customer.user, made.text, made.record.id)

    def limit(
        self,
        subject: Subject,
        name: str,
        measure: Measure,
        window: Window,
        amount: int,
        zone: str = "UTC",
    ) -> Limit:
        """Set a limit. Keys that have called before, and projects, take a second to notice."""
        hub = self._hub
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            return limits_of.put(change, subject, name, measure, window, amount, zone)

    def used(self, limit: Limit) -> tuple[int, int]:
        """Return what is used and held of a limit now."""
        now = self._hub.clock.now_us()
        (usage,) = self.read(lambda view: limits_of.used(view, [limit], now))
        return usage.counter.used, usage.counter.held


def nano(credits_: str) -> int:
    return parse_credits(credits_)


def price(call: dict[str, Any], rates: dict[str, str]) -> int:
    """Return what a call's own columns cost at `rates` of hub.yaml, in integers alone."""
    per_million = {unit: nano(amount) for unit, amount in rates.items()}
    cached = per_million.get("cache_read", per_million.get("input", 0))
    numerator = (
        call["input_tokens"] * per_million.get("input", 0)
        + call["output_tokens"] * per_million.get("output", 0)
        + call["cache_read_tokens"] * cached
        + call["units"] * per_million.get("image", 0) * BLOCK
        + per_million.get("request", 0) * BLOCK
    )
    whole, rest = divmod(numerator, BLOCK)
    return whole + (2 * rest >= BLOCK)
