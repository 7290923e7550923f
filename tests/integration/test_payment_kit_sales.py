"""Selling credit through Payment Kit's API: links and sessions of the hub's own checkout."""

import http.client
import os

import pytest
from sqlalchemy import text
from tests.hub import HubProcess
from tests.payment_kit import Program, admin_of

from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType
from aigne_hub.storage.engine import create_engine, writing

NANO = 1_000_000_000
PRICE = "DEFAULT_CREDIT_UNIT_PRICE"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, database, database_for):
    payments = {"credit_price": "0.5", "max": "1000", "mode": "manual"}
    config = {"billing": {"enabled": True, "payments": payments}}
    folder = tmp_path_factory.mktemp("sales")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def kit(hub) -> Program:
    return admin_of(hub)


@pytest.fixture(scope="module")
def me(kit) -> str:
    found: str = kit.get("/customers/me")["id"]
    return found


def items(quantity):
    return [{"price_id": PRICE, "quantity": quantity, "adjustable_quantity": {"enabled": True}}]


def page(hub, path):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    connection.request("GET", path, headers={"accept": "text/html"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_price_of_a_credit_is_found_by_the_keys_programs_know(kit):
    money, credit = kit.get("/payment-currencies")
    price = kit.get(f"/prices/{PRICE}")
    assert (price["unit_amount"], price["currency"]) == (str(NANO // 2), money)
    config = price["metadata"]["credit_config"]
    assert (config["currency_id"], config["credit_amount"]) == (credit["id"], "1")
    assert kit.get(f"/prices/{PRICE}_V2") == kit.get(f"/prices/{price['id']}") == price
    assert kit.get("/prices")["list"] == [price]
    assert kit.get("/products")["list"][0]["prices"] == [price]
    assert kit.call("GET", "/prices/other")[0] == 404


def test_the_hubs_own_link_is_found_by_the_key_programs_know(hub, kit):
    link = kit.get("/payment-links/DEFAULT_CREDIT_PAYMENT_LINK")
    assert link["url"].endswith(f"/payment/checkout/pay/{link['id']}")
    assert page(hub, f"/payment/checkout/pay/{link['id']}")[0] == 200
    made = {"line_items": items(1), "lookup_key": "DEFAULT_CREDIT_PAYMENT_LINK"}
    assert kit.call("POST", "/payment-links", made)[0] == 409
    assert kit.call("PUT", f"/payment-links/{link['id']}/archive")[0] == 409
    recharge = kit.get("/payment-currencies/credits/recharge-config")["recharge_config"]
    assert recharge["checkout_url"] == link["url"]


def test_a_link_suggests_its_amount_until_it_is_archived(hub, kit):
    body = {"name": "Pack", "line_items": items(42), "lookup_key": "pack", "metadata": {"a": 1}}
    link = kit.post("/payment-links", body)
    assert kit.get("/payment-links/pack") == link
    assert (link["line_items"][0]["quantity"], link["metadata"]) == (42, {"a": 1})
    status, text = page(hub, f"/payment/checkout/pay/{link['id']}")
    assert status == 200
    assert 'value="42"' in text
    assert kit.call("POST", "/payment-links", body)[0] == 409
    assert kit.put("/payment-links/pack/archive")["active"] is False
    assert kit.put("/payment-links/pack/archive")["active"] is False
    assert page(hub, f"/payment/checkout/pay/{link['id']}")[0] == 404
    assert link["id"] in [one["id"] for one in kit.get("/payment-links")["list"]]


def test_a_session_is_an_order_that_gives_credit_when_it_is_paid(hub, kit, me):
    before = int(kit.summary(me)["remainingAmount"])
    body = {
        "mode": "payment",
        "line_items": items(10),
        "customer_id": me,
        "client_reference_id": "mine-1",
        "success_url": "https://example.com/done",
        "metadata": {"a": 1},
    }
    session = kit.post("/checkout-sessions", body)
    assert (session["status"], session["payment_status"]) == ("open", "unpaid")
    assert (session["amount_total"], session["currency_id"]) == (str(5 * NANO), "usd")
    assert (session["client_reference_id"], session["metadata"]) == ("mine-1", {"a": 1})
    assert kit.get(f"/checkout-sessions/{session['id']}") == session
    path = session["url"].partition(hub.address)[2]
    assert page(hub, path)[0] == 200
    hub.cli("payments", "confirm", session["id"])
    paid = kit.get(f"/checkout-sessions/{session['id']}")
    assert (paid["status"], paid["payment_status"]) == ("complete", "paid")
    assert int(kit.summary(me)["remainingAmount"]) == before + 10 * NANO
    assert kit.call("PUT", f"/checkout-sessions/{session['id']}/expire")[0] == 409


def test_a_session_that_nobody_pays_can_be_ended(kit, me):
    session = kit.post("/checkout-sessions", {"line_items": items(3), "customer_did": me})
    path = f"/checkout-sessions/{session['id']}"
    assert kit.put(f"{path}/expire")["status"] == "expired"
    assert kit.put(f"{path}/expire")["status"] == "expired"
    found = kit.get("/checkout-sessions", customer_id=me, status="expired")["list"]
    assert [one["id"] for one in found] == [session["id"]]


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": None},
        {"line_items": []},
        {"line_items": [{"price_id": "other", "quantity": 1}]},
        {"line_items": items(1) * 2},
        {"line_items": items(0)},
        {"line_items": items(1_001)},
        {"mode": "subscription"},
    ],
)
def test_what_cannot_be_sold_is_refused(kit, me, change):
    body = {"line_items": items(1), "customer_id": me, **change}
    status, answer = kit.call("POST", "/checkout-sessions", body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


def test_automatic_top_ups_are_off_until_a_card_is_saved(hub, kit, me):
    path = f"/auto-recharge-configs/customer/{me}"
    assert kit.get(path, currency_id="credits")["enabled"] is False
    body = {
        "customer_id": me,
        "currency_id": "credits",
        "threshold": 2,
        "price_id": PRICE,
        "quantity": 10,
        "daily_limits": {"max_attempts": 2, "max_amount": "10.50"},
    }
    status, answer = kit.call("POST", "/auto-recharge-configs/submit", body)
    assert (status, answer["error"]["code"]) == (409, "conflict")
    kept = kit.post("/auto-recharge-configs/submit", {**body, "enabled": False})
    assert kit.get(path) == kit.get(f"/auto-recharge-configs/retrieve/{me}") == kept
    assert (kept["threshold"], kept["quantity"], kept["enabled"]) == (str(2 * NANO), 10, False)
    assert kept["daily_limits"] == {"max_attempts": 2, "max_amount": str(10_500_000_000)}
    small = {**body, "enabled": False, "daily_limits": {"max_amount": "1"}}
    assert kit.call("POST", "/auto-recharge-configs/submit", small)[0] == 400


def test_who_tops_up_automatically_can_continue_without_credit(hub, kit):
    poor = kit.get(f"/customers/{_address()}", create="true")["id"]
    asked = {"customer_id": poor}
    assert not kit.get("/credit-grants/verify-availability", **asked)["can_continue"]
    kit.post("/auto-recharge-configs/submit", {**asked, "enabled": False, "threshold": "1"})
    _execute(hub, "UPDATE auto_recharge SET enabled = :on WHERE account_id = :a", on=True, a=poor)
    assert kit.get("/credit-grants/verify-availability", **asked)["can_continue"]
    _execute(
        hub,
        "UPDATE auto_recharge SET retry_us = 9000000000000000 WHERE account_id = :a",
        a=poor,
    )
    assert not kit.get("/credit-grants/verify-availability", **asked)["can_continue"]


def _execute(hub, statement, **values):
    engine = create_engine(hub.database_url)
    with writing(engine) as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def _address():
    return new_identity(RoleType.ACCOUNT, os.urandom).did.removeprefix("did:abt:")


def test_an_order_of_the_pay_page_is_no_session(hub, kit):
    made = hub.cli("payments", "link", "--user", hub.user, "--credits", "2")
    assert kit.call("GET", f"/checkout-sessions/{made['id']}")[0] == 404
    assert kit.call("PUT", f"/checkout-sessions/{made['id']}/expire")[0] == 404
