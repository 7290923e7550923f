"""Somebody else's id is answered as an id that does not exist: same status, body and headers.

Every route with a name in its path stands in a table here, by what the name is of.
"""

import http.client
import json
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import insert
from tests.callers import bearer, keys_of
from tests.hub import HubProcess
from tests.oauth import COOKIE, FORM, Person, Site
from tests.payment_kit import Program, admin_of

from aigne_hub.domain.access import Scope
from aigne_hub.gateway.routes import served
from aigne_hub.storage import schema, users
from aigne_hub.web.declared import Asks
from aigne_hub.web.guards import guarded
from aigne_hub.web.routers import every_router

USER = frozenset({Scope.INFERENCE, Scope.MODELS})
ITEMS = [{"price_id": "DEFAULT_CREDIT_UNIT_PRICE", "quantity": 5}]
# The parameter of a path, by the path, and whose object it names.
OWNED = {
    "/account/keys/{key_id}/revoke": "key",
    "/account/sessions/{session_id}/end": "session",
    "/account/programs/{grant_id}/revoke": "client",
    "/api/user/grants/{grant_id}": "client",
    "/api/user/sessions/{session_id}": "session",
    "/api/user/webhooks/{endpoint_id}": "webhook",
    "/api/user/webhooks/{endpoint_id}/test": "webhook",
    "/api/user/webhooks/{endpoint_id}/replay": "webhook",
    "/api/user/webhooks/{endpoint_id}/deliveries": "webhook",
    "/payment/api/customers/{name}": "customer",
    "/payment/api/meter-events/{event_id}": "event",
    "/payment/api/credit-grants/{grant_id:path}": "grant",
    "/payment/api/credit-transactions/{transaction_id}": "transaction",
    "/payment/api/checkout-sessions/{session_id}": "order",
    "/payment/api/auto-recharge-configs/customer/{name}": "customer",
    "/payment/api/auto-recharge-configs/retrieve/{config_id}": "customer",
}
CALLS = {
    "/v1/responses/{id}": "response",
    "/v1/responses/{id}/cancel": "response",
    "/v1/responses/{id}/input_items": "response",
    "/v1/videos/{id}": "video",
    "/v1/videos/{id}/content": "video",
}
# What belongs to no account: any key may see it.
SHARED = {
    "/payment/api/payment-currencies/{currency_id}",
    "/payment/api/payment-currencies/{currency_id}/recharge-config",
    "/payment/api/meters/{name}",
    "/payment/api/prices/{name}",
    "/payment/api/payment-links/{name}",
    "/api/ai-providers/{provider_id}/model-rates",
    "/api/ai/{provider_id}/model-rates",
}
BODIES = {
    "/api/user/grants/{grant_id}": {"credit_limit": "1"},
    "/api/user/webhooks/{endpoint_id}/replay": {"event": "none"},
}
QUERIES = {
    "/payment/api/meter-events": {},
    "/payment/api/meter-events/pending-amount": {},
    "/payment/api/meter-events/stats": {"meter_id": "pictures", "start": "0", "end": "86400"},
    "/payment/api/credit-grants": {},
    "/payment/api/credit-grants/summary": {},
    "/payment/api/credit-grants/verify-availability": {"pending_amount": "1"},
    "/payment/api/credit-transactions": {},
    "/payment/api/credit-transactions/summary": {},
    "/payment/api/checkout-sessions": {},
}
# Headers that are new each time.
FRESH = {"date", "x-request-id", "server-timing", "x-aigne-hub-call-id"}
GUARDS = {
    (method, path): access
    for (method, path), access in guarded(every_router()).items()
    if access.asks in {Asks.KEY, Asks.SESSION} and "{" in path
}
SERVED = [one for one in served() if "{id}" in one.path]


@dataclass(frozen=True)
class World:
    """Two tenants, and what the first has."""

    site: Site
    mine: dict[str, str]
    owner: Person
    owner_key: dict[str, str]
    other: Person
    other_key: dict[str, str]

    def ask(self, person, key, method, path, *, body=None, page=False, query=None):
        if page:
            headers = {"cookie": f"{COOKIE}={person.cookie}", "content-type": FORM}
            sent = urlencode({"csrf": person.get("/account").hidden()["csrf"]})
        else:
            headers = {**key, "content-type": "application/json"}
            sent = None if method in {"GET", "HEAD", "DELETE"} else json.dumps(body or {})
        line = http.client.HTTPConnection("127.0.0.1", self.site.hub.port, timeout=60)
        try:
            target = f"{path}?{urlencode(query)}" if query else path
            line.request(method, target, sent, headers)
            answer = line.getresponse()
            shown = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, shown, answer.read().decode()
        finally:
            line.close()

    def stranger(self, *arguments, **options):
        return self.ask(self.other, self.other_key, *arguments, **options)

    def tenant(self, *arguments, **options):
        return self.ask(self.owner, self.owner_key, *arguments, **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("tenants"), {"billing": {"enabled": True}}) as hub:
        site = Site(hub)
        a, b = (Person.sign_in(site, f"{name}@example.com") for name in "ab")
        made = [
            site.change(
                lambda hub, change, who=who: keys_of(
                    hub, change, users.find(change.connection, who.user.id), USER
                )
            )
            for who in (a, b)
        ]
        a_key, b_key = (bearer(one.text) for one in made)
        yield World(site, _belongings(site, a, made[0], a_key), a, a_key, b, b_key)


def _belongings(site, a, key, header):
    admin, customer = admin_of(site.hub), a.user.id
    program = Program(site.hub, key.text)
    admin.post("/meters", {"name": "Pictures", "event_name": "pictures", "unit": "pictures"})
    grant = admin.grant(customer, "5")
    event = admin.meter(customer, "1", "seen")
    order = admin.post("/checkout-sessions", {"line_items": ITEMS, "customer_id": customer})
    (used, _) = program.get("/credit-transactions")["list"]
    sent = {**header, "content-type": "application/json"}
    hook = json.dumps({"url": "https://hooks.example.com/a"}).encode()
    webhook = site.ask("POST", "/api/user/webhooks", hook, sent)
    assert webhook.status == 201, webhook.text
    a.tokens(site.client())
    (client,) = site.bearer("/api/user/grants", key.text).json["grants"]
    (session,) = site.bearer("/api/user/sessions", key.text).json["sessions"]
    kept = {"response": "resp_0123456789abcdef", "video": "video_0123456789abcdef"}
    for kind, identifier in kept.items():
        site.change(
            lambda hub, change, kind=kind, identifier=identifier: _keep(
                hub, change, customer, kind, identifier
            )
        )
    return {
        "key": key.record.id,
        "session": session["id"],
        "client": client["id"],
        "webhook": webhook.json["id"],
        "customer": customer,
        "event": event["id"],
        "grant": grant["id"],
        "transaction": used["id"],
        "order": order["id"],
        **kept,
    }


def _keep(hub, change, account, kind, identifier):
    change.audit("test.keep", identifier)
    change.connection.execute(
        insert(schema.upstream_object).values(
            account_id=account,
            id=identifier,
            kind=kind,
            provider="demo",
            credential="builtin",
            model="demo/echo",
            call_id="none",
            created_us=hub.clock.now_us(),
        )
    )


def missing(identifier):
    """Return an id of the same shape that nobody has."""
    return re.sub(r"[0-9a-f]", lambda found: "f" if found[0] != "f" else "0", identifier)


def same(answer, identifier):
    status, headers, body = answer
    kept = {name: value for name, value in headers.items() if name not in FRESH}
    hidden = re.sub(r'name="csrf" value="[^"]*"', "", body.replace(identifier, "ID"))
    hidden = re.sub(r'"request_id": ?"[^"]*"', "", hidden)
    return status, kept, hidden


def test_every_name_in_a_path_is_somebodys_or_everybodys():
    paths = {path for _, path in GUARDS} | {one.path for one in SERVED}
    assert paths == OWNED.keys() | CALLS.keys() | SHARED


@pytest.mark.parametrize(("method", "path"), [one for one in GUARDS if one[1] in OWNED])
def test_anothers_object_is_answered_as_none(world, method, path):
    mine = world.mine[OWNED[path]]
    page, body = path.startswith("/account"), BODIES.get(path)
    seen = []
    for identifier in (mine, missing(mine)):
        target = re.sub(r"{[^}]+}", quote(identifier, safe=""), path)
        answer = world.stranger(method, target, body=body, page=page)
        seen.append(same(answer, identifier))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404
    if method == "GET":
        target = re.sub(r"{[^}]+}", quote(mine, safe=""), path)
        assert world.tenant("GET", target)[0] == 200


@pytest.mark.parametrize("one", SERVED, ids=lambda one: f"{one.method} {one.path}")
def test_anothers_stored_object_is_answered_as_none(world, one):
    mine = world.mine[CALLS[one.path]]
    seen = []
    for identifier in (mine, missing(mine)):
        answer = world.stranger(one.method, one.path.replace("{id}", identifier))
        seen.append(same(answer, identifier))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404


@pytest.mark.parametrize("path", QUERIES)
def test_another_customer_in_a_query_is_answered_as_none(world, path):
    customer = world.mine["customer"]
    seen = []
    for identifier in (customer, missing(customer)):
        query = {**QUERIES[path], "customer_id": identifier}
        seen.append(same(world.stranger("GET", path, query=query), identifier))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404
    own = world.tenant("GET", path, query={**QUERIES[path], "customer_id": customer})
    assert own[0] == 200


def test_nothing_of_the_first_tenant_is_gone(world):
    """What was tried above has deleted, ended and changed nothing."""
    header = world.owner_key["authorization"].removeprefix("Bearer ")
    (client,) = world.site.bearer("/api/user/grants", header).json["grants"]
    assert client["id"] == world.mine["client"]
    (session,) = world.site.bearer("/api/user/sessions", header).json["sessions"]
    assert session["id"] == world.mine["session"]
    (webhook,) = world.site.bearer("/api/user/webhooks", header).json["webhooks"]
    assert webhook["id"] == world.mine["webhook"]
