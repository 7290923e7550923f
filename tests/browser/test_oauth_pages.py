"""Allowing a program and a device something, in a real browser whose pages run no script."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.browser.browser import DARK, DESK, LIGHT, PHONE
from tests.browser.driver import Browser
from tests.hub import HubProcess
from tests.oauth import Site, redemption, request
from tests.person import PASSWORD, newcomer

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("allow"), {"billing": {"enabled": True}}) as hub:
        yield Site(hub)


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture
def browser(window):
    window.forget()
    window.look(DESK)
    return window


@pytest.fixture
def program():
    """A native client's own address; yields it and the addresses that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = b"<!doctype html><title>Back</title>You can close this page."
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/cb", asked
        server.shutdown()
        thread.join()


def sign_in(browser, email):
    browser.type("#email", email)
    browser.type("#password", PASSWORD)
    browser.press("main button")


def test_a_person_signs_in_allows_a_program_and_goes_back_to_it(site, browser, program, tmp_path):
    address, asked = program
    app = site.client(redirect_uris=["http://127.0.0.1/cb"], client_name="Notebook")
    _, email = newcomer(site.hub)
    query = urlencode(request(app, redirect_uri=address, scope="openid inference"))
    browser.go(f"{site.hub.address}/oauth/authorize?{query}")
    assert "/sign-in" in browser.url
    sign_in(browser, email)
    page = browser.html
    assert "/oauth/authorize" in browser.url
    for shown in ("Notebook", "registered itself", "spends your credit", email):
        assert shown in page
    assert 'value="10"' in page
    for size, scheme, name in ((DESK, LIGHT, "desk"), (PHONE, DARK, "phone")):
        browser.look(size, scheme)
        browser.picture(tmp_path / f"{name}.png")
    browser.press("button[value='allow']")
    assert browser.url.startswith(address + "?")
    (code,) = parse_qs(urlsplit(browser.url).query)["code"]
    assert len([path for path in asked if "code=" in path]) == 1
    given = site.token(**redemption(app, code, redirect_uri=address))
    assert given.status == 200
    # A native client asks again, and may be refused.
    browser.go(f"{site.hub.address}/oauth/authorize?{query}")
    browser.press("button[value='deny']")
    assert "error=access_denied" in browser.url


def test_a_person_types_the_code_of_a_device(site, browser):
    app = site.client(grant_types=[DEVICE], redirect_uris=[], client_name="Television")
    begun = site.form("/oauth/device_authorization", {"client_id": app}).json
    _, email = newcomer(site.hub)
    browser.go(begun["verification_uri"])
    sign_in(browser, email)
    browser.type("#user_code", begun["user_code"].lower())
    browser.press("main form button")
    assert "Television" in browser.html
    assert "127.0.0.1" in browser.html
    browser.press("button[value='allow']")
    assert "Allowed" in browser.html
    given = site.token(grant_type=DEVICE, client_id=app, device_code=begun["device_code"])
    assert given.status == 200


def test_a_request_that_is_wrong_is_told_on_a_page(site, browser):
    browser.go(f"{site.hub.address}/oauth/authorize?client_id=nobody")
    assert browser.has("[role='alert']")
    assert "Nothing was allowed" in browser.html
