"""Setting up, signing in and one's account, in a real browser whose pages run no script."""

import re

import pytest
from tests.browser.browser import BACKGROUND, DARK, DESK, LIGHT, PHONE, picture
from tests.browser.driver import Browser
from tests.hub import HubProcess
from tests.person import PASSWORD, age, newcomer
from tests.visitor import ask

from aigne_hub.storage import setup
from aigne_hub.web.session import RECENT_US

# As high as the header: to decode a picture takes longer than to take it.
STRIP = (PHONE[0], 200)
NEW = "another good password"
SESSION = "aigne-hub-session"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("people"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture
def browser(window):
    window.forget()
    window.look(DESK)
    return window


def sign_in(browser, hub, email, password=PASSWORD):
    browser.go(f"{hub.address}/account")
    assert browser.url.endswith("/sign-in?next=/account")
    browser.type("#email", email)
    browser.type("#password", password)
    browser.press("main button")


def test_the_starter_of_a_hub_makes_it_theirs(tmp_path, browser, monkeypatch):
    tokens = []
    begin = setup.begin

    def watched(*args):
        tokens.append(begin(*args))
        return tokens[-1]

    # Commands run in this process; the link is printed by a first start only.
    monkeypatch.setattr(setup, "begin", watched)
    with HubProcess(tmp_path / "hub", {}) as hub:
        browser.go(f"{hub.address}/setup/{tokens[0]}")
        browser.type("#email", "ada@example.com")
        browser.type("#password", PASSWORD)
        browser.press("main button")
        page = browser.html
        key = re.search(r"blocklet-[1-9A-Za-z]{40,}", page)[0]
        assert ask(hub, "GET", "/v1/models", key=key).status == 200
        assert browser.cookies()[SESSION]["httpOnly"]
        browser.press("main p a")
        assert browser.url == f"{hub.address}/account"
        assert "ada@example.com" in browser.html
        assert key not in browser.html
        assert "this one" in browser.html
        # The link works once, and the password is the owner's now.
        browser.go(f"{hub.address}/setup/{tokens[0]}")
        assert "has been used" in browser.html
        browser.go(f"{hub.address}/")
        browser.press("header button.link")
        sign_in(browser, hub, "ada@example.com")
        assert browser.url == f"{hub.address}/account"


def test_a_person_signs_in_makes_a_key_and_changes_the_password(hub, browser):
    _, email = newcomer(hub)
    sign_in(browser, hub, email, "not the password")
    assert "The e-mail or the password is wrong." in browser.html
    assert f'value="{email}"' in browser.html
    browser.type("#password", PASSWORD)
    browser.press("main button")
    assert browser.url == f"{hub.address}/account"

    # Made soon after signing in, and only then.
    age(hub, email, RECENT_US)
    browser.type("#name", "laptop")
    browser.press("form[action$='account/keys'] button")
    assert "Is it still you?" in browser.html
    browser.type("#password", PASSWORD)
    browser.press("main button")
    assert browser.url == f"{hub.address}/account"
    browser.type("#name", "laptop")
    browser.press("form[action$='account/keys'] button")
    key = re.search(r"blocklet-[1-9A-Za-z]{40,}", browser.html)[0]
    assert ask(hub, "GET", "/v1/models", key=key).status == 200
    browser.press("form[action$='/revoke'] button")
    assert browser.url == f"{hub.address}/account"
    assert "You have no keys." in browser.html

    before = browser.cookies()[SESSION]["value"]
    for selector, text in (("#current", PASSWORD), ("#new", NEW), ("#again", NEW)):
        browser.type(selector, text)
    browser.press("form[action$='account/password'] button")
    assert browser.url == f"{hub.address}/account"
    assert browser.cookies()[SESSION]["value"] != before

    browser.press("header button.link")
    assert browser.url == f"{hub.address}/sign-in"
    assert SESSION not in browser.cookies()
    sign_in(browser, hub, email, NEW)
    assert browser.url == f"{hub.address}/account"


def test_below_the_mount_point_people_stay_below_it(hub, browser):
    _, email = newcomer(hub)
    browser.go(f"{hub.address}/ai-kit/account")
    browser.type("#email", email)
    browser.type("#password", PASSWORD)
    browser.press("main button")
    assert browser.url == f"{hub.address}/ai-kit/account"
    browser.press("header button.link")
    assert browser.url == f"{hub.address}/ai-kit/sign-in"


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_the_pages_are_painted_and_nothing_sticks_out_on_a_phone(hub, browser, tmp_path, scheme):
    person, email = newcomer(hub)
    person.sign_in(email)
    sign_in(browser, hub, email)
    browser.type("#name", "a key with quite a long name, for a program on the laptop")
    browser.press("form[action$='account/keys'] button")
    for name, path in (("account", None), ("step-up", "/sign-in?step-up=1"), ("out", "/sign-out")):
        if path is not None:
            browser.go(f"{hub.address}{path}")
        for size in (DESK, STRIP):
            browser.look(size, scheme)
            assert browser.width() == size[0], name
        shot = picture(browser.picture(tmp_path / f"{name}.png"))
        assert shot.pixel(0, 0) == BACKGROUND[scheme]
        assert any(row != shot.rows[0] for row in shot.rows)
