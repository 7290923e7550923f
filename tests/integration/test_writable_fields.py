"""What callers may write, by field; nobody writes their own role, scopes, limits or account."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.callers import bearer, keys_of
from tests.hub import HubProcess
from tests.oauth import Person, Site

from aigne_hub.domain.access import DEFAULT_SCOPES
from aigne_hub.storage import keys, users
from aigne_hub.web.declared import Asks
from aigne_hub.web.guards import guarded
from aigne_hub.web.openapi import openapi_document
from aigne_hub.web.routers import every_router

# Everything that a key without a permission can write about its own account.
OWN = {
    ("PUT", "/api/user/alerts"): {"low_balance"},
    ("PUT", "/api/user/credit/auto-recharge"): {
        *("enabled", "provider", "threshold", "credits", "attempts_a_day", "amount_a_day"),
    },
    ("POST", "/api/user/credit/checkout"): {"credits", "provider", "save_card", "lasting"},
    ("POST", "/api/user/credit/redeem"): {"code"},
    ("POST", "/api/user/webhooks"): {"url", "types"},
    ("POST", "/api/user/webhooks/{endpoint_id}/replay"): {"event"},
    # What the account lets somebody else spend of it.
    ("PUT", "/api/user/grants/{grant_id}"): {"credit_limit", "window"},
}
# Fields that give rights, and the only routes that have them.
RIGHTS = {
    "role": {("POST", "/api/admin/users"), ("PUT", "/api/admin/users/{name}/role")},
    "scopes": {("POST", "/api/admin/users/{name}/keys")},
    "permissions": {("PUT", "/api/admin/roles/{name}")},
    "service": {("POST", "/api/admin/users")},
}
# Names under which other gateways take rights from whoever sends them.
SMUGGLED = {
    "role": "owner",
    "user_role": "owner",
    "permissions": ["roles.write"],
    "scopes": ["admin"],
    "allowed_routes": ["*"],
    "user_id": "somebody",
    "account_id": "somebody",
    "limits": [],
    "overdraft": "1000",
    "disabled": False,
}
DOCUMENT = openapi_document("http://hub", "1")
GUARDS = guarded(every_router())


def fields(schema: Any) -> Iterator[str]:
    if "$ref" in schema:
        yield from fields(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    yield from schema.get("properties", {})
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            yield from fields(part)


def written(method: str, path: str) -> set[str]:
    """Return the fields of a route's body, those of a route without one are none."""
    operation = DOCUMENT["paths"].get(path.replace(":path}", "}"), {}).get(method.lower(), {})
    content = operation.get("requestBody", {}).get("content", {})
    return {name for one in content.values() for name in fields(one.get("schema", {}))}


def test_what_a_key_without_a_permission_writes_is_listed_here():
    found = {route: written(*route) for route, access in GUARDS.items() if access.asks is Asks.KEY}
    # A call to be explained is a call, of whatever fields; it writes nothing.
    found.pop(("POST", "/api/user/explain"))
    assert {route: names for route, names in found.items() if names} == OWN


@pytest.mark.parametrize("name", RIGHTS)
def test_rights_are_given_by_these_routes_alone(name):
    assert {route for route in GUARDS if name in written(*route)} == RIGHTS[name]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("fields"), {"billing": {"enabled": True}}) as hub:
        yield Site(hub)


@pytest.fixture(scope="module")
def person(site):
    return Person.sign_in(site, "ada@example.com")


@pytest.fixture(scope="module")
def key(site, person):
    def make(hub, change):
        found = users.find(change.connection, person.user.id)
        return keys_of(hub, change, found, DEFAULT_SCOPES)

    return bearer(site.change(make).text)


def standing(site, person):
    """Return what a user is and has: role, limits and account."""
    (shown,) = [one for one in site.hub.cli("users", "list") if one["id"] == person.user.id]
    limits = site.hub.cli("limits", "list", "--user", person.user.id)
    return shown, limits, site.hub.cli("credits", "balance", "--user", person.user.id)


@pytest.mark.parametrize(("method", "path"), OWN)
def test_bodies_of_ones_own_account_take_no_other_field(method, path):
    content = DOCUMENT["paths"][path][method.lower()]["requestBody"]["content"]
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_right_in_a_body_is_refused(site, key, name):
    headers = {**key, "content-type": "application/json"}
    body = {"low_balance": ["1"]}
    for sent, status in ((body, 200), ({**body, name: SMUGGLED[name]}, 400)):
        answer = site.ask("PUT", "/api/user/alerts", json.dumps(sent).encode(), headers)
        assert answer.status == status
    assert name in answer.text


def test_forms_take_no_right_either(site, person, key):
    before = standing(site, person)
    smuggled = {name: str(value) for name, value in SMUGGLED.items()}
    csrf = person.get("/account").hidden()
    made = person.post("/account/keys", {**csrf, "name": "mine", "scope": "admin", **smuggled})
    assert made.status == 200
    (record,) = [
        one
        for one in site.change(lambda _, change: keys.listed(change.connection, person.user))
        if one.name == "mine"
    ]
    assert (record.scopes, record.user_id) == (DEFAULT_SCOPES, person.user.id)
    assert standing(site, person) == before
