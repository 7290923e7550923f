"""What belongs to people who are signed in, and when they have to prove again who they are."""

import base64
import html
import re
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from tests import oauth
from tests.hub import HubProcess
from tests.oauth import Site
from tests.patience import until
from tests.person import (
    PASSWORD,
    Person,
    age,
    elsewhere,
    id_of,
    leads_to,
    newcomer,
    rows,
    set_password,
)
from tests.visitor import ask

from aigne_hub.storage import schema
from aigne_hub.storage.engine import create_engine, writing
from aigne_hub.web.session import RECENT_US

SESSION, DEVICE = "aigne-hub-session", "aigne-hub-device"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("account"), {}) as running:
        yield running


def cookie_of(answer, name):
    (line,) = [one for one in answer.set_cookies if one.startswith(f"{name}=")]
    return line


@pytest.fixture(scope="module")
def traveller(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    return person


def test_cookies_are_kept_from_scripts_and_other_sites(hub):
    person, email = newcomer(hub)
    done = person.sign_in(email)
    for name in (SESSION, DEVICE):
        parts = {part.strip().lower() for part in cookie_of(done, name).split(";")[1:]}
        assert {"httponly", "path=/", "samesite=lax"} <= parts
        assert not any(part.startswith("domain") for part in parts)


@pytest.mark.parametrize(
    "headers",
    [{"x_forwarded_proto": "https", "host": "hub.example.com"}, {"host": "hub.example.com"}],
)
def test_cookies_are_for_tls_alone_anywhere_but_on_the_machine_itself(hub, headers):
    person, email = newcomer(hub)
    token = re.search(r'name="csrf" value="(\w+)"', person.get("/sign-in", **headers).text)[1]
    form = {"csrf": token, "email": email, "password": PASSWORD}
    done = person.post("/sign-in", form, **headers)
    assert done.status == 303
    line = cookie_of(done, f"__Host-{SESSION}").lower()
    assert "; secure" in line
    assert "; path=/" in line
    assert "domain" not in line
    # A cookie of the plain name is none here.
    token = person.cookies.pop(f"__Host-{SESSION}")
    assert person.get("/account", cookie=f"{SESSION}={token}", **headers).status == 303


def test_a_hub_without_tls_says_why_nobody_stays_signed_in(hub):
    person, _ = newcomer(hub, password=None)
    assert "reached without TLS" in person.get("/sign-in", host="hub.example.com").text
    assert "reached without TLS" not in person.get("/sign-in").text


def test_somebody_else_who_signs_in_replaces_the_session(hub):
    person, email = newcomer(hub)
    _, other = newcomer(hub)
    person.sign_in(email)
    person.get("/sign-in")
    first = person.token
    page = person.get("/account")
    assert email in page.text
    # The sign-in page of a signed-in person leads on; the form still works.
    token = person.csrf("/sign-in?step-up=1")
    done = person.post("/sign-in", {"csrf": token, "email": other, "password": PASSWORD})
    assert done.status == 303
    assert other in person.get("/account").text
    assert Person(hub, cookies={SESSION: first}).get("/account").status == 303


def test_a_password_is_taken_as_it_was_typed(hub):
    spaced = "  pässwörd with spaces  "
    person, email = newcomer(hub, password=spaced)
    assert person.sign_in(email, spaced.strip()).status == 401
    assert person.sign_in(email, spaced).status == 303


def test_only_a_hash_is_stored(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    user_id = id_of(hub, email)
    (row,) = rows(hub, schema.password, schema.password.c.user_id == user_id)
    assert row.hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in hub.log()
    audit = rows(hub, schema.audit_log, schema.audit_log.c.object == user_id)
    assert "password.set" in {row.action for row in audit}
    assert all(PASSWORD not in row.detail for row in audit)


def test_a_browser_that_is_known_is_slowed_down_by_its_own_guesses(hub):
    owner, email = newcomer(hub)
    owner.sign_in(email)
    thief = Person(hub, owner.address, {DEVICE: owner.cookies[DEVICE]})
    seen = [thief.sign_in(email, f"guess number {n}").status for n in range(12)]
    assert 429 in seen
    # A proof is for one account alone, and nobody makes one up.
    name = owner.cookies[DEVICE].partition(".")[0]
    forged = Person(hub, owner.address, {DEVICE: f"{name}.{'0' * 64}"})
    assert forged.sign_in(email).status == 303


def test_secrets_are_shown_and_changed_soon_after_signing_in_only(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    user_id = id_of(hub, email)
    made = person.fill("/account", {"name": "first"}, "/account/keys")
    assert made.status == 200
    key = re.search(r"blocklet-[1-9A-Za-z]{40,}", made.text)[0]
    assert ask(hub, "GET", "/v1/models", key=key).status == 200
    assert key not in person.get("/account").text
    age(hub, email, RECENT_US)
    for path in ("/account/keys", "/account/sessions/others/end"):
        again = person.fill("/account", {"name": "second"}, path)
        assert leads_to(again, path) == "/sign-in?step-up=1&next=/account"
    keys = rows(hub, schema.api_key, schema.api_key.c.user_id == user_id)
    assert [row.name for row in keys] == ["first"]
    page = person.get("/sign-in?step-up=1&next=/account")
    assert "Is it still you?" in page.text
    # Only the person's own password counts, whatever the form says.
    _, other = newcomer(hub, password="another good password")
    form = {"step-up": "1", "email": other, "password": "another good password"}
    assert person.fill("/sign-in?step-up=1", form).status == 401
    done = person.fill("/sign-in?step-up=1", {"step-up": "1", "password": PASSWORD})
    assert leads_to(done, "/sign-in") == "/account"
    assert person.fill("/account", {"name": "second"}, "/account/keys").status == 200


@pytest.mark.parametrize(
    ("new", "again", "words"),
    [
        ("short", "short", "at least 12"),
        ("password1234", "password1234", "first that are tried"),
        ("x" * 1_025, "x" * 1_025, "at most 1,024"),
        ("another good one", "another good two", "differ"),
    ],
)
def test_a_bad_new_password_is_refused(traveller, new, again, words):
    form = {"current": PASSWORD, "new": new, "again": again}
    answer = traveller.fill("/account", form, "/account/password")
    assert answer.status == 400
    assert words in answer.text


def test_guessing_the_current_password_is_slowed_down(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    new = {"new": "another good password", "again": "another good password"}
    csrf = person.csrf("/account")
    seen = [
        person.post("/account/password", {"csrf": csrf, "current": f"wrong {n}", **new}).status
        for n in range(12)
    ]
    assert seen[:5] == [403] * 5
    assert 429 in seen
    # It is this session that waits.
    assert Person(hub, person.address).sign_in(email).status == 303


def test_who_has_no_password_sets_one_soon_after_signing_in(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    user_id = id_of(hub, email)
    database = create_engine(hub.database_url)
    with writing(database) as connection:
        connection.execute(schema.password.delete().where(schema.password.c.user_id == user_id))
    database.dispose()
    assert "Set a password" in person.get("/account").text
    form = {"new": "another good password", "again": "another good password"}
    age(hub, email, RECENT_US)
    assert person.fill("/account", form, "/account/password").status == 303
    assert rows(hub, schema.password, schema.password.c.user_id == user_id) == []
    age(hub, email, -RECENT_US)
    assert person.fill("/account", form, "/account/password").status == 303
    assert len(rows(hub, schema.password, schema.password.c.user_id == user_id)) == 1


def test_a_hash_of_yesterdays_parameters_is_made_anew(hub):
    person, email = newcomer(hub)

    def stored():
        where = schema.password.c.user_id == id_of(hub, email)
        return rows(hub, schema.password, where)[0].hash

    assert "m=64,t=1,p=1" in stored()
    assert person.sign_in(email, "not the password").status == 401
    assert "m=64,t=1,p=1" in stored()
    assert person.sign_in(email).status == 303
    assert "m=65536,t=3,p=4" in stored()
    assert person.get("/account").status == 200
    assert Person(hub, elsewhere()).sign_in(email).status == 303


def test_keys_are_revoked_by_their_owner_alone(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    made = person.fill("/account", {"name": "<script>alert(1)</script>"}, "/account/keys")
    assert "<script>" not in made.text
    user_id = id_of(hub, email)
    (row,) = rows(hub, schema.api_key, schema.api_key.c.user_id == user_id)
    other, other_email = newcomer(hub)
    other.sign_in(other_email)
    path = f"/account/keys/{row.id}/revoke"
    assert other.fill("/account", {}, path).status == 404
    assert person.fill("/account", {}, path).status == 303
    assert "You have no keys" in person.get("/account").text


def test_a_password_from_the_operator_ends_sessions(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    set_password(hub, email, "another good password")
    assert person.get("/account").status == 303
    assert person.sign_in(email, "another good password").status == 303


def test_programs_that_act_for_a_person_are_seen_and_revoked_by_them_alone(hub):
    site = Site(hub)
    ada = oauth.Person.sign_in(site, "ada-of-programs@example.com")
    client = site.client(client_name="<b>Notes</b>")
    tokens = ada.tokens(client)
    person = Person(hub, elsewhere(), {SESSION: ada.cookie})
    page = person.get("/account").text
    assert "&lt;b&gt;Notes&lt;/b&gt;" in page
    assert "call models, which spends your credit" in page
    path = re.search(r'action="\./(account/programs/[^"]+/revoke)"', page)[1]
    other, email = newcomer(hub)
    other.sign_in(email)
    assert other.fill("/account", {}, f"/{path}").status == 404
    assert person.post(f"/{path}", {"csrf": other.csrf("/account")}).status == 403
    token = tokens["access_token"]
    assert ask(hub, "GET", "/api/user/info", key=token).status == 200
    assert person.fill("/account", {}, f"/{path}").status == 303
    assert "Notes" not in person.get("/account").text
    until(lambda: ask(hub, "GET", "/api/user/info", key=token).status == 401)


# -- a program asks for a key -----------------------------------------------------------------

SERVICE = "/.well-known/service"
BEGIN = f"{SERVICE}/api/access-key/session"


def asked_for(hub):
    """Begin a session as a program does; return its id, and its page."""
    session = ask(hub, "POST", BEGIN, headers={"x-forwarded-for": elsewhere()}).json["id"]
    token = base64.urlsafe_b64encode(session.encode()).decode().rstrip("=")
    return session, f"{SERVICE}/gen-simple-access-key?__token__={token}"


def status_of(hub, session):
    return ask(hub, "GET", f"{BEGIN}?sid={session}").json["status"]


def test_a_person_approves_a_program_as_themselves(hub):
    person, email = newcomer(hub)
    session, page = asked_for(hub)
    link = re.search(r'class="button" href="([^"]+)"', person.get(page).text)[1]
    sign_in = urljoin(f"http://hub{page}", html.unescape(link)).removeprefix("http://hub")
    back = parse_qs(urlsplit(sign_in).query)["next"][0]
    assert back == page
    assert leads_to(person.sign_in(email, page=sign_in, next=back), "/sign-in") == page
    token = parse_qs(urlsplit(page).query)["__token__"][0]
    action = page.partition("?")[0]
    for csrf, site in (("0" * 64, "same-origin"), (person.csrf(page), "cross-site")):
        form = {"csrf": csrf, "__token__": token}
        assert person.post(page, form, sec_fetch_site=site).status == 403
    age(hub, email, RECENT_US)
    again = person.fill(page, {"__token__": token})
    assert leads_to(again, action).startswith("/sign-in?step-up=1&next=/.well-known/")
    assert status_of(hub, session) == "waiting"
    age(hub, email, -RECENT_US)
    assert leads_to(person.fill(page, {"__token__": token}), action) == page
    assert status_of(hub, session) == "approved"
    (key,) = rows(hub, schema.api_key, schema.api_key.c.user_id == id_of(hub, email))
    assert key.scopes == "inference models"


def test_nobody_approves_without_signing_in(hub):
    session, page = asked_for(hub)
    token = parse_qs(urlsplit(page).query)["__token__"][0]
    nobody = Person(hub)
    answer = nobody.post(page.partition("?")[0], {"csrf": "0" * 64, "__token__": token})
    assert leads_to(answer, "/").startswith("/sign-in?next=/.well-known/")
    assert status_of(hub, session) == "waiting"
