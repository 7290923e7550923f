"""People sign in, are seen and sign out: over HTTP, on both databases."""

import json
import threading

import pytest
from tests.hub import HubProcess
from tests.person import (
    PASSWORD,
    Person,
    elsewhere,
    id_of,
    leads_to,
    newcomer,
    rows,
)
from tests.visitor import ask

from aigne_hub.storage import schema

SESSION, DEVICE = "aigne-hub-session", "aigne-hub-device"
WRONG = "The e-mail or the password is wrong."


@pytest.fixture(scope="module")
def hub(tmp_path_factory, database, database_for):
    folder = tmp_path_factory.mktemp("people")
    with HubProcess(folder, {}, database_url=database_for(database)) as running:
        yield running


def test_a_person_signs_in_and_out(hub):
    person, email = newcomer(hub)
    assert leads_to(person.get("/account"), "/account") == "/sign-in?next=/account"
    done = person.sign_in(f" {email.upper()} ", page="/sign-in?next=/account", next="/account")
    assert leads_to(done, "/sign-in") == "/account"
    page = person.get("/account")
    assert page.status == 200
    assert email in page.text
    assert "no-store" in page.headers["cache-control"]
    token = person.token
    assert leads_to(person.fill("/account", {}, "/sign-out"), "/sign-out") == "/sign-in"
    assert person.token is None
    # The cookie opens nothing any more, whoever still has it.
    person.cookies[SESSION] = token
    assert person.get("/account").status == 303
    assert ask(hub, "GET", "/api/user/info", headers={"cookie": f"{SESSION}={token}"}).status == 401


def test_signing_in_makes_a_new_session_and_ends_the_one_before(hub):
    person, email = newcomer(hub)
    person.cookies[SESSION] = "1" * 43
    person.sign_in(email)
    first = person.token
    assert first != "1" * 43
    user_id = id_of(hub, email)
    again = person.sign_in(email, page="/sign-in?step-up=1", **{"step-up": "1"})
    assert again.status == 303
    assert person.token not in (first, None)
    assert len(rows(hub, schema.session, schema.session.c.user_id == user_id)) == 1
    old = Person(hub, cookies={SESSION: first})
    assert old.get("/account").status == 303


@pytest.mark.parametrize("what", ["wrong", "unknown", "nothing", "disabled", "hash", "sql", "nul"])
def test_whatever_is_wrong_gets_one_answer(hub, what):
    person, email = newcomer(hub, password=None if what == "nothing" else PASSWORD)
    password = PASSWORD
    if what == "wrong":
        password = PASSWORD.upper()
    elif what == "unknown":
        email = "nobody@example.com"
    elif what == "disabled":
        hub.cli("users", "disable", "--user", email)
    elif what == "hash":
        user_id = id_of(hub, email)
        (row,) = rows(hub, schema.password, schema.password.c.user_id == user_id)
        password = row.hash
    elif what == "sql":
        email = "' OR 1=1 --@example.com"
    elif what == "nul":
        email = "a\x00@b\udcff.com".encode("utf-8", "surrogateescape").decode("latin-1")
    answer = person.sign_in(email, password)
    assert answer.status == 401
    assert WRONG in answer.text
    assert person.token is None
    assert "set-cookie" not in {name for name in answer.headers if SESSION in answer.headers[name]}


def test_a_disabled_user_is_out_at_once(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    hub.cli("users", "disable", "--user", email)
    assert person.get("/account").status == 303


ODD = [
    ("DELETE", "/api/user/grants/%00"),
    ("DELETE", "/api/user/webhooks/a%00b"),
    ("GET", "/api/admin/limits?user=a%00"),
    ("GET", "/payment/checkout/pay/a%00"),
    ("POST", "/api/admin/calls/%00/refund"),
]


@pytest.mark.parametrize(("method", "path"), ODD)
def test_a_nul_in_an_address_is_the_senders_mistake_on_either_database(hub, method, path):
    key = hub.cli("keys", "create", "--user", hub.user, "--scope", "admin")["key"]
    body = {} if method == "POST" else None
    assert ask(hub, method, path, key=key, body=body).status in (200, 400, 404)


def guess(person, email):
    """Guess until it is too often; return how often that was, and the answer."""
    for number in range(12):
        answer = person.sign_in(email, f"guess number {number}")
        if answer.status != 401:
            return number, answer
    raise AssertionError("nobody is slowed down")


def test_guessing_is_slowed_down_for_who_guesses_and_for_nobody_else(hub):
    owner, email = newcomer(hub)
    owner.sign_in(email)
    owner.fill("/account", {}, "/sign-out")
    guessed, answer = guess(Person(hub, elsewhere()), email)
    assert guessed >= 5
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Too many wrong tries" in answer.text
    # The owner's own browser, and the owner elsewhere, are let in.
    assert owner.sign_in(email).status == 303
    assert Person(hub, elsewhere()).sign_in(email).status == 303


def test_guessing_at_an_account_that_does_not_exist_is_answered_the_same(hub):
    guessed, answer = guess(Person(hub, elsewhere()), "nobody@example.com")
    assert guessed >= 5
    assert answer.status == 429
    assert "Too many wrong tries" in answer.text


def test_a_thousand_guesses_at_once_are_no_more_than_one_after_the_other(hub):
    _, email = newcomer(hub)
    guesser = Person(hub, "203.0.113.200")
    csrf, answers = guesser.csrf("/sign-in"), []

    def guess(number):
        form = {"csrf": csrf, "email": email, "password": f"guess number {number}"}
        answers.append(guesser.post("/sign-in", form).status)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {401, 429, 503}
    # The twelfth comes two minutes after the fifth.
    assert 1 <= answers.count(401) < 12


def test_sessions_are_seen_and_ended_by_their_owner_alone(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    phone = Person(hub, "198.51.100.9")
    phone.sign_in(email)
    other, other_email = newcomer(hub)
    other.sign_in(other_email)
    listed = json.loads(person.get("/api/user/sessions").body)["sessions"]
    assert [one["current"] for one in listed].count(True) == 1
    theirs = next(one["id"] for one in listed if not one["current"])
    refused = other.fill("/account", {}, f"/account/sessions/{theirs}/end")
    assert refused.status == 404
    assert phone.get("/account").status == 200
    own = {"sec-fetch-site": "same-origin", "accept": "*/*"}
    for odd in ("%00", "a%00b", "%27", "..%2f", "%ed%b3%bf", "x" * 64):
        assert person.send("DELETE", f"/api/user/sessions/{odd}", None, own).status == 404, odd
        assert person.fill("/account", {}, f"/account/sessions/{odd}/end").status == 404, odd
    assert person.fill("/account", {}, f"/account/sessions/{theirs}/end").status == 303
    assert phone.get("/account").status == 303
    assert person.get("/account").status == 200


def test_a_new_password_ends_every_other_session(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    phone = Person(hub, person.address)
    phone.sign_in(email)
    before, new = person.token, "another good password"
    form = {"current": PASSWORD, "new": new, "again": new}
    wrong = person.fill("/account", {**form, "current": "wrong"}, "/account/password")
    assert wrong.status == 403
    assert "current password is wrong" in wrong.text
    assert phone.get("/account").status == 200
    assert person.fill("/account", form, "/account/password").status == 303
    assert person.token != before
    assert person.get("/account").status == 200
    assert phone.get("/account").status == 303
    assert Person(hub, cookies={SESSION: before}).get("/account").status == 303
    fresh = Person(hub, "198.51.100.10")
    assert fresh.sign_in(email).status == 401
    assert fresh.sign_in(email, new).status == 303


def test_an_operator_sees_and_ends_sessions(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    phone = Person(hub, person.address)
    phone.sign_in(email)
    listed = hub.cli("users", "sessions", email)
    assert {one["method"] for one in listed} == {"password"}
    assert hub.cli("users", "sessions", email, "--revoke", listed[0]["id"])["ok"]
    assert [person.get("/account").status, phone.get("/account").status].count(303) == 1
    assert hub.run("users", "sessions", email, "--revoke", listed[0]["id"]).returncode == 4
    assert hub.cli("users", "sessions", email, "--all")["sessions_ended"] == 1
    assert [person.get("/account").status, phone.get("/account").status] == [303, 303]
    assert hub.run("users", "sessions", email, "--all", "--revoke", "x").returncode == 2
    assert hub.run("users", "sessions", "nobody@example.com").returncode == 4


def told(hub, event):
    lines = (json.loads(line) for line in hub.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def test_who_signs_in_and_who_is_refused_is_on_record(hub):
    person, email = newcomer(hub)
    user_id = id_of(hub, email)
    assert person.sign_in(email, "a secret that is wrong").status == 401
    assert person.sign_in("a secret in the wrong box", "x").status == 401
    tried = [one for one in told(hub, "a sign-in was refused") if one["address"] == person.address]
    assert [(one["user"], one["code"], one["factor"]) for one in tried] == [
        (user_id, "unauthenticated", "password"),
        ("", "unauthenticated", "password"),
    ]
    assert all(one["timestamp"].endswith("Z") for one in tried)
    person.sign_in(email)
    begun = rows(hub, schema.audit_log, schema.audit_log.c.action == "session.begin")
    assert json.loads(begun[-1].detail) == {"user": user_id, "method": "password"}
    wrong = {"current": "wrong", "new": "another good password", "again": "another good password"}
    assert person.fill("/account", wrong, "/account/password").status == 403
    assert told(hub, "a sign-in was refused")[-1]["path"] == "/account"
    assert "secret" not in hub.log()


def test_who_lacks_a_right_is_in_the_log(hub):
    key = hub.cli("keys", "create", "--user", hub.user)["key"]
    assert ask(hub, "GET", "/api/admin/users", key=key).status == 403
    (refused,) = told(hub, "a request was refused")[-1:]
    assert (refused["code"], refused["method"], refused["path"]) == (
        "forbidden",
        "GET",
        "/api",
    )
    forged = f"{key[:-1]}{'2' if key[-1] != '2' else '3'}"
    before = len(told(hub, "a key was refused"))
    for _ in range(2):
        assert ask(hub, "GET", "/v1/models", key=forged).status == 401
    first, second = told(hub, "a key was refused")[before:]
    assert first["key"] == second["key"]
    assert key[12:] not in hub.log()
