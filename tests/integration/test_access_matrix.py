"""Every route, asked by everybody: each is let in, or refused, as the route declares.

The rows are those of the routers and of the data plane's table, so a new route is in it. A
caller who is let in asks for something that is not there, or sends nothing of use: whatever
the answer is, it is not about who asks.
"""

import http.client
import re
from urllib.parse import urlencode

import pytest
from tests.callers import Caller, everybody, with_and_without
from tests.hub import HubProcess
from tests.oauth import FORM, Site

from aigne_hub.gateway.routes import Served, served
from aigne_hub.web.api.access import COOKIE_PATHS
from aigne_hub.web.declared import Access, Asks
from aigne_hub.web.guards import guarded
from aigne_hub.web.routers import every_router

GUARDS = guarded(every_router())
DATA_PLANE = list(served())
LET_IN, UNKNOWN, FORBIDDEN, SIGN_IN = "let in", 401, 403, 303
SAFE = {"GET", "HEAD"}
# What OAuth clients are not even shown.
PRIVATE = {("GET", "/api/user/sessions")}
# Routes that ask nothing of their caller here, and say 401 or 403 of their own accord.
OWN_ACCORD = ("/oauth/", "/api/app/", "/sign-in", "/sign-out", "/api/did/", "/.well-known/service/")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("matrix"), {}) as hub:
        yield Site(hub)


@pytest.fixture(scope="module")
def callers(site):
    return everybody(site)


@pytest.fixture
def line(site):
    made = Line(site)
    yield made
    made.close()


class Line:
    """One kept connection, on which one request is sent after the other."""

    def __init__(self, site):
        self._address = site.hub.address
        self._line = http.client.HTTPConnection("127.0.0.1", site.hub.port, timeout=60)

    def ask(self, caller, method, path, csrf=""):
        headers, body = dict(caller.headers), None
        if method not in SAFE | {"DELETE"}:
            page = not path.startswith(("/api/", "/payment/api/", "/v1", "/v2"))
            body = urlencode({"csrf": csrf}) if page else "{}"
            headers["content-type"] = FORM if page else "application/json"
        target = re.sub(r"{[^}]+}", "none", path)
        if caller.app is not None:
            url, sent = f"{self._address}{target}", (body or "").encode()
            headers |= caller.app.message(url, sent, method=method)
        self._line.request(method, target, body, headers)
        answer = self._line.getresponse()
        return answer.status, answer.read()

    def close(self):
        self._line.close()

    def csrf_of(self, caller):
        status, page = self.ask(caller, "GET", "/account")
        assert status == 200
        return re.search(rb'name="csrf" value="([^"]+)"', page)[1].decode()


def expected(access: Access, caller: Caller, method: str, path: str) -> object:
    """Return how a caller fares at a route of the control plane."""
    if access.asks is Asks.NOTHING:
        return LET_IN
    if access.asks is Asks.SESSION:
        return LET_IN if caller.cookie else SIGN_IN
    if not knows(access, caller, path):
        return UNKNOWN
    if caller.cookie or caller.app is not None:
        return LET_IN
    if access.asks is Asks.KEY:
        kept = method not in SAFE or (method, path) in PRIVATE
        return FORBIDDEN if caller.client and kept else LET_IN
    return LET_IN if caller.may(access.permission) else FORBIDDEN


def knows(access: Access, caller: Caller, path: str) -> bool:
    """Tell whether a caller proves who it is in a way that a route takes."""
    if caller.is_anonymous or caller.dead:
        return False
    if caller.cookie:
        return access.asks is Asks.KEY and path.startswith(COOKIE_PATHS)
    if caller.app is not None:
        return access.asks is Asks.SIGNATURE
    return access.asks is not Asks.SIGNATURE or access.permission is not None


def expected_of_a_call(one: Served, caller: Caller) -> object:
    if caller.is_anonymous or caller.dead or caller.cookie:
        return UNKNOWN
    if one.signed or caller.app is not None:
        return LET_IN if one.signed and caller.app is not None else UNKNOWN
    return LET_IN if one.scope in caller.scopes else FORBIDDEN


def fared(status: int, body: bytes) -> object:
    """Return what an answer says of the caller. Nothing may break, and every path is served."""
    assert status < 500 or status == 503, (status, body[:300])
    assert b"Nothing is served at" not in body
    if status == SIGN_IN:
        return SIGN_IN
    return status if status in {UNKNOWN, FORBIDDEN} else LET_IN


def test_the_data_plane_lets_in_whose_key_has_the_scope(line, callers):
    wrong = []
    for one in DATA_PLANE:
        for caller in callers:
            found = fared(*line.ask(caller, one.method, one.path))
            if found != expected_of_a_call(one, caller):
                wrong.append((one.method, one.path, caller.name, found))
    assert wrong == []


def test_the_control_plane_lets_in_whom_its_routes_declare(line, callers):
    wrong = []
    csrf = {caller.name: line.csrf_of(caller) for caller in callers if caller.cookie}
    for (method, path), access in GUARDS.items():
        if access.asks is Asks.NOTHING:
            continue
        for caller in callers:
            found = fared(*line.ask(caller, method, path, csrf.get(caller.name, "")))
            wanted = expected(access, caller, method, path)
            if found != wanted and not (found == SIGN_IN and wanted == LET_IN and caller.cookie):
                wrong.append((method, path, caller.name, found, wanted))
    assert wrong == []


def test_a_role_of_ones_own_is_let_in_by_its_permission_alone(line, site):
    wrong, pairs = [], with_and_without(site)
    for (method, path), access in GUARDS.items():
        if access.permission not in pairs:
            continue
        for caller in pairs[access.permission]:
            found = fared(*line.ask(caller, method, path))
            if found != expected(access, caller, method, path):
                wrong.append((method, path, caller.name, found))
    assert wrong == []


def test_what_is_open_to_all_does_not_look_at_the_caller(line, callers):
    wrong = []
    for (method, path), access in GUARDS.items():
        if access.asks is not Asks.NOTHING or path.startswith(OWN_ACCORD):
            continue
        answers = {caller.name: fared(*line.ask(caller, method, path)) for caller in callers}
        refused = {name for name, found in answers.items() if found in {UNKNOWN, FORBIDDEN}}
        if refused:
            wrong.append((method, path, refused))
    assert wrong == []


HOSTS = ("x/?", "x/#", "x/health/live?", "localhost@x", "x:80:80", "", "[::1", "x/..;/health/live")
# Headers by which other servers are told of another path, method, caller or place.
OVERRIDES = {
    "x-original-url": "/health/live",
    "x-rewrite-url": "/health/live",
    "x-forwarded-path": "/health/live",
    "x-forwarded-prefix": "/health/live",
    "x-http-method-override": "OPTIONS",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-user": "owner",
    "x-user-did": "did:abt:z1",
    "x-user-role": "owner",
}


def test_no_host_and_no_other_header_opens_a_route(line):
    """What decides is the endpoint that was found, not an address put together from headers."""
    hosts = [Caller(f"host {host!r}", {"host": host}) for host in HOSTS]
    wrong = []
    for (method, path), access in GUARDS.items():
        if access.asks is not Asks.PERMISSION:
            continue
        for caller in (*hosts, Caller("overrides", dict(OVERRIDES))):
            status, _ = line.ask(caller, method, path)
            if status not in {400, UNKNOWN}:
                wrong.append((method, path, caller.name, status))
    assert wrong == []


@pytest.mark.parametrize("before", ["/ai-kit", "//ai-kit", "/health/live/..", "/%2e", "/static/.."])
def test_no_spelling_of_a_path_opens_a_route(line, before):
    wrong = []
    for (method, path), access in GUARDS.items():
        if access.asks is Asks.PERMISSION:
            for spelt in (f"{before}{path}", f"{before}{path}/"):
                status, _ = line.ask(Caller("anonymous", {}), method, spelt)
                mounted = before == "/ai-kit" and spelt.endswith(path)
                if status not in ({UNKNOWN} if mounted else {400, UNKNOWN, 404, 405}):
                    wrong.append((method, spelt, status))
    assert wrong == []
