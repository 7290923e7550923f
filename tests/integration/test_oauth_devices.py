"""The device grant (RFC 8628): codes, patience, who approves, and what cannot be guessed."""

import re

import pytest
from tests.hub import HubProcess
from tests.oauth import Person, Site

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import RateLimited
from aigne_hub.domain.oauth.clients import described
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.storage import oauth_clients, oauth_devices, oauth_grants, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SECOND = 1_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("device"), {"billing": {"enabled": True}}) as hub:
        yield Site(hub)


@pytest.fixture(scope="module")
def app(site):
    return site.client(grant_types=[GRANT, "refresh_token"], redirect_uris=[], client_name="TV")


@pytest.fixture(scope="module")
def ada(site):
    return Person.sign_in(site, "ada@example.com")


def begun(site, app, **more):
    answer = site.form("/oauth/device_authorization", {"client_id": app, **more})
    assert answer.status == 200, answer.text
    return answer.json


def poll(site, app, device):
    return site.token(grant_type=GRANT, client_id=app, device_code=device["device_code"])


def decide(person, device, decision="allow", **more):
    page = person.get(f"/oauth/device?user_code={device['user_code']}")
    fields = {**page.hidden(), "decision": decision, **more}
    return person.post("/oauth/device", fields)


def test_a_person_approves_a_device(site, app, ada):
    device = begun(site, app, scope="inference models")
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{3}(-[B-DF-HJ-NP-TV-XZ]{3}){2}", device["user_code"])
    assert device["verification_uri"] == f"{site.hub.address}/oauth/device"
    assert (device["expires_in"], device["interval"]) == (600, 5)
    assert poll(site, app, device).json["error"] == "authorization_pending"
    page = ada.get(f"/oauth/device?user_code={device['user_code'].lower()}")
    for shown in ("TV", "registered itself", "127.0.0.1", "call models", "ada@example.com"):
        assert shown in page.text
    assert "Allowed" in decide(ada, device).text
    given = poll(site, app, device)
    assert given.status == 200
    assert given.json["scope"] == "inference models"
    assert poll(site, app, device).json["error"] == "invalid_grant"
    again = site.token(
        grant_type="refresh_token", client_id=app, refresh_token=given.json["refresh_token"]
    )
    assert again.status == 200


def test_a_device_that_asks_too_often_is_slowed_down(site, app):
    device = begun(site, app)
    errors = [poll(site, app, device).json["error"] for _ in range(3)]
    assert errors == ["authorization_pending", "slow_down", "slow_down"]


def test_a_device_is_refused(site, app, ada):
    device = begun(site, app)
    assert "Refused" in decide(ada, device, "deny").text
    assert poll(site, app, device).json["error"] == "access_denied"


def test_nobody_approves_what_somebody_else_decided(site, app, ada):
    bob = Person.sign_in(site, "bob@example.com")
    device = begun(site, app)
    fields = bob.get(f"/oauth/device?user_code={device['user_code']}").hidden()
    decide(ada, device)
    late = bob.post("/oauth/device", {**fields, "decision": "allow"})
    assert late.status == 404
    given = poll(site, app, device).json
    told = site.bearer("/api/user/info", given["access_token"])
    assert told.json["user"]["did"] == ada.user.did


def test_another_client_collects_nothing(site, app, ada):
    other = site.client(grant_types=[GRANT], redirect_uris=[])
    device = begun(site, app)
    decide(ada, device)
    assert poll(site, other, device).json["error"] == "invalid_grant"
    assert poll(site, app, device).status == 200


def test_a_form_of_another_site_approves_nothing(site, app, ada):
    device = begun(site, app)
    fields = {**ada.get(f"/oauth/device?user_code={device['user_code']}").hidden()}
    sent = {**fields, "decision": "allow"}
    assert ada.post("/oauth/device", sent, sec_fetch_site="cross-site").status == 403
    assert ada.post("/oauth/device", {**sent, "csrf": "x"}).status == 403
    assert poll(site, app, device).json["error"] == "authorization_pending"


def test_who_is_not_signed_in_sees_no_device(site, app):
    device = begun(site, app)
    answer = site.get(f"/oauth/device?user_code={device['user_code']}")
    assert answer.status == 303
    assert "sign-in" in answer.location


def test_codes_cannot_be_tried_for_long(site):
    mallory = Person.sign_in(site, "mallory@example.com")
    codes = [f"BBB-BBB-BB{letter}" for letter in "BCDFGHJKLMN"]
    seen = [mallory.get(f"/oauth/device?user_code={code}").status for code in codes]
    assert seen == [404] * 10 + [429]


def test_only_who_registered_the_grant_begins(site):
    other = site.client()
    answer = site.form("/oauth/device_authorization", {"client_id": other})
    assert answer.json["error"] == "unauthorized_client"
    nobody = site.form("/oauth/device_authorization", {"client_id": "nobody"})
    assert (nobody.status, nobody.json["error"]) == (401, "invalid_client")


# -- what takes time, on both databases --------------------------------------------------------


def client_of(hub):
    about = described({"grant_types": [GRANT], "redirect_uris": []}, trusted=False)
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        made = oauth_clients.create(
            change, hub.keyring, hub.randbytes, hub.pepper, about, address="a"
        )
    return made.client


def begin(hub, client, address="a"):
    with writing(hub.engine) as view:
        return oauth_devices.begin(
            view,
            hub.clock.now_us(),
            hub.randbytes,
            hub.pepper,
            client_id=client.id,
            scopes=("inference",),
            resource="https://hub.example",
            address=address,
        )


def asks(hub, client, device):
    with writing(hub.engine) as view:
        found = oauth_devices.poll(
            view, hub.clock.now_us(), hub.pepper, device.device_code, client.id
        )
    return found.error if isinstance(found, OAuthError) else found


def test_patience_grows_with_each_haste_and_the_code_expires(hub):
    client = client_of(hub)
    device = begin(hub, client)
    assert asks(hub, client, device) is Refusal.AUTHORIZATION_PENDING
    assert asks(hub, client, device) is Refusal.SLOW_DOWN
    hub.clock.advance(6)
    assert asks(hub, client, device) is Refusal.SLOW_DOWN
    hub.clock.advance(16)
    assert asks(hub, client, device) is Refusal.AUTHORIZATION_PENDING
    hub.clock.advance(600)
    assert asks(hub, client, device) is Refusal.EXPIRED_TOKEN
    with writing(hub.engine) as view:
        hub.clock.advance(600)
        assert oauth_devices.prune(view, hub.clock.now_us()) == 1


def test_one_address_does_not_fill_the_table(hub):
    client = client_of(hub)
    for _ in range(oauth_devices.STARTED_MAX):
        begin(hub, client)
    with pytest.raises(OAuthError) as refused:
        begin(hub, client)
    assert refused.value.error is Refusal.TEMPORARILY_UNAVAILABLE
    assert begin(hub, client, address="b")


def test_guesses_are_counted_by_the_hour(hub):
    now = hub.clock.now_us()
    with writing(hub.engine) as view:
        for _ in range(10):
            oauth_devices.require_guesses(view, now, "u")
            oauth_devices.count_guess(view, now, "u")
        with pytest.raises(RateLimited):
            oauth_devices.require_guesses(view, now, "u")
        oauth_devices.require_guesses(view, now, "another")
        oauth_devices.require_guesses(view, now + 3_600 * SECOND, "u")


def test_what_was_taken_back_meanwhile_gives_nothing(hub):
    client = client_of(hub)
    device = begin(hub, client)
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        user = users.create(
            change, hub.keyring, hub.randbytes, email="a@example.com", role=Role.MEMBER
        )
        grant = oauth_grants.allow(change, user.id, client, ("inference",), None)
        oauth_devices.decide(
            change, hub.pepper, device.user_code, grant_id=grant.id, authenticated_us=1
        )
        oauth_grants.revoke(change, grant.id, user_id=user.id)
    assert asks(hub, client, device) is Refusal.INVALID_GRANT
    with reading(hub.engine) as view:
        assert oauth_grants.listed(view, user.id) == []
