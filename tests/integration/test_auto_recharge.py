"""Automatic top-ups with localstripe: saved cards, charges nobody is present for, declines."""

import time
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from tests.hub import HubProcess
from tests.shop import Shop
from tests.upstream.localstripe import DECLINED, GOOD, KEY, NEEDS_A_PERSON, SECRET, LocalStripe
from tests.visitor import ask

from aigne_hub.billing.payments import (
    ChargeResult,
    ChargeStatus,
    PaymentDeclined,
    PaymentUnavailable,
)
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.orders import OrderState
from aigne_hub.payments.recharger import Recharger
from aigne_hub.server.duties import Duties
from aigne_hub.storage import customers, grants, payment_events, recharges, schema, users
from aigne_hub.storage.engine import writing

PATH = "/api/user/credit/auto-recharge"
RULE = {"enabled": True, "threshold": "5", "credits": "20", "attempts_a_day": 2}
WEBHOOK_S = 60.0


@dataclass
class Account:
    """Somebody with a saved card, or without."""

    hub: HubProcess
    shop: Shop
    user: Any
    key: str

    def agree(self, **more):
        return ask(self.hub, "PUT", PATH, body={**RULE, **more}, key=self.key)

    @property
    def rule(self):
        return self.shop.read(lambda view: recharges.find(view, self.user.id))

    @property
    def balance(self):
        return self.shop.balance(self.user)

    @property
    def orders(self):
        return self.shop.orders(account_id=self.user.id)

    def grant(self, credits_):
        hub = self.shop.hub
        with self.shop.cashier.changing("test") as change:
            nano = credits_ * 1_000_000_000
            grants.grant(change.connection, hub.clock, hub.ids, self.user.id, nano)
            change.audit("test", self.user.id)


@pytest.fixture(scope="module")
def stripe(tmp_path_factory):
    with LocalStripe(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory, stripe):
    account = {"secret_key": KEY, "webhook_secret": SECRET, "api_base": stripe.address}
    config = {"billing": {"enabled": True, "payments": {"stripe": account}}}
    with HubProcess(tmp_path_factory.mktemp("hub"), config) as running:
        stripe.deliver_to(f"{running.address}/webhooks/stripe")
        yield running


@pytest.fixture(scope="module")
def shop(hub):
    """The tests look after top-ups, so the hub must not: its job was done an hour from now."""
    with Shop(hub) as opened:
        later = opened.hub.clock.now_us() + 3_600_000_000
        with writing(opened.hub.engine) as connection:
            connection.execute(insert(schema.job).values(name="orders", last_run_us=later))
        yield opened


@pytest.fixture
def account(hub, shop, stripe, request):
    user, key = shop.customer(f"{abs(hash(request.node.name))}@example.com")
    yield Account(hub, shop, user, key)
    with shop.cashier.changing("test") as change:
        users.disable(change, user)  # so that no other test tops it up
    shop.verified()


def save(account, card, stripe):
    with account.shop.cashier.changing("test") as change:
        name = stripe.customer(card)
        customers.remember(change, account.user.id, "stripe", name, card_saved=True)
        change.audit("test", account.user.id)
    return name


def run(account, **more):
    desk = replace(account.shop.cashier, **more)
    return Recharger(desk).run()


def events(account, order):
    return account.shop.read(
        lambda view: payment_events.listed(view, order_id=order.order.id, limit=10)
    )


def test_an_account_that_runs_low_is_topped_up_once(account, stripe):
    save(account, GOOD, stripe)
    agreed = account.agree()
    assert agreed.status == 200, agreed.text
    assert agreed.json["amount_a_day"] == "60.00"
    run(account)
    run(account)
    (order,) = account.orders
    assert (account.balance, order.state, order.order.reason.value) == (
        "20",
        OrderState.PAID,
        "auto_recharge",
    )
    # The webhook of the same charge arrives, passes the signature check and credits nothing.
    deadline = time.monotonic() + WEBHOOK_S
    while not any(one["event_id"].startswith("evt_") for one in events(account, order)):
        assert time.monotonic() < deadline, account.hub.log()[-2000:]
        time.sleep(0.1)
    found = {one["event_id"][:4]: one["outcome"] for one in events(account, order)}
    assert found == {"char": "applied", "evt_": "applied"}
    assert account.balance == "20"
    refunded = account.shop.cashier.refund("test", order.order.id, 500)
    assert (refunded.order.returned, account.balance) == (500, "15")


def test_nobody_is_charged_above_the_threshold_or_when_it_is_off(account, stripe):
    save(account, GOOD, stripe)
    account.grant(5)
    account.agree()
    run(account)
    assert account.orders == []
    account.agree(threshold="6", enabled=False)
    run(account)
    assert account.orders == []
    account.agree(threshold="6")
    run(account)
    assert account.balance == "25"


def test_a_days_attempts_and_amount_are_its_most(account, stripe):
    save(account, GOOD, stripe)
    account.agree(threshold="1000")
    for _ in range(4):
        run(account)
    assert account.balance == "40"
    assert account.rule.retry_us is not None
    account.agree(threshold="1000", attempts_a_day=9, amount_a_day="59.99")
    run(account)
    assert account.balance == "40"
    account.agree(threshold="1000", attempts_a_day=9, amount_a_day="60.00")
    run(account)
    run(account)
    assert account.balance == "60"


def test_a_declined_card_rests_and_then_is_given_up(account, stripe):
    save(account, DECLINED, stripe)
    account.agree(attempts_a_day=9)
    run(account)
    rule = account.rule
    assert (rule.enabled, rule.failures, rule.retry_us is None) == (True, 1, False)
    (order,) = account.orders
    assert (order.state, order.failure, account.balance) == (
        OrderState.FAILED,
        "card_declined",
        "0",
    )
    run(account)
    assert len(account.orders) == 1
    for _ in range(2):
        with account.shop.cashier.changing("test") as change:
            recharges.postpone(change, account.rule, 1, "the test does not wait")
        run(account)
    assert (account.rule.enabled, account.rule.disabled_reason) == (False, "card_declined")
    shown = ask(account.hub, "GET", PATH, key=account.key).json
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "card_declined")
    assert len(account.orders) == 3


def test_a_card_that_needs_a_person_is_given_up_at_once(account, stripe):
    save(account, NEEDS_A_PERSON, stripe)
    account.agree()
    run(account)
    assert (account.rule.enabled, account.rule.disabled_reason) == (
        False,
        "authentication_required",
    )


def test_a_customer_without_a_card_is_given_up_at_once(account, stripe):
    name = stripe.client.v1.customers.create({"email": "ada@example.com"}).id
    with account.shop.cashier.changing("test") as change:
        customers.remember(change, account.user.id, "stripe", name, card_saved=True)
        change.audit("test", account.user.id)
    account.agree()
    run(account)
    assert account.rule.disabled_reason == "no_saved_card"


class Card:
    """A provider whose answers a test decides; everything else is the real one's."""

    def __init__(self, real, *answers):
        self.charges = []
        self._real = real
        self._answers = list(answers)

    def __getattr__(self, name):
        return getattr(self._real, name)

    def charge_off_session(self, charge):
        self.charges.append(charge)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def through(account, *answers):
    card = Card(account.shop.cashier.providers["stripe"], *answers)
    return card, {"providers": {"stripe": card}}


def test_an_answer_that_was_lost_leads_to_the_same_charge(account, stripe):
    save(account, GOOD, stripe)
    account.agree()
    lost = PaymentUnavailable("The connection broke.")
    card, desk = through(account, lost, lost, ChargeResult(ChargeStatus.SUCCEEDED, "pi_lost"))
    for _ in range(3):
        run(account, **desk)
    assert len({charge.order_id for charge in card.charges}) == 1
    assert (len(card.charges), account.balance) == (3, "20")


def test_a_charge_under_way_waits_for_its_event(account, stripe):
    save(account, GOOD, stripe)
    account.agree()
    card, desk = through(account, ChargeResult(ChargeStatus.PROCESSING, "pi_slow"))
    for _ in range(3):
        run(account, **desk)
    (order,) = account.orders
    assert (len(card.charges), order.state, account.balance) == (1, OrderState.OPEN, "0")
    assert order.order.external_id == "pi_slow"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (InvalidRequest("no such customer"), "refused_by_provider"),
        (PaymentDeclined("lost_card", final=True), "lost_card"),
    ],
)
def test_what_cannot_get_better_is_given_up(account, stripe, answer, reason):
    save(account, GOOD, stripe)
    account.agree()
    _, desk = through(account, answer)
    run(account, **desk)
    assert (account.rule.enabled, account.rule.disabled_reason) == (False, reason)
    assert account.balance == "0"


def test_a_disabled_user_is_not_charged(account, stripe):
    save(account, GOOD, stripe)
    account.agree()
    with account.shop.cashier.changing("test") as change:
        users.disable(change, account.user)
    run(account)
    assert account.orders == []
    with account.shop.cashier.changing("test") as change:
        users.enable(change, users.find(change.connection, account.user.id))


def test_a_hub_looks_after_orders_by_itself(account, stripe):
    """What the duty does, run once: top up who runs low, and end what nobody paid in time."""
    save(account, GOOD, stripe)
    account.agree()
    hub = account.shop.hub
    with writing(hub.engine) as connection:
        connection.execute(delete(schema.job).where(schema.job.c.name == "orders"))
    duties = Duties.__new__(Duties)
    duties._worker = SimpleNamespace(hub=hub, process_id="test")
    duties._recharge()
    assert account.balance == "20"
    duties._recharge()
    with writing(hub.engine) as connection:
        later = {"last_run_us": hub.clock.now_us() + 3_600_000_000}
        connection.execute(update(schema.job).values(later).where(schema.job.c.name == "orders"))


def test_agreeing_needs_a_card_that_was_saved(account):
    answer = account.agree()
    assert (answer.status, answer.code) == (409, "conflict")
    assert "save_card" in answer.json["error"]["message"]
    assert ask(account.hub, "GET", PATH, key=account.key).status == 404
    assert account.agree(enabled=False).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": "-1"},
        {"threshold": "abc"},
        {"credits": "0"},
        {"credits": "1.005"},
        {"credits": 20},
        {"attempts_a_day": 0},
        {"attempts_a_day": 21},
        {"attempts_a_day": True},
        {"amount_a_day": "19.99"},
        {"amount_a_day": "1.005"},
        {"enabled": "yes"},
        {"other": 1},
    ],
)
def test_what_cannot_be_agreed_to_is_refused(account, wrong):
    answer = account.agree(**{"enabled": False, **wrong})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert account.rule is None
