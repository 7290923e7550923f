"""Credit that runs low is told once each time it does."""

import json

import pytest
from sqlalchemy import select

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import AMOUNT_MAX, parse_credits
from aigne_hub.storage import accounts, corrections, grants, low_balance, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

HUBS = (parse_credits("5"), parse_credits("1"))


@pytest.fixture
def account(hub):
    return make(hub, "u@example.com")


def make(hub, email, overdraft=None):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        return users.create(
            change, hub.keyring, hub.randbytes, email=email, role=Role.MEMBER, overdraft=overdraft
        ).id


def grant(hub, account, amount):
    with writing(hub.engine) as connection:
        return grants.grant(connection, hub.clock, hub.ids, account, parse_credits(amount)).id


def take_back(hub, grant_id, amount):
    with writing(hub.engine) as connection:
        corrections.reverse_grant(
            connection, hub.clock.now_us(), hub.ids(), grant_id, parse_credits(amount)
        )


def hold(hub, account, nano):
    with writing(hub.engine) as connection:
        loaded = accounts.load(connection, account, lock=True)
        loaded.hold(nano)
        accounts.save(connection, loaded, [])


def tell(hub, thresholds=HUBS):
    """Look once; return what was told as (account, threshold, available)."""
    with reading(hub.engine) as view:
        before = set(view.execute(select(schema.event.c.id)).scalars())
    count = low_balance.tell(hub.engine, hub.clock, hub.ids, thresholds)
    with reading(hub.engine) as view:
        rows = view.execute(select(schema.event)).all()
    told = []
    for row in rows:
        if row.id not in before:
            assert row.type == "credits.low"
            payload = json.loads(row.payload)
            told.append((row.account_id, payload["threshold"], payload["available"]))
    assert count == len(told)
    return told


def own(hub, account, amounts):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        low_balance.set_thresholds(change, account, amounts)
        return low_balance.thresholds(change.connection, account)


def test_each_threshold_is_told_once_until_credit_rises_above_it(hub, account):
    first = grant(hub, account, "10")
    assert tell(hub) == []
    take_back(hub, first, "6")
    assert tell(hub) == [(account, "5", "4")]
    assert tell(hub) == []
    take_back(hub, first, "3.5")
    assert tell(hub) == [(account, "1", "0.5")]
    second = grant(hub, account, "2")
    assert tell(hub) == []  # above 1 again, and still below 5
    take_back(hub, second, "2")
    assert tell(hub) == [(account, "1", "0.5")]
    third = grant(hub, account, "20")
    assert tell(hub) == []
    take_back(hub, third, "20")
    assert tell(hub) == [(account, "1", "0.5")]  # the lowest that was crossed


def test_an_account_that_fell_between_two_looks_is_told(hub, account):
    given = grant(hub, account, "6")
    take_back(hub, given, "6")
    assert tell(hub) == [(account, "1", "0")]


def test_an_account_that_never_had_so_much_did_not_fall(hub, account):
    assert tell(hub) == []
    small = grant(hub, account, "0.5")
    take_back(hub, small, "0.5")
    assert tell(hub) == []
    large = grant(hub, account, "7")
    assert tell(hub) == []
    take_back(hub, large, "3")
    assert tell(hub) == [(account, "5", "4")]


def test_what_calls_hold_is_not_spent(hub, account):
    grant(hub, account, "6")
    hold(hub, account, parse_credits("5.9"))
    assert tell(hub) == []


def test_an_overdraft_can_be_spent(hub):
    account = make(hub, "o@example.com", overdraft=parse_credits("5"))
    given = grant(hub, account, "3")
    take_back(hub, given, "3")
    assert tell(hub) == []
    assert tell(hub, [parse_credits("5.5")]) == [(account, "5.5", "5")]


def test_an_account_may_have_thresholds_of_its_own_or_none(hub, account):
    quiet = make(hub, "q@example.com")
    assert own(hub, account, [parse_credits("8")]) == (parse_credits("8"),)
    assert own(hub, quiet, []) == ()
    given = [grant(hub, each, "10") for each in (account, quiet)]
    for each in given:
        take_back(hub, each, "3")
    assert tell(hub) == [(account, "8", "7")]
    for each in given:
        take_back(hub, each, "7")
    assert tell(hub) == []
    assert own(hub, quiet, None) is None
    assert tell(hub) == [(quiet, "1", "0")]
    assert low_balance.wanted(hub.engine, ())
    assert own(hub, account, None) is None
    assert not low_balance.wanted(hub.engine, ())
    assert tell(hub, ()) == []


def test_more_accounts_than_one_transaction_takes(hub, monkeypatch):
    monkeypatch.setattr(low_balance, "BATCH", 2)
    many = [make(hub, f"u{n}@example.com") for n in range(5)]
    for each in many:
        take_back(hub, grant(hub, each, "6"), "2")
    assert sorted(tell(hub)) == [(each, "5", "4") for each in many]


@pytest.mark.parametrize("amounts", [[0], [-1], [AMOUNT_MAX + 1], range(1, 10)])
def test_thresholds_that_cannot_be_are_refused(hub, account, amounts):
    with pytest.raises(InvalidRequest):
        own(hub, account, amounts)
