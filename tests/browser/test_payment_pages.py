"""The pay page, an order and a receipt as a buyer sees them, in a real browser."""

import re

import pytest
from tests.browser.browser import BACKGROUND, DARK, DESK, LIGHT, PHONE, picture
from tests.hub import HubProcess
from tests.shop import Shop
from tests.visitor import ask

PAY = "/payment/checkout/pay/credits"
STRIPE = {"secret_key": "sk_test_1", "webhook_secret": "whsec_1", "api_base": "http://127.0.0.1:9"}
PAYMENTS = {
    "instructions": "Transfer the amount to\nIBAN DE00 0000 0000 0000 0000 00, ACME Ltd.",
    "credit_price": "0.50",
    "stripe": STRIPE,
}
NAMES = ("form", "open", "paid", "receipt")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    config = {"billing": {"enabled": True, "payments": PAYMENTS}}
    with HubProcess(tmp_path_factory.mktemp("shop"), config) as running:
        yield running


@pytest.fixture(scope="module")
def pages(hub):
    """The address of each page, by name."""
    with Shop(hub) as shop:
        shop.customer("ada@example.com")
        waiting, confirmed = order(hub), order(hub)
        page = ask(hub, "GET", confirmed).text
        reference = re.search(r"AH-[1-9A-Za-z]+", page)[0]
        shop.cashier.confirm("test", reference)
        shop.cashier.refund("test", reference, 100)
    (receipt,) = re.findall(r"payment/receipts/[^\"]+", ask(hub, "GET", confirmed).text)
    return {"form": PAY, "open": waiting, "paid": confirmed, "receipt": f"/{receipt}"}


def order(hub):
    form = {"to": "ada@example.com", "credits": "20", "provider": "manual"}
    answer = ask(hub, "POST", PAY, form=form)
    assert answer.status == 303, answer.text
    return f"/payment/checkout/pay/{answer.headers['location']}"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_dark_for_who_prefers_it(hub, pages, chromium, tmp_path, name):
    shot = tmp_path / "page.png"
    chromium(f"{hub.address}{pages[name]}", f"--screenshot={shot}", scheme=DARK)
    painted = picture(shot)
    assert (painted.width, painted.height) == DESK
    assert painted.pixel(0, 0) == BACKGROUND[DARK]


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_shows_a_page_without_anything_cut_off(hub, pages, chromium, tmp_path, name):
    shot = tmp_path / "phone.png"
    chromium(f"{hub.address}/ai-kit{pages[name]}", f"--screenshot={shot}", size=PHONE)
    painted = picture(shot)
    margin = range(PHONE[0] - 8, PHONE[0])
    stray = {painted.pixel(x, y) for y in range(painted.height) for x in margin}
    assert stray == {BACKGROUND[LIGHT]}


@pytest.mark.parametrize("name", NAMES)
def test_the_browser_has_nothing_to_complain_about(hub, pages, chromium, name):
    _, log = chromium(f"{hub.address}/ai-kit{pages[name]}", "--dump-dom")
    assert [line for line in log.splitlines() if ":CONSOLE" in line] == []
    assert "Content Security Policy" not in log
