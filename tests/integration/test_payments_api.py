"""Money routes of the API: who may call them, what they refuse, and repeated requests."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.hub import HubProcess
from tests.shop import Shop
from tests.upstream.stripe_simulator import KEY, SECRET, StripeSimulator
from tests.visitor import ask

from aigne_hub.domain.access import Scope
from aigne_hub.domain.orders import OrderState
from aigne_hub.storage import codes, keys, users

CHECKOUT = "/api/user/credit/checkout"
REDEEM = "/api/user/credit/redeem"
ADMIN = "/api/admin/payments"
BUY = {"credits": "10"}
BAD_AMOUNTS = [
    *("-5", "0", "0.5", "10.001", "abc", "", "1e3", "NaN", "Infinity", "1,5", "9" * 60),
    *("99999999999999999999", "10001", "1.0000000001", 10, 10.5, None, True, ["1"]),
]

# Amounts that cannot be sold, but given.
GIVABLE = ["0.5", "10.001", "10001"]


@pytest.fixture(scope="module")
def stripe():
    with StripeSimulator() as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory, stripe):
    account = {"secret_key": KEY, "webhook_secret": SECRET, "api_base": stripe.address}
    payments = {"stripe": account, "instructions": "By hand"}
    config = {"billing": {"enabled": True, "payments": payments}}
    with HubProcess(tmp_path_factory.mktemp("api"), config) as running:
        stripe.deliver_to = f"{running.address}/webhooks/stripe"
        yield running


@pytest.fixture(scope="module")
def shop(hub):
    with Shop(hub) as opened:
        yield opened
        opened.verified()


@pytest.fixture(scope="module")
def admin(shop):
    """A key with the scope `admin`, of the owner."""
    hub = shop.hub
    with shop.cashier.changing("test") as change:
        owner = users.find(change.connection, "owner@localhost")
        make = (change, hub.keyring, shop.cashier.randbytes, hub.pepper)
        return keys.create(*make, user=owner, name="admin", scopes=[Scope.ADMIN]).text


@pytest.fixture(scope="module")
def names():
    return (f"user{number}@example.com" for number in itertools.count())


@pytest.fixture
def user(shop, names):
    return shop.customer(next(names))


@pytest.fixture
def code(shop):
    with shop.cashier.changing("test") as change:
        return codes.create(change, shop.cashier.randbytes, amount=5_000_000_000)[0].text


def post(hub, path, body, key, once=None):
    headers = {} if once is None else {"idempotency-key": once}
    return ask(hub, "POST", path, body=body, key=key, headers=headers)


# -- who may ----------------------------------------------------------------------------

USER_ROUTES = [
    ("GET", "/api/user/payments"),
    ("POST", CHECKOUT),
    ("POST", REDEEM),
    ("GET", "/api/user/credit/auto-recharge"),
    ("PUT", "/api/user/credit/auto-recharge"),
]
ADMIN_ROUTES = [
    ("GET", ADMIN),
    ("GET", f"{ADMIN}/events"),
    ("GET", f"{ADMIN}/o"),
    ("POST", f"{ADMIN}/links"),
    ("POST", f"{ADMIN}/o/confirm"),
    ("POST", f"{ADMIN}/o/reject"),
    ("POST", f"{ADMIN}/o/refund"),
    ("GET", "/api/admin/codes"),
    ("POST", "/api/admin/codes"),
    ("POST", "/api/admin/codes/c/revoke"),
]


@pytest.mark.parametrize(("method", "path"), [*USER_ROUTES, *ADMIN_ROUTES])
def test_no_route_is_open(hub, method, path):
    answer = ask(hub, method, path, body={})
    assert (answer.status, answer.code) == (401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_administration_is_for_administrators(hub, user, method, path):
    answer = ask(hub, method, path, body={}, key=user[1])
    assert (answer.status, answer.code) == (403, "forbidden")


def test_nobody_sees_the_payments_of_others(hub, shop, user, names):
    mine = post(hub, CHECKOUT, BUY, user[1]).json
    other = shop.customer(next(names))
    assert ask(hub, "GET", "/api/user/payments", key=other[1]).json["payments"] == []
    listed = ask(hub, "GET", "/api/user/payments", key=user[1]).json
    assert [order["id"] for order in listed["payments"]] == [mine["id"]]
    page = ask(hub, "GET", listed["buy"].removeprefix(hub.address))
    assert "u…@example.com" in page.text
    assert user[0].email not in page.text


# -- amounts ------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=repr)
def test_an_amount_that_is_none_is_400(hub, shop, user, amount):
    answer = post(hub, CHECKOUT, {"credits": amount}, user[1])
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert shop.orders(account_id=user[0].id) == []


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=repr)
def test_a_code_or_link_of_such_an_amount_is_400(hub, user, amount, admin):
    if amount not in GIVABLE:
        answer = post(hub, "/api/admin/codes", {"amount": amount}, admin)
        assert (answer.status, answer.code) == (400, "invalid_request")
    body = {"user": user[0].email, "credits": amount}
    answer = post(hub, f"{ADMIN}/links", body, admin)
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [{}, {**BUY, "provider": "paypal"}, {**BUY, "extra": 1}, {**BUY, "save_card": "yes"}, [], "x"],
)
def test_a_checkout_of_the_wrong_shape_is_400(hub, user, body):
    assert post(hub, CHECKOUT, body, user[1]).status == 400


@pytest.mark.parametrize("amount", ["10.01", "0", "-1", "1.005", "abc", "", "9" * 40, 5])
def test_a_refund_of_such_an_amount_is_400(hub, shop, user, amount, admin):
    order = post(hub, CHECKOUT, {**BUY, "provider": "manual"}, user[1]).json
    post(hub, f"{ADMIN}/{order['id']}/confirm", {}, admin)
    answer = post(hub, f"{ADMIN}/{order['id']}/refund", {"amount": amount}, admin)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert shop.balance(user[0]) == "10"


# -- an order's life ---------------------------------------------------------------------


def test_an_admin_confirms_refunds_and_looks(hub, shop, user, admin):
    order = post(hub, CHECKOUT, {**BUY, "provider": "manual"}, user[1]).json
    assert (order["state"], order["amount"], order["currency"]) == ("open", "10.00", "usd")
    path = f"{ADMIN}/{order['reference']}"
    assert post(hub, f"{path}/refund", {}, admin).status == 409
    for _ in range(2):
        confirmed = post(hub, f"{path}/confirm", {}, admin).json
        assert (confirmed["state"], shop.balance(user[0])) == ("paid", "10")
    assert ask(hub, "GET", confirmed["receipt"].removeprefix(hub.address)).status == 200
    assert post(hub, f"{path}/reject", {}, admin).status == 409
    refunded = post(hub, f"{path}/refund", {"amount": "2.50"}, admin).json
    assert (refunded["returned"], refunded["credits_taken"]) == ("2.50", "2.5")
    shown = ask(hub, "GET", path, key=admin).json
    assert [one["kind"] for one in shown["returns"]] == ["refund"]
    assert {one["outcome"] for one in shown["events"]} == {"applied"}
    listed = ask(hub, "GET", f"{ADMIN}?user={user[0].email}&state=paid", key=admin).json
    assert [one["id"] for one in listed["payments"]] == [order["id"]]
    assert shop.balance(user[0]) == "7.5"


def test_an_admin_rejects(hub, shop, user, admin):
    order = post(hub, CHECKOUT, {**BUY, "provider": "manual"}, user[1]).json
    body = {"reason": "the transfer bounced"}
    answer = post(hub, f"{ADMIN}/{order['id']}/reject", body, admin)
    assert (answer.json["state"], answer.json["failure"]) == ("failed", "the transfer bounced")
    assert shop.balance(user[0]) == "0"


def test_an_order_of_stripe_is_not_for_an_admin_to_confirm(hub, user, admin):
    order = post(hub, CHECKOUT, {**BUY, "provider": "stripe"}, user[1]).json
    assert post(hub, f"{ADMIN}/{order['id']}/confirm", {}, admin).status == 409
    assert post(hub, f"{ADMIN}/{order['id']}/reject", {}, admin).status == 409


def test_an_order_that_is_not_there_is_404(hub, admin):
    for action in ("confirm", "reject", "refund"):
        assert post(hub, f"{ADMIN}/none/{action}", {}, admin).status == 404
    assert ask(hub, "GET", f"{ADMIN}/none", key=admin).status == 404
    assert post(hub, "/api/admin/codes/none/revoke", {}, admin).status == 404


def test_a_link_is_made_for_a_user_and_paid_by_anybody(hub, shop, stripe, user, admin):
    body = {"user": user[0].email, "credits": "3"}
    made = post(hub, f"{ADMIN}/links", body, admin).json
    link = stripe.objects[made["external_id"]]
    assert (made["url"], made["amount"]) == (link["url"], "3.00")
    assert stripe.send(stripe.pay(stripe.visit(link))) == 200
    assert shop.balance(user[0]) == "3"


def test_codes_are_made_listed_redeemed_and_revoked(hub, shop, user, admin):
    body = {"amount": "2.5", "count": 2, "category": "paid", "expires_at": "2099-01-01T00:00:00Z"}
    made = post(hub, "/api/admin/codes", body, admin).json["codes"]
    assert len({one["code"] for one in made}) == 2
    given = post(hub, REDEEM, {"code": made[0]["code"]}, user[1])
    assert (given.status, given.json["amount"]) == (200, "2.5")
    assert post(hub, f"/api/admin/codes/{made[1]['id']}/revoke", {}, admin).status == 200
    assert post(hub, REDEEM, {"code": made[1]["code"]}, user[1]).status == 409
    listed = ask(hub, "GET", "/api/admin/codes?limit=2", key=admin)
    assert sorted(one["redeemed"] for one in listed.json["codes"]) == [0, 1]
    assert made[0]["code"] not in listed.text


def test_wrong_codes_are_404_and_then_429_with_the_wait(hub, user):
    statuses = [post(hub, REDEEM, {"code": f"wrong {n}"}, user[1]).status for n in range(11)]
    assert statuses == [404] * 10 + [429]
    answer = post(hub, REDEEM, {"code": "another"}, user[1])
    assert 0 < int(answer.headers["retry-after"]) <= 3_600


# -- repeated requests ----------------------------------------------------------------------


def test_a_repeated_redemption_has_one_effect_and_one_answer(hub, shop, user, code):
    first = post(hub, REDEEM, {"code": code}, user[1], "key-1")
    again = post(hub, REDEEM, {"code": code}, user[1], "key-1")
    assert (first.status, again.status) == (200, 200)
    assert again.json == first.json
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert post(hub, REDEEM, {"code": code}, user[1]).status == 409
    assert shop.balance(user[0]) == "5"


def test_a_key_belongs_to_one_body_one_path_and_one_caller(hub, shop, user, names, code):
    assert post(hub, REDEEM, {"code": code}, user[1], "key-2").status == 200
    answer = post(hub, REDEEM, {"code": "other"}, user[1], "key-2")
    assert (answer.status, answer.code) == (422, "idempotency_mismatch")
    assert post(hub, CHECKOUT, BUY, user[1], "key-2").status == 422
    stranger = shop.customer(next(names))
    answer = post(hub, REDEEM, {"code": code}, stranger[1], "key-2")
    assert (answer.status, answer.code) == (409, "conflict")


@pytest.mark.parametrize("key", ["", "k" * 256, "caf\u00e9"])
def test_a_key_that_is_none_is_400(hub, user, key):
    assert post(hub, CHECKOUT, BUY, user[1], key).status == 400


def test_a_refused_request_frees_its_key(hub, user):
    assert post(hub, CHECKOUT, {"credits": "10.001"}, user[1], "key-3").status == 400
    assert post(hub, CHECKOUT, BUY, user[1], "key-3").status == 200
    assert post(hub, REDEEM, {"code": "wrong"}, user[1], "key-4").status == 404
    assert post(hub, REDEEM, {"code": "wrong again"}, user[1], "key-4").status == 404


def test_a_repeated_checkout_is_one_order(hub, shop, stripe, user):
    body = {**BUY, "provider": "stripe"}
    answers = [post(hub, CHECKOUT, body, user[1], "key-5") for _ in range(3)]
    assert {answer.status for answer in answers} == {200}
    assert len({json.dumps(answer.json) for answer in answers}) == 1
    assert len(shop.orders(account_id=user[0].id)) == 1


def test_a_checkout_that_stripe_did_not_answer_may_be_repeated(hub, shop, stripe, user):
    body = {**BUY, "provider": "stripe"}
    stripe.broken = True
    try:
        assert post(hub, CHECKOUT, body, user[1], "key-6").status == 502
    finally:
        stripe.broken = False
    assert post(hub, CHECKOUT, body, user[1], "key-6").status == 200
    states = [record.state for record in shop.orders(account_id=user[0].id)]
    assert states == [OrderState.OPEN, OrderState.FAILED]


def test_a_repeated_refund_gives_money_back_once(hub, shop, stripe, user, admin):
    order = post(hub, CHECKOUT, {**BUY, "provider": "stripe"}, user[1]).json
    stripe.send(stripe.pay(stripe.objects[order["external_id"]]))
    path, body = f"{ADMIN}/{order['id']}/refund", {"amount": "4.00"}
    answers = [post(hub, path, body, admin, "key-7") for _ in range(3)]
    assert [answer.json["returned"] for answer in answers] == ["4.00"] * 3
    assert shop.balance(user[0]) == "6"
    assert post(hub, path, body, admin, "key-8").json["returned"] == "8.00"


def test_concurrent_requests_with_one_key_have_one_effect(hub, shop, user):
    body = {**BUY, "provider": "stripe"}

    def send(_):
        return post(hub, CHECKOUT, body, user[1], "key-9")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(24)))
    assert {answer.status for answer in answers} <= {200, 409}
    given = {answer.json["id"] for answer in answers if answer.status == 200}
    assert len(given) == 1
    assert [record.order.id for record in shop.orders(account_id=user[0].id)] == list(given)
