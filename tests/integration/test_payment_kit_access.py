"""Who may call Payment Kit's API: every route by every kind of caller."""

import re

import pytest
from tests.hub import HubProcess
from tests.payment_kit import Program, admin_of, customer_of

from aigne_hub.web.kit.routers import kit_routers

# What a customer may ask; all else is an administrator's. A path ends with a query's meaning.
READS = {
    "/customers/me",
    "/customers/{name}",
    "/payment-currencies",
    "/payment-currencies/{currency_id}",
    "/payment-currencies/{currency_id}/recharge-config",
    "/meters",
    "/meters/{name}",
    "/meter-events",
    "/meter-events/stats",
    "/meter-events/pending-amount",
    "/meter-events/{event_id}",
    "/credit-grants",
    "/credit-grants/summary",
    "/credit-grants/verify-availability",
    "/credit-grants/{grant_id}",
    "/credit-transactions",
    "/credit-transactions/summary",
    "/credit-transactions/{transaction_id}",
    "/products",
    "/prices",
    "/prices/{name}",
    "/payment-links/{name}",
    "/checkout-sessions",
    "/checkout-sessions/{session_id}",
    "/auto-recharge-configs/customer/{name}",
    "/auto-recharge-configs/retrieve/{config_id}",
}
ITEMS = [{"price_id": "DEFAULT_CREDIT_UNIT_PRICE", "quantity": 5}]
BODIES = {
    ("POST", "/meters"): {"name": "x", "event_name": "x", "unit": "x"},
    ("POST", "/meter-events"): {
        "event_name": "pictures",
        "payload": {"customer_id": "A", "value": "1"},
        "identifier": "x",
    },
    ("POST", "/credit-grants"): {"customer_id": "A", "amount": "1"},
    ("POST", "/settings"): {"mountLocation": "x", "type": "x"},
    ("POST", "/auto-recharge-configs/submit"): {"customer_id": "A"},
    ("POST", "/payment-links"): {"line_items": ITEMS},
    ("POST", "/checkout-sessions"): {"line_items": ITEMS, "customer_id": "A"},
}
ROUTES = sorted(
    (method, route.path.removeprefix("/payment/api").replace(":path}", "}"))
    for router in kit_routers()
    for route in router.routes
    for method in route.methods
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("kit"), {"billing": {"enabled": True}}) as running:
        yield running


@pytest.fixture(scope="module")
def world(hub):
    """Customers A and B, of whom A has something of everything."""
    admin = admin_of(hub)
    a, a_id = customer_of(hub, "a@example.com")
    b, _ = customer_of(hub, "b@example.com")
    admin.post("/meters", {"name": "Pictures", "event_name": "pictures", "unit": "pictures"})
    grant = admin.grant(a_id, "5")
    event = admin.meter(a_id, "1", "seen")
    session = admin.post("/checkout-sessions", {"line_items": ITEMS, "customer_id": a_id})
    (used, _) = admin.get("/credit-transactions", customer_id=a_id)["list"]
    names = {
        "name": a_id,
        "currency_id": "credits",
        "event_id": event["id"],
        "grant_id": grant["id"],
        "session_id": session["id"],
        "config_id": a_id,
        "transaction_id": used["id"],
    }
    return {"admin": admin, "a": a, "b": b, "nobody": Program(hub, None), "names": names}


def ask(world, who, method, path, **query):
    names = dict(world["names"])
    if path.startswith("/meters"):
        names["name"] = "pictures"
    if path.startswith("/prices"):
        names["name"] = "DEFAULT_CREDIT_UNIT_PRICE"
    if path.startswith("/payment-links"):
        names["name"] = "DEFAULT_CREDIT_PAYMENT_LINK"
    concrete = re.sub(r"{(\w+)}", lambda found: names[found[1]], path)
    body = BODIES.get((method, path))
    if body is None and method != "GET":
        body = {}
    if path == "/meter-events/stats":
        query |= {"meter_id": "pictures", "start": 1_700_000_000, "end": 2_400_000_000}
    return world[who].call(method, concrete, body, **query)


def test_the_routes_are_those_of_this_table():
    assert {path for method, path in ROUTES if method == "GET"} >= READS
    assert len(ROUTES) > 30


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_in_without_a_key(world, method, path):
    status, answer = ask(world, "nobody", method, path)
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path"), [route for route in ROUTES if route[0] != "GET" or route[1] not in READS]
)
def test_what_is_an_administrators_is_refused_to_customers(world, method, path):
    status, answer = ask(world, "b", method, path)
    assert (status, answer["error"]["code"]) == (403, "forbidden")


def test_an_administrators_key_without_the_scope_is_a_customers(hub, world):
    names = world["names"]
    plain = Program(hub, hub.key)
    assert plain.call("GET", f"/customers/{names['name']}")[0] == 404
    assert plain.call("POST", "/credit-grants", BODIES["POST", "/credit-grants"])[0] == 403
    assert plain.get("/credit-grants")["count"] == 0


@pytest.mark.parametrize("path", sorted(READS))
def test_a_customer_reads_its_own(world, path):
    assert ask(world, "a", "GET", path)[0] == 200
    if path in LISTS:
        assert ask(world, "a", "GET", path)[1]["count"] > 0


# Where a customer is named in the query, or an object of A's in the path.
TOP_UPS = {path for path in READS if path.startswith("/auto-recharge")}
LISTS = {"/meter-events", "/credit-grants", "/credit-transactions", "/checkout-sessions"}
ABOUT_ONE = {path for path in READS if path.startswith(("/meter-events", "/credit-", "/checkout"))}


@pytest.mark.parametrize("path", sorted(ABOUT_ONE | {"/customers/{name}"} | TOP_UPS))
def test_what_is_another_customers_is_not_found(world, path):
    query = {} if "{" in path else {"customer_id": world["names"]["name"]}
    status, answer = ask(world, "b", "GET", path, **query)
    assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", sorted(LISTS))
def test_a_list_without_a_customer_is_the_callers_own(world, path):
    status, answer = ask(world, "b", "GET", path)
    assert (status, answer["count"], answer["list"]) == (200, 0, [])


@pytest.mark.parametrize(
    "query", [{"credit_grant_id": "grant_id"}, {"source": "event_id"}, {"meter_id": "meter"}]
)
def test_no_filter_opens_what_is_anothers(world, query):
    names = {**world["names"], "meter": "pictures"}
    asked = {name: names[value] for name, value in query.items()}
    assert world["a"].get("/credit-transactions", **asked)["count"] > 0
    assert world["b"].get("/credit-transactions", **asked)["count"] == 0


def test_a_customer_cannot_have_one_made(world):
    for query in ({"create": "true"}, {}):
        body = None if query else {"create": True}
        status, _ = world["b"].call("GET", "/customers/z1nobody", body, **query)
        assert status == 404
