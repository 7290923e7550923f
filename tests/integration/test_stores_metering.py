"""Metered events: one identifier, one charge; what cannot be paid waits for credit."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DatabaseError

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.storage import accounts, grants, metering, meters, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.metering import Usage
from aigne_hub.storage.verify import verify

HOUR_US = 3_600_000_000


@pytest.fixture
def meter(hub):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        return meters.create(change, event_name="pictures", name="Pictures", unit="pictures")


@pytest.fixture
def account(hub):
    return _account(hub, "u@example.com")


def _account(hub, email, overdraft=0):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        make = (change, hub.keyring, hub.randbytes)
        return users.create(*make, email=email, role=Role.MEMBER, overdraft=overdraft).id


def _grant(hub, account, amount, **options):
    with writing(hub.engine) as connection:
        terms = grants.Terms(**options)
        return grants.grant(connection, hub.clock, hub.ids, account, amount, terms)


def _usage(meter, account, value, identifier="e1"):
    return Usage(identifier, meter.id, account, value, timestamp=1, created_by="k")


def _record(hub, usage):
    with writing(hub.engine) as connection:
        return metering.record(connection, hub.clock.now_us(), hub.ids, usage)


def _event(hub, identifier="e1"):
    event = schema.metered_event
    with reading(hub.engine) as connection:
        return connection.execute(select(event).where(event.c.identifier == identifier)).one()


def _transfers(hub, account):
    with reading(hub.engine) as connection:
        entries = grants.history(connection, account, 100)
    metered = [e for e in entries if e.operation_id.startswith("meter/")]
    return [(e.operation_id, e.kind, e.amount) for e in reversed(metered)]


def _balance(hub, account):
    with reading(hub.engine) as connection:
        return grants.balance(connection, hub.clock, account)


def _agree(hub):
    with reading(hub.engine) as connection:
        return [check for check in verify(connection) if not check.ok] == []


def test_an_event_is_charged_once_and_its_identifier_answers_again(hub, meter, account):
    _grant(hub, account, 10)
    event_id = _record(hub, _usage(meter, account, 4))
    assert _record(hub, _usage(meter, account, 4)) == event_id
    assert _record(hub, replace(_usage(meter, account, 4), timestamp=2)) == event_id
    assert _transfers(hub, account) == [("meter/e1", "capture", 4)]
    assert (_balance(hub, account).balance, _balance(hub, account).spent) == (6, 4)
    assert _event(hub).pending == 0
    assert _agree(hub)


def test_an_identifier_with_another_payload_is_a_conflict(hub, meter, account):
    _grant(hub, account, 10)
    usage = _usage(meter, account, 4)
    _record(hub, usage)
    other = _account(hub, "v@example.com")
    for changed in (
        replace(usage, value=5),
        replace(usage, account_id=other),
        replace(usage, subscription_id="s"),
    ):
        with pytest.raises(Conflict, match="another payload"):
            _record(hub, changed)
    assert _balance(hub, account).balance == 6
    assert _agree(hub)


def test_an_identifier_of_a_call_is_a_conflict(hub, meter, account):
    with writing(hub.engine) as connection:
        connection.execute(
            text(
                "INSERT INTO meter_event (call_id, meter, account_id, value, created_us)"
                " VALUES ('e1', 'm', :account, 1, 1)"
            ),
            {"account": account},
        )
    with pytest.raises(Conflict, match="a call of this hub"):
        _record(hub, _usage(meter, account, 1))


def test_an_account_that_does_not_exist_is_not_found(hub, meter):
    with pytest.raises(NotFound):
        _record(hub, _usage(meter, "nobody", 1))


def test_usage_of_nothing_is_recorded_and_posts_nothing(hub, meter, account):
    _record(hub, _usage(meter, account, 0))
    assert _event(hub).pending == 0
    assert _transfers(hub, account) == []
    assert _agree(hub)


def test_what_cannot_be_paid_is_taken_from_the_next_grants_in_order(hub, meter, account):
    _grant(hub, account, 3)
    _record(hub, _usage(meter, account, 5, "e1"))
    _record(hub, _usage(meter, account, 4, "e2"))
    assert (_event(hub, "e1").pending, _event(hub, "e2").pending) == (2, 4)
    with reading(hub.engine) as connection:
        assert metering.pending_of(connection, account) == 6
    assert _balance(hub, account).balance == 0
    granted = _grant(hub, account, 5)
    assert (granted.remaining, granted.balance) == (0, 0)
    assert (_event(hub, "e1").pending, _event(hub, "e2").pending) == (0, 1)
    granted = _grant(hub, account, 5)
    assert (granted.remaining, granted.balance) == (4, 4)
    assert _transfers(hub, account) == [
        ("meter/e1", "capture", 3),
        ("meter/e1", "capture", 2),
        ("meter/e2", "capture", 3),
        ("meter/e2", "capture", 1),
    ]
    assert _agree(hub)


def test_the_overdraft_pays_before_anything_is_pending(hub, meter):
    account = _account(hub, "debtor@example.com", overdraft=4)
    _record(hub, _usage(meter, account, 6))
    assert _balance(hub, account).balance == -4
    assert _event(hub).pending == 2
    assert _grant(hub, account, 5).balance == -1
    assert _event(hub).pending == 0
    assert _agree(hub)


def test_open_holds_keep_their_credit_and_what_they_release_pays(hub, meter, account):
    _grant(hub, account, 10)
    with writing(hub.engine) as connection:
        loaded = accounts.load(connection, account, lock=True)
        loaded.hold(9)
        accounts.save(connection, loaded, [])
    _record(hub, _usage(meter, account, 3))
    assert _event(hub).pending == 2
    with writing(hub.engine) as connection:
        assert metering.collect_due(connection, hub.clock.now_us()) == 0
        loaded = accounts.load(connection, account, lock=True)
        loaded.release(9)
        accounts.save(connection, loaded, [])
    with writing(hub.engine) as connection:
        assert metering.collect_due(connection, hub.clock.now_us()) == 1
        assert metering.collect_due(connection, hub.clock.now_us()) == 0
    assert _event(hub).pending == 0
    assert _balance(hub, account).balance == 7
    assert _agree(hub)


def test_a_grant_that_becomes_effective_pays_what_is_pending(hub, meter, account):
    _grant(hub, account, 10, effective_us=hub.clock.us + HOUR_US)
    _record(hub, _usage(meter, account, 4))
    assert _event(hub).pending == 4
    hub.clock.advance(3_601)
    with writing(hub.engine) as connection:
        assert grants.advance_due(connection, hub.clock.now_us()) == 2
    assert _event(hub).pending == 0
    assert _balance(hub, account).balance == 6
    assert _agree(hub)


def test_an_expired_grant_pays_nothing(hub, meter, account):
    _grant(hub, account, 10, expires_us=hub.clock.us + HOUR_US)
    hub.clock.advance(3_601)
    _record(hub, _usage(meter, account, 4))
    assert _event(hub).pending == 4
    assert _balance(hub, account).balance == 0
    assert _agree(hub)


def test_twenty_reporters_of_one_event_charge_it_once(hub, meter, account):
    _grant(hub, account, 100)
    usage = _usage(meter, account, 7)
    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(lambda _: _record(hub, usage), range(20)))
    assert len(found) == 1
    assert _transfers(hub, account) == [("meter/e1", "capture", 7)]
    assert _agree(hub)


def test_reporters_of_many_events_of_few_accounts_lose_and_invent_nothing(hub, meter):
    owners = [_account(hub, f"{number}@example.com", overdraft=3) for number in range(3)]

    def report(number):
        owner = owners[number % 3]
        if number % 5 == 0:
            _grant(hub, owner, 7)
        # Each identifier is reported twice, now and then at once.
        return _record(hub, _usage(meter, owner, number % 30 % 4, f"e{number % 30}"))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(report, range(60)))
    with reading(hub.engine) as connection:
        events = connection.execute(select(schema.metered_event)).all()
    assert _agree(hub)
    for owner in owners:
        mine = [event for event in events if event.account_id == owner]
        taken = sum(event.value - event.pending for event in mine)
        assert _balance(hub, owner).spent == taken
        assert sum(event.pending for event in mine) == 0 or _balance(hub, owner).available == 0


@pytest.mark.parametrize(
    "values", [{"pending": 3}, {"pending": 0, "value": 9}, {"pending": 0, "identifier": "x"}]
)
def test_only_what_is_pending_of_an_event_changes(hub, meter, account, values):
    _record(hub, _usage(meter, account, 2))
    with pytest.raises(DatabaseError), writing(hub.engine) as connection:
        connection.execute(update(schema.metered_event).values(**values))
    assert _agree(hub)
