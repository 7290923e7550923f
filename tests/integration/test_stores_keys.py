import pytest
from sqlalchemy import select

from aigne_hub.crypto import api_key
from aigne_hub.crypto.did import RoleType, parse
from aigne_hub.domain.access import DEFAULT_SCOPES, Role, Scope
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.storage import identities, keys, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading
from aigne_hub.storage.keys import Limits, Window


@pytest.fixture
def user(hub):
    with _change(hub) as change:
        return users.create(
            change, hub.keyring, hub.randbytes, email="u@example.com", role=Role.MEMBER
        )


def _change(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def _create(hub, user, **options):
    with _change(hub) as change:
        return keys.create(change, hub.keyring, hub.randbytes, hub.pepper, user=user, **options)


def _holder(hub, text):
    with reading(hub.engine) as connection:
        return keys.find_by_digest(connection, api_key.digest(text, hub.pepper))


def test_a_key_is_shown_once_and_stored_as_a_hash(hub, user):
    made = _create(hub, user, name="laptop")
    assert api_key.is_well_formed(made.text)
    assert made.text not in repr(made)
    with reading(hub.engine) as connection:
        row = connection.execute(select(schema.api_key)).one()
        audit = connection.execute(
            select(schema.audit_log.c.detail).where(schema.audit_log.c.action == "key.create")
        ).scalar_one()
    assert row.digest == api_key.digest(made.text, hub.pepper)
    assert row.prefix == made.record.prefix == made.text[:13]
    assert not any(made.text in str(value) for value in (*row, audit))


def test_the_holder_of_a_key_is_a_principal(hub, user):
    limits = Limits(credit_limit=10, window=Window.DAY, rpm=60, tpm=10_000)
    expires = hub.clock.us + 60_000_000
    made = _create(
        hub,
        user,
        scopes={Scope.INFERENCE},
        models=["openai/gpt-*", "demo/echo"],
        limits=limits,
        expires_us=expires,
    )
    holder = _holder(hub, made.text)
    principal = holder.principal
    assert (principal.user_id, principal.user_did) == (user.id, user.did)
    assert (principal.key_id, principal.app_did) == (made.record.id, made.record.app_did)
    assert (principal.role, principal.scopes) == (Role.MEMBER, frozenset({Scope.INFERENCE}))
    assert (principal.models, principal.expires_us) == (("openai/gpt-*", "demo/echo"), expires)
    assert Limits.of(principal.limits) == made.record.limits == limits
    assert (holder.revoked, holder.disabled) == (False, False)


def test_a_key_without_wishes_has_the_default_scopes_and_no_limits(hub, user):
    holder = _holder(hub, _create(hub, user).text)
    assert holder.principal.scopes == DEFAULT_SCOPES
    assert holder.principal.models == ()
    assert holder.principal.limits == ()


def test_every_key_is_an_application_with_an_identity(hub, user):
    first, second = _create(hub, user).record, _create(hub, user).record
    assert parse(first.app_did).type.role is RoleType.APPLICATION
    assert first.app_did != second.app_did
    with reading(hub.engine) as connection:
        assert len(identities.secret_key(connection, hub.keyring, first.app_did)) == 64


def test_an_unknown_key_or_another_pepper_finds_nobody(hub, user):
    made = _create(hub, user)
    with reading(hub.engine) as connection:
        for digest in (b"\x00" * 32, api_key.digest(made.text, b"other")):
            assert keys.find_by_digest(connection, digest) is None


def test_revoked_keys_and_disabled_users_are_told_apart(hub, user):
    made = _create(hub, user)
    with _change(hub) as change:
        revoked = keys.revoke(change, made.record.id)
        assert keys.revoke(change, made.record.id) == revoked
        users.disable(change, user)
    assert revoked.revoked_us is not None
    holder = _holder(hub, made.text)
    assert (holder.revoked, holder.disabled) == (True, True)
    with _change(hub) as change, pytest.raises(NotFound, match="no key 'nope'"):
        keys.revoke(change, "nope")


def test_keys_are_listed_oldest_first_with_what_may_be_shown(hub, user):
    made = [_create(hub, user, name=name) for name in ("a", "b")]
    with reading(hub.engine) as connection:
        assert keys.listed(connection, user) == [key.record for key in made]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scopes": ()}, "at least one scope"),
        ({"name": "x" * 101}, "at most 100"),
        ({"models": [" "]}, "not a model pattern"),
        ({"models": ["a\nb"]}, "not a model pattern"),
        ({"models": ["m"] * 101}, "at most 100 model patterns"),
        ({"expires_us": 5}, "already have expired"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(sqlite_hub, options, message):
    with _change(sqlite_hub) as change:
        make = (change, sqlite_hub.keyring, sqlite_hub.randbytes)
        user = users.create(*make, email="u@example.com", role=Role.MEMBER)
        with pytest.raises(InvalidRequest, match=message):
            keys.create(*make, sqlite_hub.pepper, user=user, **options)


@pytest.mark.parametrize(
    "limits",
    [
        {"credit_limit": 1},
        {"window": Window.DAY},
        {"rpm": 0},
        {"streams": 0},
    ],
)
def test_limits_that_limit_nothing_are_refused(limits):
    with pytest.raises(InvalidRequest):
        Limits(**limits).require_sensible()


@pytest.mark.parametrize(
    "limits",
    [{"credit_limit": -1, "window": Window.DAY}, {"tpm": 2_000_000_001}, {"streams": 1_000_001}],
)
def test_limits_out_of_bounds_are_refused(sqlite_hub, limits):
    with changes(sqlite_hub.engine, sqlite_hub.clock, sqlite_hub.ids, actor="test") as change:
        make = (change, sqlite_hub.keyring, sqlite_hub.randbytes)
        user = users.create(*make, email="u@example.com", role=Role.MEMBER)
        with pytest.raises(InvalidRequest, match="a limit is 0 to"):
            keys.create(*make, sqlite_hub.pepper, user=user, limits=Limits(**limits))
