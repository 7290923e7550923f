"""Stripe from the pay page to the dispute: a running hub, a simulated Stripe, real signatures."""

import json
import re
import socket
from dataclasses import dataclass
from typing import Any

import pytest
from tests.hub import HubProcess
from tests.shop import Shop
from tests.upstream.stripe_simulator import KEY, SECRET, StripeSimulator, signed
from tests.visitor import ask

from aigne_hub.billing.payments import WEBHOOK_BYTES_MAX, PaymentUnavailable
from aigne_hub.payments.cashier import Purchase
from aigne_hub.storage import customers, payment_events

PAY = "/payment/checkout/pay/credits"
HOOK = "/webhooks/stripe"
CREDIT = 1_000_000_000


@dataclass
class Scene:
    """A hub that sells through the simulator, and somebody who buys."""

    hub: HubProcess
    shop: Shop
    stripe: StripeSimulator
    user: Any
    key: str

    def buy(self, **more):
        """Order ten credits; return the order and its Checkout Session."""
        body = {"credits": "10", "provider": "stripe", **more}
        answer = ask(self.hub, "POST", "/api/user/credit/checkout", body=body, key=self.key)
        assert answer.status == 200, answer.text
        return answer.json, self.stripe.objects[answer.json["external_id"]]

    @property
    def balance(self):
        return self.shop.balance(self.user)

    def state(self, order):
        return self.shop.order(order["id"]).state.value


@pytest.fixture(scope="module")
def stripe():
    with StripeSimulator() as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory, stripe):
    account = {"secret_key": KEY, "webhook_secret": SECRET, "api_base": stripe.address}
    config = {"billing": {"enabled": True, "payments": {"stripe": account}}}
    with HubProcess(tmp_path_factory.mktemp("stripe"), config) as running:
        yield running


@pytest.fixture(scope="module")
def shop(hub):
    with Shop(hub) as opened:
        yield opened


@pytest.fixture
def scene(hub, shop, stripe, request):
    stripe.deliver_to = f"{hub.address}{HOOK}"
    user, key = shop.customer(f"{abs(hash(request.node.name))}@example.com")
    yield Scene(hub, shop, stripe, user, key)
    shop.verified()


def test_a_checkout_is_paid_at_stripe_and_credited_once(scene):
    order, session = scene.buy()
    assert session["client_reference_id"] == session["metadata"]["order_id"] == order["id"]
    assert (session["amount_total"], session["currency"]) == (1_000, "usd")
    assert order["url"] == session["url"]
    path, _, headers = scene.stripe.requests[-1]
    assert (path, headers["idempotency-key"]) == (
        "/v1/checkout/sessions",
        f"checkout/{order['id']}",
    )
    event = scene.stripe.pay(session)
    assert [scene.stripe.send(event) for _ in range(3)] == [200, 200, 200]
    assert (scene.balance, scene.state(order)) == ("10", "paid")


def test_the_page_leads_to_stripe_and_says_when_it_is_paid(scene):
    form = {"to": scene.user.email, "credits": "10", "provider": "stripe"}
    answer = ask(scene.hub, "POST", PAY, form=form)
    assert answer.status == 303
    path = f"/payment/checkout/pay/{answer.headers['location']}"
    page = ask(scene.hub, "GET", path).text
    session = scene.stripe.sessions()[-1]
    assert f'href="{session["url"]}"' in page
    assert session["success_url"] == f"{scene.hub.address}{path}"
    scene.stripe.send(scene.stripe.pay(session))
    assert "10 credits were added" in ask(scene.hub, "GET", path).text


def test_a_slow_payment_is_credited_when_it_succeeded(scene):
    order, session = scene.buy()
    assert scene.stripe.send(scene.stripe.pay(session, settled=False)) == 200
    assert (scene.balance, scene.state(order)) == ("0", "open")
    assert scene.stripe.send(scene.stripe.settle(session)) == 200
    assert (scene.balance, scene.state(order)) == ("10", "paid")


def test_a_slow_payment_that_failed_is_not_credited(scene):
    order, session = scene.buy()
    scene.stripe.send(scene.stripe.pay(session, settled=False))
    scene.stripe.send(scene.stripe.settle(session, paid=False))
    assert (scene.balance, scene.state(order)) == ("0", "failed")


def test_an_expired_checkout_ends_its_order(scene):
    order, session = scene.buy()
    assert scene.stripe.send(scene.stripe.expire(session)) == 200
    assert scene.state(order) == "expired"


def test_a_payment_link_is_paid_once_by_whoever_visits_it(scene):
    order, link = scene.buy(lasting=True)
    assert link["object"] == "payment_link"
    first, second = scene.stripe.visit(link), scene.stripe.visit(link)
    assert scene.stripe.send(scene.stripe.expire(first)) == 200
    assert scene.state(order) == "open"
    assert scene.stripe.send(scene.stripe.pay(second)) == 200
    assert (scene.balance, scene.state(order)) == ("10", "paid")
    # Stripe would not let it: a second payment is refused, and kept for the operator.
    assert scene.stripe.send(scene.stripe.pay(first)) == 409
    assert scene.balance == "10"


def test_a_refund_by_the_operator_takes_credit_back_once(scene):
    order, session = scene.buy()
    scene.stripe.send(scene.stripe.pay(session))
    record = scene.shop.cashier.refund("test", order["id"], 250)
    assert (record.order.returned, scene.balance) == (250, "7.5")
    (refund,) = [one for one in scene.stripe.objects.values() if one["object"] == "refund"][-1:]
    for kind in ("refund.created", "refund.updated", "charge.refund.updated"):
        assert scene.stripe.send(scene.stripe.event(kind, refund)) == 200
    assert scene.stripe.send(scene.stripe.charge_refunded(session, 250)) == 200
    assert scene.balance == "7.5"
    scene.shop.cashier.refund("test", order["id"])
    assert (scene.balance, scene.state(order)) == ("0", "refunded")


def test_a_refund_in_stripes_dashboard_takes_credit_back(scene):
    order, session = scene.buy()
    scene.stripe.send(scene.stripe.pay(session))
    event = scene.stripe.refund(session, 1_000)
    assert scene.stripe.send(event) == 200
    assert (scene.balance, scene.state(order)) == ("0", "refunded")
    refund = scene.stripe.objects[event["data"]["object"]["id"]]
    assert scene.stripe.send(scene.stripe.fail_refund(refund)) == 200
    assert (scene.balance, scene.state(order)) == ("10", "paid")


def test_an_endpoint_that_gets_totals_only_takes_credit_back_too(scene):
    order, session = scene.buy()
    scene.stripe.send(scene.stripe.pay(session))
    for total in (300, 1_000, 300):
        assert scene.stripe.send(scene.stripe.charge_refunded(session, total)) == 200
    assert (scene.balance, scene.state(order)) == ("0", "refunded")


@pytest.mark.parametrize(
    ("status", "balance", "state"), [("won", "10", "paid"), ("lost", "0", "disputed")]
)
def test_a_dispute_takes_credit_until_it_is_won(scene, status, balance, state):
    order, session = scene.buy()
    scene.stripe.send(scene.stripe.pay(session))
    event = scene.stripe.dispute(session)
    assert scene.stripe.send(event) == 200
    assert (scene.balance, scene.state(order)) == ("0", "disputed")
    dispute = scene.stripe.objects[event["data"]["object"]["id"]]
    assert scene.stripe.send(scene.stripe.close_dispute(dispute, status)) == 200
    assert (scene.balance, scene.state(order)) == (balance, state)


def test_events_in_the_wrong_order_end_the_same(scene):
    order, session = scene.buy()
    paid = scene.stripe.pay(session)
    events = [scene.stripe.refund(session, 400), paid, scene.stripe.expire(session), paid]
    assert [scene.stripe.send(event) for event in events] == [200] * 4
    assert (scene.balance, scene.state(order)) == ("6", "paid")


def test_a_saved_card_is_asked_for_and_remembered(scene):
    _, session = scene.buy(save_card=True)
    _, params, _ = scene.stripe.requests[-1]
    assert params["payment_intent_data"]["setup_future_usage"] == "off_session"
    scene.stripe.send(scene.stripe.pay(session))
    known = scene.shop.read(lambda view: customers.find(view, scene.user.id, "stripe"))
    assert (known.external_id, known.card_saved) == (session["customer"], True)
    scene.buy()
    _, params, _ = scene.stripe.requests[-1]
    assert params["customer"] == session["customer"]
    assert "setup_future_usage" not in params["payment_intent_data"]


# -- what must not be credited ----------------------------------------------------------


def refused(scene, status, event=None, **options):
    order, session = scene.buy()
    event = event or scene.stripe.pay(session)
    assert scene.stripe.send(event, **options) == status
    assert (scene.balance, scene.state(order)) == ("0", "open")
    return order, session


def test_a_forged_signature_is_refused(scene):
    refused(scene, 400, secret="whsec_other")


def test_a_signature_made_with_an_empty_secret_is_refused(scene):
    refused(scene, 400, secret="")


def test_a_body_that_was_not_signed_is_refused(scene):
    order, session = scene.buy()
    body, _ = signed(scene.stripe.pay(session))
    assert ask(scene.hub, "POST", HOOK, raw=body).status == 400
    assert ask(scene.hub, "POST", HOOK, raw=body, headers={"stripe-signature": ""}).status == 400
    assert scene.state(order) == "open"


def test_an_altered_body_is_refused(scene):
    order, session = scene.buy()
    event = scene.stripe.pay(session)
    altered = json.dumps(event, indent=2).replace('"amount_total": 1000', '"amount_total": 9000')
    assert altered != json.dumps(event, indent=2)
    assert scene.stripe.send(event, sent=altered.encode()) == 400
    assert scene.state(order) == "open"


@pytest.mark.parametrize(("age_s", "status"), [(301 + 5, 400), (290, 200)])
def test_a_replayed_recording_is_refused(scene, age_s, status):
    order, session = scene.buy()
    assert scene.stripe.send(scene.stripe.pay(session), age_s=age_s) == status
    assert scene.state(order) == ("paid" if status == 200 else "open")


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_total": 999},
        {"amount_total": 100_000},
        {"amount_total": -1_000},
        {"currency": "jpy"},
    ],
)
def test_another_amount_or_currency_is_refused(scene, changed):
    order, session = scene.buy()
    assert scene.stripe.send(scene.stripe.pay(session, **changed)) == 409
    assert (scene.balance, scene.state(order)) == ("0", "open")
    listed = scene.shop.read(lambda view: payment_events.listed(view, refused=True))
    assert listed[0]["order_id"] == order["id"]


@pytest.mark.parametrize("amount", ["1000", 10.5, None, True])
def test_an_amount_that_is_no_whole_number_is_refused(scene, amount):
    order, session = scene.buy()
    assert scene.stripe.send(scene.stripe.pay(session, amount_total=amount)) == 400
    assert scene.state(order) == "open"


def test_an_order_of_another_gateway_is_refused(scene):
    """CVE-2026-41432: an event of one gateway completed an order of another."""
    manual = scene.shop.cashier.checkout("test", Purchase(scene.user.id, 10 * CREDIT, "manual"))
    _, session = scene.buy()
    metadata = {"order_id": manual.order.id}
    event = scene.stripe.pay(
        session, metadata=metadata, client_reference_id=manual.order.id, id=manual.order.external_id
    )
    assert scene.stripe.send(event) == 409
    assert (scene.balance, scene.shop.order(manual.order.id).state.value) == ("0", "open")


def test_a_checkout_that_was_not_made_for_the_order_is_refused(scene):
    order, _ = scene.buy()
    _, other = scene.buy()
    event = scene.stripe.pay(
        other, metadata={"order_id": order["id"]}, client_reference_id=order["id"]
    )
    assert scene.stripe.send(event) == 409
    assert scene.balance == "0"


def test_an_event_of_live_mode_is_refused_by_a_test_key(scene):
    order, session = scene.buy()
    paid = scene.stripe.pay(session)
    assert scene.stripe.send({**paid, "livemode": True}) == 400
    assert scene.state(order) == "open"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 5_000, b'{"object":"event"}']
)
def test_a_signed_body_that_is_no_event_is_refused(scene, body):
    text = body.decode("latin-1")
    headers = {"stripe-signature": signature_of(body) or text}
    assert ask(scene.hub, "POST", HOOK, raw=body, headers=headers).status == 400


def signature_of(body):
    import stripe  # noqa: PLC0415 - the module's name is a fixture's

    try:
        return stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    except UnicodeDecodeError:
        return None


def test_the_official_package_accepts_what_the_hub_accepts(scene):
    """The body as it was sent passes Stripe's own check, and no other body does."""
    import stripe  # noqa: PLC0415 - the module's name is a fixture's

    order, session = scene.buy()
    body, signature = signed(scene.stripe.pay(session))
    assert stripe.Webhook.construct_event(body, signature, SECRET)["id"]
    reformatted = json.dumps(json.loads(body)).encode()
    headers = {"stripe-signature": signature}
    assert ask(scene.hub, "POST", HOOK, raw=reformatted, headers=headers).status == 400
    assert scene.state(order) == "open"
    assert ask(scene.hub, "POST", HOOK, raw=body, headers=headers).status == 200
    assert scene.state(order) == "paid"


# -- bodies without an end ----------------------------------------------------------------


def test_a_webhook_that_declares_too_much_is_refused_before_it_is_read(hub):
    with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as connection:
        connection.sendall(
            f"POST {HOOK} HTTP/1.1\r\nhost: hub\r\ncontent-length: {WEBHOOK_BYTES_MAX + 1}\r\n\r\n"
            "SECRET-CANARY".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_unauthenticated_webhook_without_an_end_is_refused_at_64_kib(hub):
    """CVE-2026-64868: the body was read without a bound, and logged whole."""
    sent = 0
    with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as connection:
        connection.sendall(
            f"POST {HOOK} HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"1000\r\n" + b"SECRET-CANARY---" * 256 + b"\r\n"
        connection.setblocking(False)
        answer = b""
        connection.settimeout(0.05)
        while not answer and sent < 8 * 1024 * 1024:
            connection.sendall(chunk)
            sent += len(chunk)
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 1024 * 1024
    assert "SECRET-CANARY" not in hub.log()


def test_nothing_of_a_refused_body_is_logged(scene):
    _, session = scene.buy()
    event = scene.stripe.pay(session, customer_email="canary-4711@example.com")
    assert scene.stripe.send(event, secret="whsec_other") == 400
    assert scene.stripe.send({**event, "livemode": True}) == 400
    log = scene.hub.log()
    assert "canary-4711" not in log
    assert "webhook_refused" in log
    assert SECRET not in log
    assert KEY not in log


# -- a hub without a secret, and a Stripe that does not answer ---------------------------


def test_without_a_webhook_secret_there_is_no_route_and_nothing_is_sold(tmp_path, stripe):
    """CVE-2026-41432: with an empty secret every signature was valid."""
    account = {"secret_key": KEY, "api_base": stripe.address, "webhook_secret": ""}
    payments = {"mode": "off", "stripe": account}
    with (
        HubProcess(tmp_path, {"billing": {"enabled": True, "payments": payments}}) as hub,
        Shop(hub) as shop,
    ):
        user, _ = shop.customer("ada@example.com")
        answer = ask(hub, "POST", HOOK, raw=b"{}", headers={"stripe-signature": "t=1,v1=0"})
        assert (answer.status, answer.code) == (404, "not_found")
        body, signature = signed({"id": "evt", "type": "x", "object": "event"}, secret="")
        headers = {"stripe-signature": signature}
        assert ask(hub, "POST", HOOK, raw=body, headers=headers).status == 404
        with pytest.raises(PaymentUnavailable, match="webhook_secret"):
            shop.cashier.checkout("test", Purchase(user.id, 10 * CREDIT))
        assert shop.cashier.providers["stripe"].health().ok is False


@pytest.mark.parametrize("name", ["paypal", "manual", "test", "STRIPE", "stripe%2Fx", "x" * 300])
def test_a_provider_that_is_not_set_up_has_no_route(hub, name):
    assert ask(hub, "POST", f"/webhooks/{name}", raw=b"{}").status == 404


def test_a_stripe_that_does_not_answer_sells_nothing(scene):
    scene.stripe.broken = True
    try:
        body = {"credits": "10", "provider": "stripe"}
        answer = ask(scene.hub, "POST", "/api/user/credit/checkout", body=body, key=scene.key)
        assert (answer.status, answer.code) == (502, "upstream_error")
        assert scene.shop.cashier.providers["stripe"].health().ok is False
    finally:
        scene.stripe.broken = False
    (record,) = scene.shop.orders(account_id=scene.user.id)
    assert (record.state.value, record.checkout_url) == ("failed", None)
    assert scene.shop.cashier.providers["stripe"].health().detail == "answers (test mode)"


def test_the_pay_page_says_that_stripe_does_not_answer(scene):
    scene.stripe.broken = True
    try:
        form = {"to": scene.user.email, "credits": "10", "provider": "stripe"}
        answer = ask(scene.hub, "POST", PAY, form=form)
    finally:
        scene.stripe.broken = False
    assert answer.status == 502
    assert re.search(r'role="alert"[^>]*>Stripe did not answer', answer.text)
