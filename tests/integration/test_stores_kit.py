"""What a hub keeps for its Payment Kit: meter events on their way, grants made there."""

from dataclasses import replace

import pytest
from sqlalchemy import select, text

from aigne_hub.billing.kit_grants import KitGrant
from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType
from aigne_hub.domain.access import Role
from aigne_hub.domain.lots import Category
from aigne_hub.storage import grants, mirrored_grants, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.meter_outbox import MeterOutbox
from aigne_hub.storage.mirrored_grants import Outcome
from aigne_hub.storage.verify import verify

DAY_US = 86_400_000_000


def changing(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


@pytest.fixture
def user(hub):
    with changing(hub) as change:
        return users.create(
            change, hub.keyring, hub.randbytes, email="u@example.com", role=Role.MEMBER
        )


def agree(hub):
    with reading(hub.engine) as connection:
        return [check.name for check in verify(connection) if not check.ok] == []


# -- meter events -------------------------------------------------------------------------


def call(hub, user, call_id, paid, delivered_us=None):
    """Record what a settled call leaves behind, as far as the meter needs it."""
    values = {"id": call_id, "u": user.id, "paid": paid, "delivered": delivered_us}
    with writing(hub.engine) as connection:
        for statement in (
            """INSERT INTO hold (call_id, account_id, amount, state, captured, created_us,
                expires_us, resolved_us) VALUES (:id, :u, 9, 'captured', :paid, 1, 2, 2)""",
            """INSERT INTO meter_event (call_id, meter, account_id, value, created_us, delivered_us)
                VALUES (:id, 'm', :u, 9, 5000000, :delivered)""",
        ):
            connection.execute(text(statement), values)


def test_events_wait_until_they_are_delivered_oldest_first(hub, user):
    outbox = MeterOutbox(hub.engine, hub.clock)
    for call_id, paid in (("c2", 7), ("c1", 3), ("c3", 0)):
        call(hub, user, call_id, paid)
    call(hub, user, "c0", 5, delivered_us=0)
    found = outbox.due(10)
    assert [(e.call_id, e.did, e.value, e.timestamp) for e in found] == [
        ("c1", user.did, 3, 5),
        ("c2", user.did, 7, 5),
        ("c3", user.did, 0, 5),
    ]
    assert [e.call_id for e in outbox.due(1)] == ["c1"]
    assert outbox.waiting() == 3
    outbox.delivered(["c1", "c3"])
    outbox.delivered(["c1"])
    assert [e.call_id for e in outbox.due(10)] == ["c2"]
    assert outbox.waiting() == 1


def test_a_refused_event_waits_longer_and_longer_and_holds_up_no_other(hub, user):
    outbox = MeterOutbox(hub.engine, hub.clock)
    call(hub, user, "c1", 1)
    call(hub, user, "c2", 1)
    assert outbox.refused("c1", "x" * 1_000) == 1
    assert [e.call_id for e in outbox.due(10)] == ["c2"]
    hub.clock.advance(6)
    assert [e.call_id for e in outbox.due(10)] == ["c1", "c2"]
    assert [outbox.refused("c1", "no") for _ in range(12)] == list(range(2, 14))
    hub.clock.advance(23 * 3_600)
    assert [e.call_id for e in outbox.due(10)] == ["c2"]
    hub.clock.advance(3_600 + 60)
    assert [e.call_id for e in outbox.due(10)] == ["c1", "c2"]
    outbox.delivered(["c1"])
    assert [e.call_id for e in outbox.due(10)] == ["c2"]


# -- grants made there ----------------------------------------------------------------------


def foreign(hub, did, **more):
    grant = KitGrant(
        id="cg_1",
        did=did,
        amount=10,
        remaining=4,
        category="paid",
        priority=20,
        name="Top-up",
        status="granted",
        created_us=hub.clock.us,
        effective_us=None,
        expires_us=None,
    )
    return replace(grant, **more)


def mirror(hub, grant, since_us=0):
    with changing(hub) as change:
        return mirrored_grants.mirror(change, hub.keyring, hub.randbytes, grant, since_us)


def kept(hub, user):
    with reading(hub.engine) as connection:
        table = schema.credit_grant
        return connection.execute(select(table).where(table.c.account_id == user.id)).all()


def test_a_grant_is_mirrored_once_with_its_terms(hub, user):
    grant = foreign(hub, user.did, expires_us=hub.clock.us + DAY_US)
    assert mirror(hub, grant) is Outcome.GRANTED
    assert mirror(hub, grant) is Outcome.GRANTED
    (row,) = kept(hub, user)
    assert (row.amount, row.priority, row.name, row.category) == (10, 20, "Top-up", "paid")
    assert (row.source, row.reference) == ("funding:payment_kit", "payment_kit/cg_1")
    assert row.expires_us == grant.expires_us
    assert agree(hub)


def test_a_did_is_known_with_and_without_its_method(hub, user):
    assert mirror(hub, foreign(hub, user.did.removeprefix("did:abt:"))) is Outcome.GRANTED
    assert len(kept(hub, user)) == 1


def test_a_customer_that_is_unknown_is_made(hub, user):
    did = new_identity(RoleType.ACCOUNT, hub.randbytes).did
    assert mirror(hub, foreign(hub, did)) is Outcome.GRANTED
    with reading(hub.engine) as connection:
        assert users.find(connection, did).email is None


def test_a_grant_of_before_is_worth_what_was_left_of_it(hub, user):
    assert mirror(hub, foreign(hub, user.did), since_us=hub.clock.us + DAY_US) is Outcome.GRANTED
    assert [row.amount for row in kept(hub, user)] == [4]


@pytest.mark.parametrize(
    ("change", "new", "outcome"),
    [
        ({"status": "depleted", "remaining": 0}, False, Outcome.SKIPPED),
        ({"status": "depleted", "remaining": 0}, True, Outcome.GRANTED),
        ({"status": "voided"}, True, Outcome.SKIPPED),
        ({"status": "expired"}, True, Outcome.SKIPPED),
        ({"amount": 0}, True, Outcome.SKIPPED),
        ({"amount": 5 * 10**18}, True, Outcome.REFUSED),
        ({"expires_us": 1}, True, Outcome.REFUSED),
        ({"category": "gift"}, True, Outcome.REFUSED),
        ({"did": "nobody"}, True, Outcome.REFUSED),
        ({"priority": -5, "name": "a\nb" + "c" * 500}, True, Outcome.GRANTED),
        ({"category": "promotional"}, True, Outcome.GRANTED),
    ],
)
def test_what_becomes_of_other_grants(hub, user, change, new, outcome):
    grant = replace(foreign(hub, user.did), **change)
    since = 0 if new else hub.clock.us + DAY_US
    assert mirror(hub, grant, since) is outcome
    assert mirror(hub, grant, since) is outcome
    with reading(hub.engine) as connection:
        assert mirrored_grants.known(connection, {"cg_1", "cg_2"}) == {"cg_1": outcome}
    assert len(kept(hub, user)) == (outcome is Outcome.GRANTED)
    assert agree(hub)


def test_a_promotion_there_is_one_here(hub, user):
    mirror(hub, foreign(hub, user.did, category=Category.PROMOTIONAL.value))
    assert [row.source for row in kept(hub, user)] == ["promotional"]


def test_what_is_voided_there_is_taken_back_here_once(hub, user):
    mirror(hub, foreign(hub, user.did))
    with writing(hub.engine) as connection:
        grants.grant(connection, hub.clock, hub.ids, user.id, 3)
    for taken in (True, False):
        with changing(hub) as change:
            assert mirrored_grants.void(change, "cg_1") is taken
    with changing(hub) as change:
        assert mirrored_grants.void(change, "cg_9") is False
    with reading(hub.engine) as connection:
        assert grants.balance(connection, hub.clock, user.id).balance == 3
        assert mirrored_grants.known(connection, {"cg_1"}) == {"cg_1": Outcome.VOIDED}
    assert agree(hub)


def test_accounts_are_kept_since_the_first_time(hub):
    with changing(hub) as change:
        began = mirrored_grants.since(change, "https://kit meter")
    hub.clock.advance(60)
    with changing(hub) as change:
        assert mirrored_grants.since(change, "https://kit meter") == began
        assert mirrored_grants.since(change, "https://other meter") > began
