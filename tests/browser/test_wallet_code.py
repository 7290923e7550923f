"""Signing in with a wallet in a real browser: without script, the page notices by itself."""

import pytest
from tests.api import Api
from tests.browser.browser import DARK, DESK, LIGHT, PHONE
from tests.browser.driver import Browser
from tests.hub import HubProcess
from tests.patience import until
from tests.wallet import Handshake, Wallet, go_through

from aigne_hub.crypto.did import did_of

SESSION = "aigne-hub-session"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("wallet"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


def shown(hub, browser, action="login"):
    """Return the handshake of the code that the browser shows."""
    token = browser.url.partition("_t_=")[2]
    assert len(token) == 32, browser.url
    return Handshake(Api(hub), token, "", action)


def go_through_at(handshake, wallet, hub):
    address = f"/api/did/{handshake.action}/auth?_t_={handshake.token}"
    handshake.url = f"https://abtwallet.io/i/?url={hub.address}{address}"
    assert go_through(handshake, wallet)["status"] == "ok"


def arrives(browser, url, words):
    """Wait until the browser shows words at an address, where the page leads by itself."""

    def there():
        try:
            return browser.url == url and words in browser.html
        except AssertionError:  # it is between two pages
            return False

    until(there)


def test_a_person_signs_in_and_takes_another_wallet(hub, browser):
    first, second = Wallet(), Wallet()
    browser.go(f"{hub.address}/account")
    browser.press("form.way button")
    assert "/sign-in/wallet?_t_=" in browser.url
    go_through_at(shown(hub, browser), first, hub)
    arrives(browser, f"{hub.address}/account", did_of(first.did.address))
    assert browser.cookies()[SESSION]["httpOnly"]

    browser.go(f"{hub.address}/account/wallet")
    assert "in your wallet" in browser.html
    browser.press("section button")
    go_through_at(shown(hub, browser, "bind"), second, hub)
    arrives(browser, f"{hub.address}/account/wallet", did_of(second.did.address))

    for scheme in (LIGHT, DARK):
        for path in ("/account/wallet", "/sign-in/wallet"):
            browser.go(f"{hub.address}{path}")
            for size in (DESK, PHONE):
                browser.look(size, scheme)
                assert browser.width() == size[0], path
