"""Stripe's events in the hub's terms, against objects of Stripe's published fixtures."""

import json
from pathlib import Path

import pytest
from tests.upstream.stripe_simulator import StripeSimulator

from aigne_hub.billing.payments import EventKind
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.orders import Reason, ReturnKind, ReturnState
from aigne_hub.providers.payments.stripe_events import EVENT_TYPES, event_of

FIXTURES = Path(__file__).parents[3] / "shared" / "data" / "stripe-fixtures.json"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.exists(), reason="stripe-fixtures.json is not beside this repository"
)
SESSION = {
    "id": "cs_1",
    "object": "checkout.session",
    "mode": "payment",
    "payment_status": "paid",
    "payment_intent": "pi_1",
    "payment_link": None,
    "client_reference_id": "o1",
    "metadata": {"order_id": "o1"},
    "amount_total": 1_000,
    "currency": "usd",
    "customer": "cus_1",
}


def event(kind, item, **more):
    return {"id": "evt_1", "type": kind, "livemode": False, "data": {"object": item}, **more}


def read(kind, item, live=False, **more):
    return event_of(event(kind, item, **more), live=live)


@needs_fixtures
def test_the_simulator_has_no_member_that_stripe_has_not():
    resources = json.loads(FIXTURES.read_text())["resources"]
    with StripeSimulator() as stripe:
        session = stripe._session(1_000, "usd", {})
        stripe.pay(session)
        stripe.refund(session, 10)
        stripe.charge_refunded(session, 10)
        stripe.dispute(session)
        for made in stripe.objects.values():
            published = resources[made["object"]]
            own = {name for name in made if not name.startswith("_")}
            assert own <= published.keys(), made["object"]
            for name in own:
                known = published[name]
                if known is not None and made[name] is not None:
                    assert type(made[name]) is type(known), (made["object"], name)


@needs_fixtures
@pytest.mark.parametrize(
    ("kind", "resource", "more"),
    [
        ("checkout.session.completed", "checkout.session", {}),
        ("payment_intent.succeeded", "payment_intent", {}),
        ("payment_intent.payment_failed", "payment_intent", {}),
        ("charge.refunded", "charge", {}),
        ("refund.updated", "refund", {}),
        ("charge.dispute.created", "dispute", {}),
        ("charge.dispute.created", "dispute", {"payment_intent": "pi_1"}),
        ("refund.updated", "refund", {"payment_intent": "pi_1"}),
        ("charge.refunded", "charge", {"payment_intent": "pi_1", "amount_refunded": 10}),
    ],
)
def test_stripes_own_objects_can_be_read(kind, resource, more):
    item = {**json.loads(FIXTURES.read_text())["resources"][resource], **more}
    found = read(kind, item)
    assert found.kind is (EventKind.RETURN if more else EventKind.IGNORED)


@pytest.mark.parametrize(
    "kind", ["checkout.session.completed", "checkout.session.async_payment_succeeded"]
)
def test_a_paid_checkout_pays_its_order(kind):
    found = read(kind, SESSION)
    assert (found.kind, found.order_id, found.reason) == (EventKind.PAID, "o1", Reason.CHECKOUT)
    assert (found.external_ids, found.payment_ref) == (("cs_1",), "pi_1")
    assert (found.amount, found.currency, found.customer) == (1_000, "usd", "cus_1")
    assert found.card_saved is False


@pytest.mark.parametrize("status", ["unpaid", "no_payment_required", None, "PAID"])
def test_a_completed_checkout_that_is_not_paid_pays_nothing(status):
    session = {**SESSION, "payment_status": status}
    assert read("checkout.session.completed", session).kind is EventKind.IGNORED


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {}},
        {"metadata": None},
        {"metadata": {"order_id": 7}},
        {"mode": "subscription"},
        {"mode": "setup"},
    ],
)
def test_a_checkout_of_somebody_elses_is_no_matter_of_the_hub(changed):
    found = read("checkout.session.completed", {**SESSION, **changed})
    assert found.kind is EventKind.IGNORED


@pytest.mark.parametrize(
    "changed",
    [
        {"client_reference_id": "o2"},
        {"amount_total": "1000"},
        {"amount_total": 10.0},
        {"amount_total": True},
        {"amount_total": None},
        {"currency": None},
        {"id": 5},
    ],
)
def test_a_checkout_that_cannot_be_read_is_refused(changed):
    with pytest.raises(InvalidRequest):
        read("checkout.session.completed", {**SESSION, **changed})


def test_a_checkout_of_a_payment_link_names_both():
    found = read("checkout.session.completed", {**SESSION, "payment_link": {"id": "plink_1"}})
    assert found.external_ids == ("cs_1", "plink_1")


def test_the_end_of_a_visit_is_not_the_end_of_a_payment_link():
    visit = {**SESSION, "payment_link": "plink_1"}
    assert read("checkout.session.expired", visit).kind is EventKind.IGNORED
    assert read("checkout.session.expired", SESSION).kind is EventKind.EXPIRED
    assert read("checkout.session.async_payment_failed", SESSION).kind is EventKind.FAILED


def test_a_saved_card_needs_a_customer_and_a_wish():
    wished = {**SESSION, "metadata": {"order_id": "o1", "save_card": "true"}}
    assert read("checkout.session.completed", wished).card_saved is True
    nobody = {**wished, "customer": None}
    assert read("checkout.session.completed", nobody).card_saved is False


INTENT = {
    "id": "pi_1",
    "amount": 1_000,
    "amount_received": 1_000,
    "currency": "usd",
    "metadata": {"order_id": "o1", "reason": "auto_recharge"},
    "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
}


def test_a_charge_without_a_person_pays_its_order():
    found = read("payment_intent.succeeded", INTENT)
    assert (found.kind, found.reason) == (EventKind.PAID, Reason.AUTO_RECHARGE)
    assert (found.external_ids, found.payment_ref) == (("pi_1",), "pi_1")


def test_what_was_received_counts_not_what_was_asked_for():
    assert read("payment_intent.succeeded", {**INTENT, "amount_received": 1}).amount == 1


def test_the_payment_of_a_checkout_is_told_by_the_checkout():
    checkout = {**INTENT, "metadata": {"order_id": "o1"}}
    assert read("payment_intent.succeeded", checkout).kind is EventKind.IGNORED
    assert read("payment_intent.payment_failed", checkout).kind is EventKind.IGNORED


@pytest.mark.parametrize(
    ("error", "failure", "final"),
    [
        (
            {"code": "card_declined", "decline_code": "insufficient_funds"},
            "insufficient_funds",
            False,
        ),
        ({"code": "card_declined", "decline_code": "lost_card"}, "lost_card", True),
        ({"code": "authentication_required"}, "authentication_required", True),
        (None, "payment_intent.payment_failed", False),
    ],
)
def test_a_decline_says_whether_trying_again_helps(error, failure, final):
    found = read("payment_intent.payment_failed", {**INTENT, "last_payment_error": error})
    assert (found.kind, found.failure, found.final) == (EventKind.FAILED, failure, final)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", ReturnState.ACTIVE),
        ("succeeded", ReturnState.ACTIVE),
        ("requires_action", ReturnState.ACTIVE),
        ("failed", ReturnState.UNDONE),
        ("canceled", ReturnState.UNDONE),
        ("something new", ReturnState.ACTIVE),
    ],
)
def test_how_far_a_refund_got(status, state):
    refund = {"id": "re_1", "amount": 10, "currency": "usd", "payment_intent": "pi_1"}
    found = read("refund.updated", {**refund, "status": status})
    assert (found.return_kind, found.return_state, found.return_id) == (
        ReturnKind.REFUND,
        state,
        "re_1",
    )


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("warning_needs_response", ReturnState.INQUIRY),
        ("warning_under_review", ReturnState.INQUIRY),
        ("warning_closed", ReturnState.UNDONE),
        ("needs_response", ReturnState.ACTIVE),
        ("under_review", ReturnState.ACTIVE),
        ("won", ReturnState.UNDONE),
        ("lost", ReturnState.FINAL),
    ],
)
def test_how_far_a_dispute_got(status, state):
    dispute = {"id": "dp_1", "amount": 10, "currency": "usd", "payment_intent": "pi_1"}
    found = read("charge.dispute.updated", {**dispute, "status": status})
    assert (found.return_kind, found.return_state) == (ReturnKind.DISPUTE, state)
    with pytest.raises(InvalidRequest, match="not known"):
        read("charge.dispute.updated", {**dispute, "status": "something new"})


@pytest.mark.parametrize(("live", "of_event"), [(True, False), (False, True), (True, None)])
def test_an_event_of_the_other_mode_is_refused(live, of_event):
    with pytest.raises(InvalidRequest, match="mode"):
        read("checkout.session.completed", SESSION, live, livemode=of_event)


def test_a_key_that_does_not_tell_its_mode_takes_both():
    assert read("checkout.session.completed", SESSION, None, livemode=True).kind is EventKind.PAID


@pytest.mark.parametrize("broken", [{"data": {}}, {"data": None}, {"data": {"object": []}}])
def test_an_event_without_an_object_is_refused(broken):
    with pytest.raises(InvalidRequest):
        event_of({**event("refund.updated", {}), **broken}, live=False)


def test_events_that_move_no_money_are_ignored():
    assert read("customer.created", {"id": "cus_1"}).kind is EventKind.IGNORED
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES)) == 17
