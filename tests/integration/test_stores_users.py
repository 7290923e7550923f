import json

import pytest
from sqlalchemy import select, text

from aigne_hub.crypto.custodial import new_identity, sign, verify
from aigne_hub.crypto.did import RoleType, matches, parse
from aigne_hub.crypto.envelope import SealBroken
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.storage import identities, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading


def _create(hub, email, role=Role.MEMBER, **options):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        return users.create(change, hub.keyring, hub.randbytes, email=email, role=role, **options)


def test_a_new_user_has_a_custodial_identity_and_an_account(hub):
    user = _create(hub, "  Ada@Example.COM ", overdraft=5)
    assert (user.email, user.role, user.disabled) == ("ada@example.com", Role.MEMBER, False)
    assert parse(user.did).type.role is RoleType.ACCOUNT
    with reading(hub.engine) as connection:
        identity = connection.execute(select(schema.identity)).one()
        account = connection.execute(select(schema.account)).one()
        secret = identities.secret_key(connection, hub.keyring, user.did)
        audit = connection.execute(select(schema.audit_log)).one()
    assert (identity.did, identity.kind, identity.user_id) == (user.did, "user", user.id)
    assert matches(user.did, identity.public_key)
    assert verify(identity.public_key, b"data", sign(secret, b"data"))
    assert (account.id, account.balance, account.held, account.overdraft) == (user.id, 0, 0, 5)
    assert (audit.action, audit.object) == ("user.create", user.id)
    assert json.loads(audit.detail)["email"] == "ada@example.com"


def test_a_sealed_secret_does_not_open_in_another_row(hub):
    first, second = _create(hub, "a@example.com"), _create(hub, "b@example.com")
    with changes(hub.engine, hub.clock, hub.ids, actor="thief") as change:
        change.connection.execute(
            text(
                "UPDATE identity SET sealed_secret ="
                " (SELECT sealed_secret FROM identity WHERE did = :from) WHERE did = :to"
            ),
            {"from": first.did, "to": second.did},
        )
        with pytest.raises(SealBroken):
            identities.secret_key(change.connection, hub.keyring, second.did)


def test_a_user_who_brings_a_did_keeps_the_secret(hub):
    did = new_identity(RoleType.ACCOUNT, hub.randbytes).did
    user = _create(hub, "own@example.com", did=did.removeprefix("did:abt:"))
    assert user.did == did
    with reading(hub.engine) as connection:
        assert connection.execute(select(schema.identity)).all() == []
        with pytest.raises(NotFound, match="keeps no identity"):
            identities.secret_key(connection, hub.keyring, did)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@",
        "a@",
        "@b",
        "a b@c.d",
        "a@b..c",
        "a@b@c",
        "a@b,c",
        "x" * 250 + "@b.cd",
        "a\x00@b",
    ],
)
def test_what_is_no_address_is_refused(sqlite_hub, email):
    with pytest.raises(InvalidRequest, match="not an e-mail address"):
        _create(sqlite_hub, email)


def test_a_malformed_did_is_refused_with_the_cause(sqlite_hub):
    with pytest.raises(InvalidRequest, match="is not a DID: "):
        _create(sqlite_hub, "a@example.com", did="did:abt:zNotOne")


def test_an_email_and_a_did_belong_to_one_user(hub):
    user = _create(hub, "a@example.com")
    with pytest.raises(Conflict, match=r"already a user with the e-mail a@example\.com"):
        _create(hub, "A@EXAMPLE.com")
    with pytest.raises(Conflict, match="already a user with the DID did:abt:"):
        _create(hub, "b@example.com", did=user.did)
    with reading(hub.engine) as connection:
        assert users.listed(connection) == [user]


def test_a_user_is_found_by_email_did_and_id(hub):
    user = _create(hub, "a@example.com")
    with reading(hub.engine) as connection:
        for name in ("a@example.com", "A@Example.com", user.did, user.id):
            assert users.find(connection, name) == user
        for name in ("b@example.com", "did:abt:z1", "nobody", ""):
            with pytest.raises(NotFound, match="no user"):
                users.find(connection, name)


def test_roles_change_and_users_are_disabled_and_enabled(hub):
    owner = _create(hub, "o@example.com", Role.OWNER)
    user = _create(hub, "u@example.com")
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        promoted = users.set_role(change, user, Role.ADMIN)
        disabled = users.disable(change, promoted)
        assert users.find(change.connection, user.id) == disabled
        assert (disabled.role, disabled.disabled) == (Role.ADMIN, True)
        assert users.enable(change, disabled) == promoted
        assert users.listed(change.connection) == [owner, promoted]
    with reading(hub.engine) as connection:
        actions = connection.execute(
            select(schema.audit_log.c.action).order_by(schema.audit_log.c.id)
        ).scalars()
        assert list(actions)[2:] == ["user.set_role", "user.disable", "user.enable"]


def test_what_is_so_already_is_not_a_change(sqlite_hub):
    user = _create(sqlite_hub, "u@example.com")
    with changes(sqlite_hub.engine, sqlite_hub.clock, sqlite_hub.ids, actor="test") as change:
        assert users.set_role(change, user, Role.MEMBER) == user
        assert users.enable(change, user) == user
        assert change.audited == 0


def test_the_last_owner_stays(hub):
    first = _create(hub, "1@example.com", Role.OWNER)
    second = _create(hub, "2@example.com", Role.OWNER)
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        second = users.disable(change, second)
    # A disabled owner does not count, and may be demoted.
    for attempt in (
        lambda c: users.set_role(c, first, Role.ADMIN),
        lambda c: users.disable(c, first),
    ):
        with (
            pytest.raises(Conflict, match="last owner"),
            changes(hub.engine, hub.clock, hub.ids, actor="test") as change,
        ):
            attempt(change)
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        second = users.enable(change, second)
        users.set_role(change, first, Role.GUEST)
        with pytest.raises(Conflict, match="last owner"):
            users.disable(change, second)
