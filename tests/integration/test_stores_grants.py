from random import Random

import pytest
from sqlalchemy import select, text

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.storage import accounts, grants, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.grants import Balance
from aigne_hub.storage.verify import verify

HOUR_US = 3_600_000_000

OPEN = (
    """INSERT INTO model_call (id, status, account_id, user_did, app_did, key_id, process_id,
        request_id, type, model, stream, input_counted, started_us)
    VALUES (:id, 'processing', :u, 'd', 'd', 'k', 'p', 'r', 'chat', 'm', 0, 1, :now)""",
    """INSERT INTO hold (call_id, account_id, amount, state, created_us, expires_us)
    VALUES (:id, :u, :held, 'pending', :now, :now + 1)""",
)
SETTLE = (
    """UPDATE model_call SET status = 'success', outcome = 'completed', charge = :charge
    WHERE id = :id""",
    """UPDATE hold SET state = 'captured', captured = :paid, resolved_us = :now
    WHERE call_id = :id""",
    """INSERT INTO meter_event (call_id, meter, account_id, value, created_us)
    VALUES (:id, 'm', :u, :charge, :now)""",
)


@pytest.fixture
def account(hub):
    return _account(hub, "u@example.com")


def _account(hub, email, overdraft=0):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        make = (change, hub.keyring, hub.randbytes)
        return users.create(*make, email=email, role=Role.MEMBER, overdraft=overdraft).id


def _grant(hub, account, amount, **options):
    with writing(hub.engine) as connection:
        return grants.grant(
            connection, hub.clock, hub.ids, account, amount, grants.Terms(**options)
        )


def _balance(hub, account):
    with reading(hub.engine) as connection:
        return grants.balance(connection, hub.clock, account)


def _history(hub, account, limit=50):
    with reading(hub.engine) as connection:
        return grants.history(connection, account, limit)


def _row(hub, account):
    with reading(hub.engine) as connection:
        return connection.execute(
            select(schema.account).where(schema.account.c.id == account)
        ).one()


def _spend(hub, account, charge, *, held=0, resolve=True):
    """Run a call as the journal does: hold, and when told so capture `charge`."""
    call_id, now = hub.ids(), hub.clock.now_us()
    values = {"id": call_id, "u": account, "now": now, "held": held, "charge": charge}
    transfers = []
    with writing(hub.engine) as connection:
        loaded = accounts.load(connection, account, lock=True)
        loaded.hold(held)
        if resolve:
            transfers = loaded.capture(call_id, held=held, charge=charge, at_us=now)
            values["paid"] = sum(entry.amount for entry in transfers if entry.kind == "capture")
        for statement in (*OPEN, *SETTLE) if resolve else OPEN:
            used = {key: value for key, value in values.items() if f":{key}" in statement}
            connection.execute(text(statement), used)
        accounts.save(connection, loaded, transfers)


def _agree(hub):
    with reading(hub.engine) as connection:
        return [check for check in verify(connection) if not check.ok] == []


def test_a_grant_is_posted_and_available(hub, account):
    granted = _grant(hub, account, 10)
    assert (granted.amount, granted.remaining, granted.balance) == (10, 10, 10)
    assert _balance(hub, account) == Balance(balance=10, held=0, available=10, granted=10, spent=0)
    (entry,) = _history(hub, account)
    assert (entry.operation_id, entry.kind, entry.change) == (granted.id, "grant", 10)
    assert (entry.debit, entry.credit) == ("funding:manual", account)
    assert _agree(hub)


def test_the_source_is_the_ledger_account_it_comes_from(hub, account):
    _grant(hub, account, 1, category=Category.PROMOTIONAL)
    _grant(hub, account, 1, source="funding:stripe")
    assert [entry.debit for entry in _history(hub, account)] == ["funding:stripe", "promotional"]
    with pytest.raises(ValueError, match="funds grants"):
        _grant(hub, account, 1, source="revenue")
    assert _agree(hub)


def test_promotional_credit_is_spent_before_paid_and_lower_priorities_first(hub, account):
    paid = _grant(hub, account, 10)
    promotional = _grant(hub, account, 10, category=Category.PROMOTIONAL)
    first = _grant(hub, account, 10, priority=1)
    _spend(hub, account, 25)
    captures = [e for e in reversed(_history(hub, account)) if e.kind == "capture"]
    assert [(e.grant_id, e.amount) for e in captures] == [
        (first.id, 10),
        (promotional.id, 10),
        (paid.id, 5),
    ]
    assert _balance(hub, account) == Balance(balance=5, held=0, available=5, granted=30, spent=25)
    assert _agree(hub)


def test_a_debt_is_repaid_first(hub):
    account = _account(hub, "debtor@example.com", overdraft=8)
    _spend(hub, account, 6)
    assert _balance(hub, account) == Balance(balance=-6, held=0, available=2, granted=0, spent=6)
    small = _grant(hub, account, 4)
    assert (small.remaining, small.balance) == (0, -2)
    large = _grant(hub, account, 10)
    assert (large.remaining, large.balance) == (8, 8)
    assert _agree(hub)


def test_what_cannot_be_paid_is_written_off_and_changes_no_balance(hub, account):
    _grant(hub, account, 3)
    _spend(hub, account, 5)
    entries = {entry.kind: entry for entry in _history(hub, account)}
    assert (entries["write_off"].amount, entries["write_off"].change) == (2, 0)
    assert entries["capture"].change == -3
    assert _balance(hub, account) == Balance(balance=0, held=0, available=0, granted=3, spent=3)
    assert _agree(hub)


def test_expired_credit_is_not_available_even_before_its_expiry_is_posted(hub, account):
    _grant(hub, account, 4)
    _grant(hub, account, 6, expires_us=hub.clock.us + HOUR_US)
    assert _balance(hub, account).available == 10
    hub.clock.advance(3_601)
    assert _row(hub, account).balance == 10
    assert _balance(hub, account) == Balance(balance=4, held=0, available=4, granted=10, spent=0)
    assert _agree(hub)


def test_due_expiries_are_posted_by_the_job_and_by_the_next_grant(hub, account):
    other = _account(hub, "other@example.com")
    for owner in (account, other):
        _grant(hub, owner, 6, expires_us=hub.clock.us + HOUR_US)
        _grant(hub, owner, 1, expires_us=hub.clock.us + 2 * HOUR_US)
    first_due = _row(hub, account).due_us
    hub.clock.advance(3_601)
    assert _grant(hub, other, 2).balance == 3
    with writing(hub.engine) as connection:
        assert grants.advance_due(connection, hub.clock.now_us()) == 1
        assert grants.advance_due(connection, hub.clock.now_us()) == 0
    row = _row(hub, account)
    assert (row.balance, row.due_us > first_due) == (1, True)
    newest = _history(hub, account)[0]
    assert (newest.kind, newest.change, newest.credit) == ("expiry", -6, "breakage")
    hub.clock.advance(3_601)
    with writing(hub.engine) as connection:
        assert grants.advance_due(connection, hub.clock.now_us()) == 2
    assert (_row(hub, account).balance, _row(hub, account).due_us) == (0, None)
    assert _agree(hub)


def test_an_open_hold_keeps_the_credit_it_stands_on(hub, account):
    _grant(hub, account, 10, expires_us=hub.clock.us + HOUR_US)
    _spend(hub, account, 0, held=4, resolve=False)
    hub.clock.advance(3_601)
    assert _balance(hub, account) == Balance(balance=4, held=4, available=0, granted=10, spent=0)
    with writing(hub.engine) as connection:
        assert grants.advance_due(connection, hub.clock.now_us()) == 1
        assert grants.advance_due(connection, hub.clock.now_us()) == 0
    assert _row(hub, account).balance == 4
    assert _agree(hub)


@pytest.mark.parametrize(
    ("amount", "options", "message"),
    [
        (0, {}, "more than 0"),
        (-1, {}, "more than 0"),
        (AMOUNT_MAX + 1, {}, "no balance exceeds 4000000000 credits"),
        (1, {"priority": 101}, "priority is 0 to 100"),
        (1, {"expires_us": 5}, "already have expired"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(sqlite_hub, amount, options, message):
    account = _account(sqlite_hub, "u@example.com")
    with pytest.raises(InvalidRequest, match=message):
        _grant(sqlite_hub, account, amount, **options)
    assert _history(sqlite_hub, account) == []


def test_a_balance_never_outgrows_its_column(sqlite_hub):
    account = _account(sqlite_hub, "u@example.com")
    _grant(sqlite_hub, account, AMOUNT_MAX)
    with pytest.raises(InvalidRequest, match="no balance exceeds"):
        _grant(sqlite_hub, account, 1)


def test_nobody_has_no_account(hub):
    with pytest.raises(NotFound):
        _grant(hub, "nobody", 1)
    with pytest.raises(NotFound):
        _balance(hub, "nobody")


def test_history_is_newest_first_and_bounded(hub, account):
    made = [_grant(hub, account, amount) for amount in (1, 2, 3)]
    newest = [entry.operation_id for entry in _history(hub, account, 2)]
    assert newest == [made[2].id, made[1].id]
    for limit in (0, 1_000_001):
        with pytest.raises(InvalidRequest, match="limit"):
            _history(hub, account, limit)


def test_overdraft_is_set_for_all_but_never_below_what_is_used(hub, account):
    debtor = _account(hub, "debtor@example.com", overdraft=8)
    _spend(hub, debtor, 5)
    _spend(hub, debtor, 0, held=2, resolve=False)
    with writing(hub.engine) as connection:
        assert accounts.set_overdraft(connection, 1) == 2
        assert accounts.set_overdraft(connection, 1) == 0
    assert (_row(hub, account).overdraft, _row(hub, debtor).overdraft) == (1, 7)
    assert _balance(hub, debtor).available == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_grants_calls_and_expiries_keeps_the_books(sqlite_hub, seed):
    hub, random = sqlite_hub, Random(seed)
    account = _account(hub, "u@example.com", overdraft=random.choice([0, 20]))
    for _ in range(40):
        match random.randrange(4):
            case 0:
                expires = random.choice([None, hub.clock.us + random.randint(1, 20) * 60_000_000])
                category = random.choice(list(Category))
                _grant(hub, account, random.randint(1, 50), category=category, expires_us=expires)
            case 1:
                hub.clock.advance(random.randint(1, 600))
                with writing(hub.engine) as connection:
                    grants.advance_due(connection, hub.clock.now_us())
            case _:
                # The journal posts due expiries before it looks at what is available.
                with writing(hub.engine) as connection:
                    grants.advance_due(connection, hub.clock.now_us())
                available = _balance(hub, account).available
                _spend(hub, account, random.randint(0, 40), held=random.randint(0, available))
        assert _agree(hub)
        assert _balance(hub, account).available >= 0
