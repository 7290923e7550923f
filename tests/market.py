"""A hub that sells: priced models, customers, and their calls, without a server."""

from collections.abc import Sequence
from typing import Any

from aigne_hub.domain.access import Role
from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.operations import Attempt, Open, Reason, Settle
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import calls, declarations, grants, prices, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.declarations import Origin
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.verify import verify
from tests.batches import Batches

CREDIT = 1_000_000_000


class Market:
    """Calls are priced as the gateway prices them: at the newest version, or at `version`."""

    def __init__(self, hub: Any, batches: Batches) -> None:
        self.hub = hub
        self.batches = batches

    def changing(self) -> Any:
        return changes(self.hub.engine, self.hub.clock, self.hub.ids, actor="test")

    def model(self, ref: str, rates: Any, cost: Any = None, *, kind: str = "chat") -> None:
        provider, _, name = ref.partition("/")
        with self.changing() as change:
            declarations.put_provider(
                change, provider, kind="openai", base_url=None, origin=Origin.API
            )
            put = declarations.put_model(
                change, provider, name, type=kind, max_output_tokens=1_000,
                context_tokens=10_000, origin=Origin.API,
            )  # fmt: skip
            declarations.put_rates(change, put.id, rates, cost=cost or {}, source="test")

    def price(self, ref: str, rates: Any, cost: Any = None) -> int:
        """Give a model other prices; return the version."""
        with self.changing() as change:
            priced = prices.model_named(change.connection, ref)
            prices.set_prices(change, priced, rates, cost or priced.cost, "test")
            return prices.history(change.connection, priced.model_id)[0].version

    def customer(self, credit: int = 0, *, overdraft: int = 0) -> users.User:
        with self.changing() as change:
            user = users.create(
                change, self.hub.keyring, self.hub.randbytes,
                email=f"{self.hub.ids()}@example.com", role=Role.MEMBER, overdraft=overdraft,
            )  # fmt: skip
        if credit:
            self.give(user, credit)
        return user

    def give(self, user: users.User, credit: int) -> None:
        with writing(self.hub.engine) as connection:
            grants.grant(connection, self.hub.clock, self.hub.ids, user.id, credit)

    def call(
        self,
        user: users.User,
        ref: str,
        usage: Usage | None,
        *,
        version: int | None = None,
        hold: int | None = None,
        outcome: Outcome = Outcome.COMPLETED,
        billed: bool = True,
        settle: bool = True,
        failed: Sequence[Attempt] = (),
        delivered: bool = True,
    ) -> str:
        """Open a call and settle it; `hold` is what it may hold, by default its price.

        `failed` are its attempts before the one that delivered, if one did.
        """
        newest = self.version(ref, version)
        price, cost = RateCard.of(newest.id, newest.amounts), RateCard.of("", newest.cost)
        charge = 0 if usage is None or not billed else price.cost(usage)
        held = max(charge, 1) if hold is None else hold
        opened = Open(
            call_id=self.hub.ids(),
            account_id=user.id,
            user_did=user.did,
            app_did="d",
            key_id="k",
            type="chat",
            model=ref,
            rate_id=newest.id if billed else None,
            stream=False,
            input_counted=1,
            request_id="r",
            started_us=self.hub.clock.now_us(),
            quote=Quote(held * 1_000_000, 0, 0, 0) if billed else None,
        )
        (admission,) = self.batches.apply(opened)
        if not settle:
            return opened.call_id
        now = self.hub.clock.now_us()
        paid = cost.cost(usage) if usage is not None and newest.cost else None
        last = Attempt(
            "openai", "main", 200, None, now, 5, ref, Reason.CHOSEN, paid if failed else None
        )
        self.batches.apply(
            Settle(
                call_id=opened.call_id,
                account_id=user.id,
                outcome=outcome,
                held=admission.held,
                charge=admission.held if outcome is Outcome.CUT_OFF else charge,
                usage=usage,
                usage_source=None if usage is None else UsageSource.PROVIDER,
                provider="openai",
                credential="main",
                ended_us=now,
                duration_us=1,
                ttfb_us=1,
                billed=billed,
                model=ref,
                attempts=[*failed, *([last] if delivered else [])],
                cost=paid,
                error_code=None if delivered else "upstream_error",
            )
        )
        return opened.call_id

    def version(self, ref: str, version: int | None = None) -> prices.Version:
        with reading(self.hub.engine) as view:
            history = prices.history(view, prices.model_named(view, ref).model_id)
        return history[0] if version is None else history[-version]

    def show(self, call_id: str) -> dict[str, Any]:
        with reading(self.hub.engine) as view:
            return calls.show_call(view, call_id)

    def balance(self, user: users.User) -> grants.Balance:
        with reading(self.hub.engine) as view:
            return grants.balance(view, self.hub.clock, user.id)

    def assert_in_order(self) -> None:
        with reading(self.hub.engine) as view:
            assert [check for check in verify(view) if not check.ok] == []
