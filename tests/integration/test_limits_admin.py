"""Limits as operators set them and callers see them: commands and routes."""

import time

import pytest
from tests.api import Api, admin_of
from tests.books import NOTICED_S, Books
from tests.hub import HubProcess

ADMIN = "/api/admin/limits"
PROJECT = "did:abt:zNKproject"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("limits"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def books(hub):
    with Books(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def admin(hub):
    return admin_of(hub)


def body(**changed):
    limit = {
        "subject": "user",
        "name": "customer1@example.com",
        "measure": "credits",
        "window": "day",
        "amount": "12.5",
    }
    return {**limit, **changed}


def test_a_limit_from_its_setting_to_its_removal(hub, books, admin):
    caller = books.customer()
    email = caller.user.email
    made = admin.put(ADMIN, **body(name=email, zone="Europe/Berlin"))
    assert made.status == 200
    shown = made.json
    assert shown.pop("resets_at").endswith(":00:00.000000Z")
    assert shown == {
        "limit": "user credits per day",
        "subject": "user",
        "name": caller.user.id,
        "measure": "credits",
        "window": "day",
        "zone": "Europe/Berlin",
        "amount": "12.5",
        "used": "0",
        "held": "0",
        "remaining": "12.5",
    }
    # The same measure and window again: the amount is replaced.
    assert admin.put(ADMIN, **body(name=caller.user.did, amount="3")).json["amount"] == "3"
    of_key = body(subject="key", name=caller.key_id, measure="requests", window="minute")
    assert admin.put(ADMIN, **of_key | {"amount": "60"}).json["remaining"] == "60"
    listed = admin.get(ADMIN, user=email).json["limits"]
    assert [(row["subject"], row["amount"], row["zone"]) for row in listed] == [
        ("key", "60", "UTC"),
        ("user", "3", "UTC"),
    ]
    gone = {"subject": "user", "name": email, "measure": "credits", "window": "day"}
    assert admin.delete(ADMIN, **gone).json == {"ok": True}
    assert admin.delete(ADMIN, **gone).code == "not_found"
    assert len(admin.get(ADMIN, user=email).json["limits"]) == 1


def test_a_caller_sees_what_binds_it_and_nothing_else(hub, books, admin):
    caller, other = books.customer(), books.customer()
    for customer in (caller, other):
        admin.put(ADMIN, **body(name=customer.user.id))
    admin.put(
        ADMIN,
        **body(subject="key", name=caller.key_id, measure="streams", window="total", amount="2"),
    )
    admin.put(
        ADMIN, **body(subject="project", name=PROJECT, measure="tokens", window="month", amount="9")
    )
    time.sleep(NOTICED_S)
    mine = Api(hub, caller.key)
    own = mine.get("/api/user/limits").json["limits"]
    assert {(row["subject"], row["name"]) for row in own} == {
        ("key", caller.key_id),
        ("user", caller.user.id),
    }
    project = {"x-aigne-hub-client-did": PROJECT}
    bound = mine.send("GET", "/api/user/limits", headers=project).json["limits"]
    assert ("project", PROJECT, "9") in {(r["subject"], r["name"], r["amount"]) for r in bound}
    assert len(bound) == 3


@pytest.mark.parametrize(
    ("changed", "status", "word"),
    [
        ({"amount": "-1"}, 400, "limit is 0"),
        ({"amount": "1e3"}, 400, "decimal"),
        ({"amount": "0.0000000001"}, 400, "decimal places"),
        ({"amount": "9" * 30}, 400, "more than"),
        ({"amount": 5}, 400, "amount"),
        ({"measure": "requests", "amount": "1.5"}, 400, "whole number"),
        ({"measure": "requests", "amount": "²"}, 400, "whole number"),
        ({"measure": "requests", "amount": "9" * 40}, 400, "limit is 0"),
        ({"window": "minute"}, 400, "not limited per minute"),
        ({"measure": "streams", "amount": "1"}, 400, "not limited per day"),
        ({"measure": "pages"}, 400, "measure"),
        ({"window": "year"}, 400, "window"),
        ({"zone": "Europe/Atlantis"}, 400, "time zone"),
        ({"zone": "../etc/passwd"}, 400, "time zone"),
        ({"name": "nobody@example.com"}, 404, "no user"),
        ({"subject": "key", "name": "nothing"}, 404, "no key"),
        ({"subject": "project", "name": "a\nb"}, 400, "names"),
        ({"extra": 1}, 400, "extra"),
    ],
)
def test_what_is_no_limit_is_refused_in_words(admin, books, changed, status, word):
    if not books.customers:
        books.customer()
    answer = admin.put(ADMIN, **body(**changed))
    assert (answer.status, word in answer.message) == (status, True), answer.text


def test_only_an_administrator_sets_limits(hub, books):
    member = Api(hub, books.customer().key)
    for answer in (member.get(ADMIN), member.put(ADMIN, **body()), member.delete(ADMIN)):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert Api(hub).get("/api/user/limits").status == 401
