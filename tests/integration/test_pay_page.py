"""The hub's own pay page over HTTP: forms, orders, receipts, and what it keeps to itself."""

import re

import pytest
from tests.hub import HubProcess
from tests.shop import Shop
from tests.visitor import ask

from aigne_hub.storage import users
from aigne_hub.web.payment.pages import WRONG_A_MINUTE_MAX

MINUS = "\u2212"

PAY = "/payment/checkout/pay/credits"
MANUAL = {
    "enabled": True,
    "payments": {"instructions": "IBAN DE00\nBank <b>", "credit_price": "0.5", "max": "5000"},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("manual"), {"billing": MANUAL}) as running:
        yield running


@pytest.fixture(scope="module")
def shop(hub):
    with Shop(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def ada(shop):
    return shop.customer("ada@example.com")[0]


@pytest.fixture(scope="module")
def test_hub(tmp_path_factory):
    billing = {"enabled": True, "payments": {"mode": "test"}}
    with HubProcess(tmp_path_factory.mktemp("test"), {"billing": billing}) as running:
        yield running


def order(hub, credits_="10", to="ada@example.com"):
    answer = ask(hub, "POST", PAY, form={"to": to, "credits": credits_})
    assert answer.status == 303, answer.text
    assert re.fullmatch(r"[0-9a-f-]{36}\.[1-9A-Za-z]+", answer.headers["location"])
    return f"/payment/checkout/pay/{answer.headers['location']}"


def reference(page):
    return re.search(r"AH-[1-9A-Za-z]+", page)[0]


def test_the_page_says_what_credit_costs(hub):
    answer = ask(hub, "GET", PAY)
    assert answer.status == 200
    assert "One credit costs 0.50 USD" in answer.text
    assert "From 1 to 5000" in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_an_order_waits_until_the_operator_confirms_it(hub, shop, ada):
    before = shop.balance(ada)
    path = order(hub, "12")
    page = ask(hub, "GET", path).text
    assert "6.00 USD" in page
    assert "IBAN DE00\nBank &lt;b&gt;" in page
    assert shop.balance(ada) == before
    for _ in range(2):
        record = shop.cashier.confirm("test", reference(page))
        assert (record.state.value, record.order.amount) == ("paid", 600)
    assert float(shop.balance(ada)) == float(before) + 12
    assert "12 credits were added to the account" in ask(hub, "GET", path).text


def test_a_receipt_says_what_was_paid_and_what_came_back(hub, shop, ada):
    page = ask(hub, "GET", path := order(hub, "8")).text
    assert "payment/receipts/" not in page
    shop.cashier.confirm("test", reference(page))
    (link,) = re.findall(r'href="[./]*(payment/receipts/[^"]+)"', ask(hub, "GET", path).text)
    receipt = ask(hub, "GET", f"/{link}")
    assert receipt.status == 200
    assert "4.00 USD" in receipt.text
    shop.cashier.refund("test", reference(page), 100)
    receipt = ask(hub, "GET", f"/{link}").text
    assert f"{MINUS}1.00 USD" in receipt
    assert "3.00 USD" in receipt
    assert "ada@example.com" not in receipt


def test_an_order_that_was_rejected_says_so(hub, shop, ada):
    page = ask(hub, "GET", path := order(hub)).text
    shop.cashier.reject("test", reference(page), "no money came")
    page = ask(hub, "GET", path).text
    assert "The payment failed" in page
    assert "no money came" in page


@pytest.mark.parametrize(
    "credits_",
    [
        *("", "abc", "-5", "0", "0.5", "5001", "1e3", "1.001", "NaN", "Infinity", "9" * 40),
        *("1.0000000001", "0x10", "1,5", "\u0661\u0662"),
    ],
)
def test_an_amount_that_cannot_be_paid_is_explained_and_makes_no_order(hub, shop, ada, credits_):
    count = len(shop.orders())
    answer = ask(hub, "POST", PAY, form={"to": "ada@example.com", "credits": credits_})
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert len(shop.orders()) == count


def test_an_account_that_does_not_exist_gets_no_order(hub):
    answer = ask(hub, "POST", PAY, form={"to": "eve@example.com", "credits": "10"})
    assert answer.status == 400
    assert "no such account" in answer.text
    assert "eve@example.com" in answer.text


def test_a_disabled_account_gets_no_order(hub, shop):
    user, _ = shop.customer("off@example.com")
    with shop.cashier.changing("test") as change:
        users.disable(change, user)
    answer = ask(hub, "POST", PAY, form={"to": "off@example.com", "credits": "10"})
    assert answer.status == 400


def test_a_stranger_learns_neither_balance_nor_the_whole_name(hub, ada):
    page = ask(hub, "GET", order(hub, to=ada.did)).text
    assert "ada@example.com" not in page
    assert "a…@example.com" in page
    assert "balance" not in page.partition("</dl>")[0].lower()


@pytest.mark.parametrize(
    "path",
    [
        "/payment/checkout/pay/0190.abc",
        "/payment/checkout/pay/.",
        "/payment/receipts/0190.abc",
        "/payment/receipts/x",
    ],
)
def test_addresses_that_the_hub_did_not_make_lead_nowhere(hub, path):
    assert ask(hub, "GET", path).status == 404


def test_a_token_of_an_order_opens_no_receipt(hub, shop, ada):
    page = ask(hub, "GET", path := order(hub)).text
    shop.cashier.confirm("test", reference(page))
    assert ask(hub, "GET", f"/payment/receipts/{path.rpartition('/')[2]}").status == 404


def test_the_forms_work_below_the_mount_point(hub, ada):
    answer = ask(hub, "POST", f"/ai-kit{PAY}", form={"to": "ada@example.com", "credits": "10"})
    assert (answer.status, answer.headers["location"].count("/")) == (303, 0)
    assert (
        ask(hub, "GET", f"/ai-kit/payment/checkout/pay/{answer.headers['location']}").status == 200
    )


def test_a_form_is_not_read_to_its_end_when_it_has_none(hub):
    answer = ask(hub, "POST", PAY, raw=(b"to=a&" * 1000 for _ in range(200)))
    assert answer.status == 400


def test_there_is_no_test_button_outside_test_mode(hub, ada):
    path = order(hub)
    assert ask(hub, "POST", path, form={}).status == 404
    assert ask(hub, "POST", "/webhooks/test", raw=b"{}").status == 404
    assert "TEST MODE" not in ask(hub, "GET", path).text


def test_test_mode_is_marked_and_pays_at_once(test_hub):
    assert "TEST MODE" in ask(test_hub, "GET", PAY).text
    with Shop(test_hub) as shop:
        ada, _ = shop.customer("ada@example.com")
        path = order(test_hub, "10")
    assert "TEST MODE" in ask(test_hub, "GET", path).text
    for _ in range(2):
        answer = ask(test_hub, "POST", path, form={})
        assert (answer.status, answer.headers["location"]) == (303, path.rpartition("/")[2])
    assert "TEST MODE" in ask(test_hub, "GET", path).text
    with Shop(test_hub) as shop:
        assert shop.balance(ada) == "10"
        shop.verified()


@pytest.mark.parametrize("signature", [None, "", "t=1,v1=0", "t=9999999999,v1=" + "0" * 64, "v1"])
def test_test_mode_takes_no_webhook_that_the_hub_did_not_sign(test_hub, signature):
    headers = {} if signature is None else {"aigne-hub-signature": signature}
    answer = ask(test_hub, "POST", "/webhooks/test", raw=b'{"id":"x"}', headers=headers)
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_strangers_cannot_try_names_without_end(test_hub):
    statuses = []
    while 429 not in statuses and len(statuses) <= 2 * WRONG_A_MINUTE_MAX + 1:
        form = {"credits": "10", "to": f"x{len(statuses)}@example.com"}
        statuses.append(ask(test_hub, "POST", PAY, form=form).status)
    assert set(statuses[:-1]) == {400}
    assert (statuses[-1], len(statuses) > WRONG_A_MINUTE_MAX) == (429, True)
