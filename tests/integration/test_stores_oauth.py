"""What the authorization server keeps: keys that follow each other, grants, clients, pruning."""

import json

import pytest

from aigne_hub.crypto.jose.keys import Algorithm
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.limits import Measure, Subject
from aigne_hub.domain.oauth.clients import Authentication, described
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.domain.oauth.lifetimes import ACCESS_US, KEY_AGE_US, KEY_NOTICE_US
from aigne_hub.domain.windows import Window
from aigne_hub.storage import (
    identities,
    limits,
    oauth_clients,
    oauth_families,
    oauth_grants,
    oauth_pruning,
    signing_keys,
    users,
)
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

SECOND = 1_000_000
PUBLIC = described({"redirect_uris": ["https://app.example.com/cb"]}, trusted=False)


def change(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def rotate(hub, **how):
    with change(hub) as made:
        return {key.algorithm: key for key in signing_keys.rotate(made, hub.keyring, **how)}


def signer(hub, algorithm=Algorithm.EDDSA):
    with reading(hub.engine) as view:
        return signing_keys.signer(view, hub.keyring, algorithm, hub.clock.now_us())


def listed(hub):
    with reading(hub.engine) as view:
        return {key.id for key in signing_keys.listed(view, hub.clock.now_us())}


def user(hub, email="a@example.com"):
    with change(hub) as made:
        return users.create(made, hub.keyring, hub.randbytes, email=email, role=Role.MEMBER)


def client(hub, about=PUBLIC, address="a"):
    with change(hub) as made:
        return oauth_clients.create(
            made, hub.keyring, hub.randbytes, hub.pepper, about, address=address
        )


def allow(hub, who, to, allowance=None, scopes=("inference",)):
    with change(hub) as made:
        return oauth_grants.allow(made, who.id, to, scopes, allowance)


def test_the_first_key_signs_at_once(hub):
    assert signer(hub) is None
    first = rotate(hub)
    assert signer(hub).id == first[Algorithm.EDDSA].id
    assert signer(hub, Algorithm.ES256).id == first[Algorithm.ES256].id
    assert json.loads(signer(hub).private)["d"]


def test_the_next_key_is_published_before_it_signs_and_the_old_one_verifies_on(hub):
    old = rotate(hub)[Algorithm.EDDSA]
    new = rotate(hub)[Algorithm.EDDSA]
    assert signer(hub).id == old.id
    assert {old.id, new.id} <= listed(hub)
    hub.clock.advance(KEY_NOTICE_US / SECOND)
    assert signer(hub).id == new.id
    # A token that the old key signed in its last moment is good for ACCESS_US.
    hub.clock.advance(ACCESS_US / SECOND)
    assert old.id in listed(hub)
    hub.clock.advance(61)
    assert old.id not in listed(hub)
    assert new.id in listed(hub)


def test_a_key_that_leaked_verifies_nothing(hub):
    rotate(hub)
    before = listed(hub)
    rotate(hub)
    rotate(hub, at_once=True)
    assert not before & listed(hub)
    assert len(listed(hub)) == 2


def test_keys_grow_old_only_where_they_are_used(hub):
    def is_old():
        with reading(hub.engine) as view:
            return signing_keys.is_old(view, hub.clock.now_us())

    assert not is_old()
    rotate(hub)
    assert not is_old()
    hub.clock.advance(KEY_AGE_US / SECOND)
    assert is_old()


def test_a_secret_key_is_sealed(hub):
    rotate(hub)
    with reading(hub.engine) as view:
        (sealed, *_) = view.exec_driver_sql("SELECT sealed_private FROM signing_key").first()
    secret = json.loads(signer(hub).private)["d"].encode()
    assert secret not in bytes(sealed)


def test_a_grant_gathers_scopes_and_keeps_its_cap(hub):
    who, to = user(hub), client(hub).client
    first = allow(hub, who, to, oauth_grants.Allowance(5, Window.DAY))
    again = allow(hub, who, to, None, ("models", "openid"))
    assert again.id == first.id
    assert again.scopes == ("openid", "inference", "models")
    assert oauth_grants.allowance_of(again) == oauth_grants.Allowance(5, Window.DAY)
    moved = allow(hub, who, to, oauth_grants.Allowance(7, Window.MONTH))
    assert [(one.window, one.amount) for one in moved.limits] == [(Window.MONTH, 7)]
    freed = allow(hub, who, to, oauth_grants.Allowance(None, Window.MONTH))
    assert freed.limits == ()


def test_a_grant_that_was_taken_back_never_comes_back(hub):
    who, to = user(hub), client(hub).client
    first = allow(hub, who, to)
    with change(hub) as made:
        oauth_grants.revoke(made, first.id, user_id=who.id)
        with pytest.raises(NotFound):
            oauth_grants.revoke(made, first.id, user_id=who.id)
    second = allow(hub, who, to)
    assert second.id != first.id
    with reading(hub.engine) as view:
        assert [one.id for one in oauth_grants.listed(view, who.id)] == [second.id]
        assert oauth_grants.find(view, first.id).revoked


def test_the_limits_of_a_grant_are_among_its_users(hub):
    who, to = user(hub), client(hub).client
    grant = allow(hub, who, to, oauth_grants.Allowance(5, Window.DAY))
    with reading(hub.engine) as view:
        found = limits.listed(view, who.id)
    assert [(one.subject, one.name, one.measure) for one in found] == [
        (Subject.GRANT, grant.id, Measure.CREDITS)
    ]


def test_a_client_is_authenticated_in_its_own_way_only(hub):
    about = described({"grant_types": ["client_credentials"]}, trusted=True)
    made = client(hub, about, address=None)

    def proves(client_id, secret, method):
        with reading(hub.engine) as view:
            return oauth_clients.authenticated(view, hub.pepper, client_id, secret, method)

    name, secret = made.client.id, made.secret
    assert proves(name, secret, Authentication.BASIC) == made.client
    for method in (Authentication.POST, Authentication.NONE):
        assert proves(name, secret, method) is None
    for wrong in (None, "", secret + "x", secret[:-1], "\ud800", "x" * 10_000):
        assert proves(name, wrong, Authentication.BASIC) is None
    public = client(hub).client
    assert proves(public.id, None, Authentication.NONE) == public
    assert proves("nobody", None, Authentication.NONE) is None


def test_strangers_register_so_many_and_no_more(hub):
    for _ in range(oauth_clients.REGISTERED_MAX):
        client(hub)
    with pytest.raises(OAuthError) as refused:
        client(hub)
    assert refused.value.error is Refusal.TEMPORARILY_UNAVAILABLE
    assert refused.value.status == 429
    assert client(hub, address="b")
    assert client(hub, address=None)
    hub.clock.advance(3_601)
    assert client(hub)


def test_what_nobody_uses_is_forgotten_and_what_is_used_stays(hub):
    who = user(hub)
    unused, used, known = client(hub), client(hub), client(hub, address=None)
    grant = allow(hub, who, used.client)
    with writing(hub.engine) as view:
        now = hub.clock.now_us()
        family = hub.ids()
        oauth_families.begin(
            view,
            now,
            family,
            grant_id=grant.id,
            scopes=("inference",),
            resource="https://hub.example",
            authenticated_us=now,
        )
        oauth_families.issue(view, now, hub.randbytes, hub.pepper, family)
        assert oauth_pruning.prune(view, now) == 0
    hub.clock.advance(31 * 24 * 3_600)
    with writing(hub.engine) as view:
        assert oauth_pruning.prune(view, hub.clock.now_us()) == 2  # the token, the client
        assert oauth_clients.find(view, unused.client.id) is None
        assert not identities.known(view, unused.client.app_did)
        assert identities.known(view, used.client.app_did)
        assert oauth_clients.find(view, used.client.id)
        assert oauth_clients.find(view, known.client.id)
    hub.clock.advance(180 * 24 * 3_600)
    with writing(hub.engine) as view:
        assert oauth_pruning.prune(view, hub.clock.now_us()) == 1  # the family
