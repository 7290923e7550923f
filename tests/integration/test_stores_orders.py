"""Orders and what providers report of them: once each, in any order, and nothing invented."""

import json
from dataclasses import replace
from itertools import permutations

import pytest
from sqlalchemy import func, select

from aigne_hub.billing.payments import Checkout, EventKind, PaymentEvent
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.orders import OrderState, Reason, ReturnKind, ReturnState
from aigne_hub.domain.recharge import FAILURES_MAX, Rule
from aigne_hub.storage import (
    accounts,
    customers,
    grants,
    orders,
    payment_events,
    recharges,
    schema,
    users,
)
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.payment_events import Outcome
from aigne_hub.storage.verify import verify

CREDITS = 10 * NANO_PER_CREDIT
AMOUNT = 1_000


@pytest.fixture
def account(hub):
    with changing(hub) as change:
        make = (change, hub.keyring, hub.randbytes)
        return users.create(*make, email="ada@example.com", role=Role.MEMBER).id


def changing(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def ordered(hub, change, account, **more):
    wanted = {"provider": "stripe", "reason": Reason.CHECKOUT, "expires_us": hub.clock.us + 10**9}
    record = orders.create(
        change,
        hub.randbytes,
        account_id=account,
        credits_=CREDITS,
        amount=AMOUNT,
        currency="usd",
        **{**wanted, **more},
    )
    if record.order.reason is Reason.CHECKOUT:
        checkout = Checkout("https://pay.example/1", f"cs_{record.order.id}", record.expires_us)
        orders.attach(change, record.order.id, checkout)
    return orders.load(change.connection, record.order.id)


def made(hub, account, **more):
    with changing(hub) as change:
        return ordered(hub, change, account, **more).order


def paid(order, number=1, **more):
    event = PaymentEvent(
        provider=order.provider,
        id=f"evt_paid_{number}_{order.id}",
        kind=EventKind.PAID,
        order_id=order.id,
        reason=Reason.CHECKOUT,
        external_ids=(f"cs_{order.id}",),
        payment_ref=f"pi_{order.id}",
        amount=AMOUNT,
        currency="usd",
    )
    return replace(event, **more)


def returned(order, kind, state, amount, number=1, **more):
    event = PaymentEvent(
        provider=order.provider,
        id=f"evt_{kind}_{state}_{number}_{order.id}",
        kind=EventKind.RETURN,
        payment_ref=f"pi_{order.id}",
        return_id=f"{kind}_{number}_{order.id}",
        return_kind=kind,
        return_state=state,
        amount=amount,
        currency="usd",
    )
    return replace(event, **more)


def ended(order, kind, **more):
    event = PaymentEvent(
        provider=order.provider,
        id=f"evt_{kind}_{order.id}",
        kind=kind,
        order_id=order.id,
        external_ids=(f"cs_{order.id}",),
    )
    return replace(event, **more)


def apply(hub, *events):
    with changing(hub) as change:
        return [payment_events.apply(change, event) for event in events]


def balance(hub, account):
    with reading(hub.engine) as view:
        return grants.balance(view, hub.clock, account).balance


def shown(hub, order):
    with reading(hub.engine) as view:
        return orders.load(view, order.id)


def spend(hub, account, amount):
    """Take credit away, as calls do, leaving books in which only the calls are missing."""
    with writing(hub.engine) as connection:
        loaded = accounts.load(connection, account, lock=True)
        now = hub.clock.now_us()
        operation = hub.ids()
        accounts.save(connection, loaded, loaded.adjust(operation, amount, operation, now))


def failing(hub):
    with reading(hub.engine) as view:
        return [check.name for check in verify(view) if not check.ok]


def test_a_payment_becomes_credit_in_the_commit_that_records_it(hub, account):
    order = made(hub, account)
    (done,) = apply(hub, paid(order))
    record = shown(hub, order)
    assert (done.outcome, record.state) == (Outcome.APPLIED, OrderState.PAID)
    assert record.paid_us is not None
    assert balance(hub, account) == CREDITS
    with reading(hub.engine) as view:
        (entry,) = grants.history(view, account, 10)
        assert (entry.debit, entry.grant_id) == ("funding:stripe", record.grant_id)
        assert grants.find_by_reference(view, f"order/{order.id}") == record.grant_id
    assert failing(hub) == []


def told(hub):
    """Return what webhooks are told, in the order it happened."""
    event = schema.event.c
    with reading(hub.engine) as view:
        rows = view.execute(
            select(event.type, event.account_id, event.payload).order_by(event.created_us)
        )
        return [(row.type, row.account_id, json.loads(row.payload)) for row in rows]


def test_what_happens_to_an_order_is_told_once_and_in_its_own_commit(hub, account):
    order = made(hub, account)
    life = (
        paid(order),
        paid(order, 2),
        returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, 300),
        returned(order, ReturnKind.TOTAL, ReturnState.ACTIVE, 300),
        returned(order, ReturnKind.DISPUTE, ReturnState.INQUIRY, 700, 2),
        returned(order, ReturnKind.DISPUTE, ReturnState.ACTIVE, 700, 2),
        returned(order, ReturnKind.DISPUTE, ReturnState.UNDONE, 700, 2),
        ended(order, EventKind.FAILED),
    )
    for event in life:
        apply(hub, event, event)
    apply(hub, *life, paid(order, 3, amount=1))  # refused: told to nobody
    found = told(hub)
    assert [(kind, data.get("change"), data["state"]) for kind, _, data in found] == [
        ("payment.paid", None, "paid"),
        ("payment.refunded", "-3", "paid"),
        ("payment.disputed", "-7", "disputed"),
        ("payment.restored", "7", "paid"),
    ]
    assert {owner for _, owner, _ in found} == {account}
    assert found[1][2] == {
        "order_id": order.id,
        "reference": shown(hub, order).reference,
        "provider": "stripe",
        "state": "paid",
        "credits": "10",
        "amount": "10.00",
        "currency": "usd",
        "returned": "3.00",
        "credits_taken": "3",
        "credits_written_off": "0",
        "change": "-3",
    }


def test_a_change_that_is_not_committed_is_told_to_nobody(hub, account):
    order = made(hub, account)
    with pytest.raises(RuntimeError), changing(hub) as change:  # noqa: PT012 - the change dies
        payment_events.apply(change, paid(order))
        raise RuntimeError
    assert told(hub) == []


def test_declined_top_ups_are_told_until_the_hub_gives_up(hub, account):
    with changing(hub) as change:
        customers.remember(change, account, "stripe", "cus_1", card_saved=True)
        recharges.agree(change, Rule(account, "stripe", True, 1, CREDITS, 3, 9 * AMOUNT), AMOUNT)
    tried = [made(hub, account, reason=Reason.AUTO_RECHARGE)]
    for number in range(FAILURES_MAX):
        failed = ended(tried[-1], EventKind.FAILED, failure=f"no {number}", external_ids=())
        apply(hub, failed, failed, replace(failed, id=f"evt_again_{number}"))
        tried.append(made(hub, account, reason=Reason.AUTO_RECHARGE))
    last = paid(tried[-1], reason=Reason.AUTO_RECHARGE)
    apply(hub, last, last)
    found = told(hub)
    assert [(kind, data.get("failures"), data.get("failure")) for kind, _, data in found] == [
        ("auto_recharge.failed", 1, "no 0"),
        ("auto_recharge.failed", 2, "no 1"),
        ("auto_recharge.failed", 3, "no 2"),
        ("auto_recharge.disabled", 3, None),
        ("payment.paid", None, None),
        ("auto_recharge.succeeded", None, None),
    ]
    assert [data["retry_at"] is None for kind, _, data in found[:3]] == [False, False, True]
    assert found[3][2] == {"reason": "no 2", "failures": 3, "order_id": tried[-2].id}


def test_a_replayed_event_credits_once(hub, account):
    order = made(hub, account)
    event = paid(order)
    outcomes = [done.outcome for done in apply(hub, event, event)]
    outcomes += [done.outcome for done in apply(hub, event)]
    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.DUPLICATE]
    assert balance(hub, account) == CREDITS


def test_two_events_of_one_payment_are_no_double_top_up(hub, account):
    order = made(hub, account)
    apply(hub, paid(order, 1), paid(order, 2))
    assert balance(hub, account) == CREDITS


def test_an_event_recorded_without_its_credit_does_not_exist(hub, account):
    """The trap of recording the id first: a crash in between made the retry skip the credit."""
    order = made(hub, account)

    def die_before_the_commit():
        with changing(hub) as change:
            payment_events.apply(change, paid(order))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die_before_the_commit()
    with reading(hub.engine) as view:
        assert not view.execute(select(func.count()).select_from(schema.payment_event)).scalar()
    (done,) = apply(hub, paid(order))
    assert (done.outcome, balance(hub, account)) == (Outcome.APPLIED, CREDITS)


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        ({"provider": "manual"}, "the order is one of stripe, not of manual"),
        ({"amount": AMOUNT - 1}, "the amount is not the order's"),
        ({"amount": AMOUNT * 100}, "the amount is not the order's"),
        ({"amount": -AMOUNT}, "the amount is not the order's"),
        ({"amount": None}, "the amount is not the order's"),
        ({"currency": "jpy"}, "the currency is not the order's"),
        ({"currency": None}, "the currency is not the order's"),
        ({"external_ids": ("cs_other",)}, "the checkout is not the one that was made"),
        ({"external_ids": ()}, "the checkout is not the one that was made"),
        ({"reason": Reason.AUTO_RECHARGE}, "the order is a checkout, and the payment is not"),
        ({"order_id": "0190"}, "there is no such order"),
    ],
)
def test_what_does_not_match_the_order_credits_nothing(hub, account, wrong, detail):
    order = made(hub, account)
    (done,) = apply(hub, replace(paid(order), **wrong))
    assert done.outcome is Outcome.REFUSED
    assert done.detail.startswith(detail)
    assert (balance(hub, account), shown(hub, order).state) == (0, OrderState.OPEN)
    (after,) = apply(hub, paid(order, 2))
    assert (after.outcome, balance(hub, account)) == (Outcome.APPLIED, CREDITS)


def test_a_refused_event_is_judged_again(hub, account):
    order = made(hub, account)
    event = paid(order, external_ids=("cs_late",))
    (first,) = apply(hub, event)
    with changing(hub) as change:
        orders.attach(change, order.id, Checkout("https://pay.example/2", "cs_late", 1))
    (second,) = apply(hub, event)
    assert (first.outcome, second.outcome) == (Outcome.REFUSED, Outcome.APPLIED)
    assert balance(hub, account) == CREDITS


def test_a_second_payment_of_one_order_is_refused_and_kept_for_the_operator(hub, account):
    order = made(hub, account)
    apply(hub, paid(order))
    (done,) = apply(hub, paid(order, 2, payment_ref="pi_other"))
    assert done.outcome is Outcome.REFUSED
    assert "refund this one" in done.detail
    assert balance(hub, account) == CREDITS


def test_one_payment_pays_one_order(hub, account):
    first, second = made(hub, account), made(hub, account)
    apply(hub, paid(first))
    (done,) = apply(hub, paid(second, payment_ref=f"pi_{first.id}"))
    assert (done.outcome, done.detail) == (Outcome.REFUSED, "the payment paid another order")
    assert balance(hub, account) == CREDITS


def test_a_charge_without_a_person_needs_no_checkout_on_record(hub, account):
    order = made(hub, account, reason=Reason.AUTO_RECHARGE)
    event = paid(order, reason=Reason.AUTO_RECHARGE, external_ids=("pi_1",), payment_ref="pi_1")
    (done,) = apply(hub, event)
    assert (done.outcome, shown(hub, order).order.external_id) == (Outcome.APPLIED, "pi_1")


def test_a_customer_is_remembered_with_the_card_they_agreed_to_keep(hub, account):
    order = made(hub, account)
    apply(hub, paid(order, customer="cus_1", card_saved=True))
    with reading(hub.engine) as view:
        known = customers.find(view, account, "stripe")
    assert (known.external_id, known.card_saved) == ("cus_1", True)


def orders_of_five(hub):
    """Return every order of five events; on PostgreSQL, where each takes longer, one in five."""
    return list(permutations(range(5)))[:: 1 if hub.is_sqlite else 5]


def test_events_in_any_order_and_repeated_leave_the_same_balance(hub, account):
    """I-15: five events of a payment's life, 120 orders, each event twice and more."""
    results = set()
    for sequence in orders_of_five(hub):
        with changing(hub) as change:
            order = ordered(hub, change, account).order
            before = grants.balance(change.connection, hub.clock, account).balance
            life = (
                paid(order),
                returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, 300),
                returned(order, ReturnKind.DISPUTE, ReturnState.ACTIVE, 700),
                returned(order, ReturnKind.DISPUTE, ReturnState.UNDONE, 700),
                ended(order, EventKind.EXPIRED),
            )
            for number in (*sequence, *reversed(sequence)):
                payment_events.apply(change, life[number])
                payment_events.apply(change, life[number])
            after = grants.balance(change.connection, hub.clock, account).balance
            record = orders.load(change.connection, order.id)
            results.add((after - before, record.state, record.taken, record.written_off))
            orders_left = orders.listed(change.connection, state=OrderState.OPEN, limit=5)
            assert orders_left == []
    assert results == {(CREDITS * 7 // 10, OrderState.PAID, CREDITS * 3 // 10, 0)}
    assert failing(hub) == []


def test_a_lost_dispute_in_any_order_takes_everything(hub, account):
    results = set()
    for sequence in orders_of_five(hub):
        with changing(hub) as change:
            order = ordered(hub, change, account).order
            life = (
                paid(order),
                returned(order, ReturnKind.TOTAL, ReturnState.ACTIVE, 250),
                returned(order, ReturnKind.DISPUTE, ReturnState.INQUIRY, 1_000),
                returned(order, ReturnKind.DISPUTE, ReturnState.ACTIVE, 1_000),
                returned(order, ReturnKind.DISPUTE, ReturnState.FINAL, 1_000),
            )
            for number in (*sequence, *sequence):
                payment_events.apply(change, life[number])
            record = orders.load(change.connection, order.id)
            results.add((record.state, record.taken + record.written_off))
    assert results == {(OrderState.DISPUTED, CREDITS)}
    assert balance(hub, account) == 0
    assert failing(hub) == []


def test_a_refund_of_spent_credit_is_written_off_and_made_good_when_it_fails(hub, account):
    order = made(hub, account)
    apply(hub, paid(order))
    spend(hub, account, 8 * NANO_PER_CREDIT)
    apply(hub, returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, AMOUNT))
    record = shown(hub, order)
    assert (record.state, balance(hub, account)) == (OrderState.REFUNDED, 0)
    assert (record.taken, record.written_off) == (2 * NANO_PER_CREDIT, 8 * NANO_PER_CREDIT)
    apply(hub, returned(order, ReturnKind.REFUND, ReturnState.UNDONE, AMOUNT))
    record = shown(hub, order)
    # What had been spent stays spent: the account gets back what was taken, no more.
    assert (record.state, balance(hub, account)) == (OrderState.PAID, 2 * NANO_PER_CREDIT)
    assert (record.taken, record.written_off) == (0, 0)
    with reading(hub.engine) as view:
        kinds = [entry.kind for entry in grants.history(view, account, 3)]
    assert kinds[0] == "recovery"
    assert kinds[1] == "grant"


def test_what_came_back_can_be_taken_again(hub, account):
    order = made(hub, account)
    apply(
        hub,
        paid(order),
        returned(order, ReturnKind.DISPUTE, ReturnState.ACTIVE, AMOUNT, 1),
        returned(order, ReturnKind.DISPUTE, ReturnState.UNDONE, AMOUNT, 1),
        returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, 600, 2),
    )
    assert balance(hub, account) == CREDITS * 4 // 10
    apply(hub, returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, 400, 3))
    assert (balance(hub, account), shown(hub, order).state) == (0, OrderState.REFUNDED)
    assert failing(hub) == []


@pytest.mark.parametrize(
    "wrong", [{"currency": "eur"}, {"amount": 0}, {"amount": -5}, {"amount": None}]
)
def test_a_return_that_cannot_be_true_takes_nothing(hub, account, wrong):
    order = made(hub, account)
    apply(hub, paid(order))
    event = returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, 100)
    (done,) = apply(hub, replace(event, **wrong))
    assert (done.outcome, balance(hub, account)) == (Outcome.REFUSED, CREDITS)


def test_a_refund_of_another_gateways_payment_takes_nothing(hub, account):
    order = made(hub, account)
    apply(hub, paid(order))
    event = returned(order, ReturnKind.REFUND, ReturnState.ACTIVE, 100)
    apply(hub, replace(event, provider="manual", id="evt_manual"))
    (named,) = apply(hub, replace(event, provider="manual", id="evt_named", order_id=order.id))
    assert (named.outcome, balance(hub, account)) == (Outcome.REFUSED, CREDITS)


def test_a_return_of_one_payment_cannot_move_to_another(hub, account):
    first, second = made(hub, account), made(hub, account)
    event = returned(first, ReturnKind.REFUND, ReturnState.ACTIVE, 100)
    apply(hub, paid(first), paid(second), event)
    moved = replace(event, id="evt_moved", payment_ref=f"pi_{second.id}")
    (done,) = apply(hub, moved)
    assert done.outcome is Outcome.REFUSED
    assert shown(hub, second).taken == 0


@pytest.mark.parametrize("kind", [EventKind.FAILED, EventKind.EXPIRED])
def test_money_that_comes_after_the_end_counts(hub, account, kind):
    order = made(hub, account)
    apply(hub, ended(order, kind, failure="card_declined"))
    assert shown(hub, order).state.value == kind.value
    apply(hub, paid(order))
    assert (shown(hub, order).state, balance(hub, account)) == (OrderState.PAID, CREDITS)
    apply(hub, ended(order, kind, id="evt_late"))
    assert shown(hub, order).state is OrderState.PAID


def test_failed_says_more_than_expired_in_either_order(hub, account):
    for kinds in permutations((EventKind.FAILED, EventKind.EXPIRED)):
        order = made(hub, account)
        apply(hub, *(ended(order, kind) for kind in kinds))
        assert shown(hub, order).state is OrderState.FAILED


def test_an_end_of_another_checkout_or_gateway_is_refused(hub, account):
    order = made(hub, account)
    done = apply(
        hub,
        ended(order, EventKind.EXPIRED, external_ids=("cs_other",)),
        ended(order, EventKind.EXPIRED, provider="manual"),
    )
    assert [one.outcome for one in done] == [Outcome.REFUSED] * 2
    assert shown(hub, order).state is OrderState.OPEN


def test_events_that_are_no_matter_of_the_hub_leave_no_trace(hub, account):
    order = made(hub, account)
    apply(hub, replace(paid(order), kind=EventKind.IGNORED))
    (foreign,) = apply(hub, replace(paid(order), order_id=None))
    assert foreign.outcome is Outcome.IGNORED
    assert balance(hub, account) == 0


def test_an_account_has_so_many_open_orders(hub, account):
    for _ in range(orders.OPEN_MAX):
        made(hub, account)
    with pytest.raises(Conflict, match="20 orders that nobody has paid"):
        made(hub, account)


def test_an_order_is_found_by_id_or_reference(hub, account):
    order = made(hub, account)
    reference = shown(hub, order).reference
    with reading(hub.engine) as view:
        assert orders.load(view, reference).order == order
        assert [one.order for one in orders.listed(view, account_id=account, limit=5)] == [order]
        assert orders.listed(view, account_id="another", limit=5) == []
        with pytest.raises(NotFound, match="payments list"):
            orders.load(view, "AH-none")


def test_overdue_orders_are_those_open_past_their_time(hub, account):
    order = made(hub, account)
    with reading(hub.engine) as view:
        record = orders.load(view, order.id)
        assert orders.overdue(view, record.expires_us, 5) == []
        assert [one.order for one in orders.overdue(view, record.expires_us + 1, 5)] == [order]
