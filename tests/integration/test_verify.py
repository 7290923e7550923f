"""Each check of `ledger verify` must notice the violation it is named after."""

import pytest
from sqlalchemy import text

from aigne_hub.domain.access import Role
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import AMOUNT_MAX, NANO_PER_CREDIT
from aigne_hub.storage import grants, triggers, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.verify import count_transfers, verify

CREDIT = NANO_PER_CREDIT

# A settled call that was charged 3 credits, one that is open and holds 2, one that was
# voided, one that was refused before anything was held, and one written off in part.
CALLS = """
INSERT INTO model_call (id, status, outcome, account_id, user_did, app_did, key_id, process_id,
    request_id, type, model, stream, rate_id, input_counted, started_us, charge) VALUES
    ('c1', 'success', 'completed', :u, 'd', 'd', 'k', 'p', 'r', 'chat', 'm', 0, 'r1', 1, 1, :three),
    ('c2', 'processing', NULL, :u, 'd', 'd', 'k', 'p', 'r', 'chat', 'm', 0, 'r1', 1, 2, NULL),
    ('c3', 'failed', 'upstream_failed', :u, 'd', 'd', 'k', 'p', 'r', 'chat', 'm', 0, 'r1', 1, 3, 0),
    ('c4', 'failed', 'rejected', :u, 'd', 'd', 'k', 'p', 'r', 'chat', 'm', 0, NULL, 1, 4, 0),
    ('c5', 'success', 'completed', :v, 'd', 'd', 'k', 'p', 'r', 'chat', 'm', 0, 'r1', 1, 5, :three);
INSERT INTO hold (call_id, account_id, amount, state, captured, created_us, expires_us,
    resolved_us) VALUES
    ('c1', :u, :three, 'captured', :three, 1, 9, 2), ('c2', :u, :two, 'pending', NULL, 1, 9, NULL),
    ('c3', :u, :two, 'voided', 0, 1, 9, 2), ('c5', :v, :two, 'captured', :two, 1, 9, 2);
INSERT INTO transfer (operation_id, seq, kind, debit, credit, amount, account_id, grant_id, call_id,
    created_us) VALUES
    ('c1', 0, 'capture', :u, 'revenue', :one, :u, :g1, 'c1', 2),
    ('c1', 1, 'capture', :u, 'revenue', :two, :u, :g2, 'c1', 2),
    ('c5', 0, 'capture', :v, 'revenue', :two, :v, NULL, 'c5', 2),
    ('c5', 1, 'write_off', 'write_off', 'revenue', :one, :v, NULL, 'c5', 2);
INSERT INTO meter_event (call_id, meter, account_id, value, created_us) VALUES
    ('c1', 'm', :u, :three, 2), ('c5', 'm', :v, :three, 2);
UPDATE account SET balance = :seven, held = :two WHERE id = :u;
UPDATE account SET balance = -:two WHERE id = :v;
UPDATE credit_grant SET remaining = 0 WHERE id = :g1;
UPDATE credit_grant SET remaining = :seven WHERE id = :g2;
INSERT INTO provider (id, name, kind, origin, created_us) VALUES ('p', 'p', 'p', 'api', 1);
INSERT INTO model (id, provider_id, name, type, max_output_tokens, context_tokens, origin,
    created_us) VALUES ('m', 'p', 'm', 'chat', 1, 1, 'api', 1);
INSERT INTO rate (id, model_id, version, amounts, source, effective_us) VALUES
    ('r1', 'm', 1, '{}', 't', 1), ('r2', 'm', 2, '{}', 't', 1);
INSERT INTO meter (id, event_name, name, unit, created_us, updated_us)
    VALUES ('n', 'n', 'n', 'n', 1, 1);
INSERT INTO metered_event (id, identifier, meter_id, account_id, value, pending, timestamp,
    created_by, created_us) VALUES ('e1', 'i1', 'n', :v, :one, :one, 1, 'k', 1);
INSERT INTO redemption_code (id, digest, prefix, amount, category, max_redemptions, created_us)
    VALUES ('k1', :digest, 'AAAA', :one, 'promotional', 1, 1)
"""
ORDER = """INSERT INTO payment_order (id, account_id, provider, reason, reference, state, credits,
    amount, currency, created_us, updated_us, expires_us"""


@pytest.fixture
def books(hub):
    """Two accounts: u was granted 1 promotional and 9 paid credits, v has an overdraft of 2."""
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        create = (change, hub.keyring, hub.randbytes)
        u = users.create(*create, email="u@example.com", role=Role.MEMBER)
        v = users.create(*create, email="v@example.com", role=Role.MEMBER, overdraft=2 * CREDIT)
        give = (change.connection, hub.clock, hub.ids, u.id)
        g1 = grants.grant(*give, CREDIT, grants.Terms(Category.PROMOTIONAL))
        g2 = grants.grant(*give, 9 * CREDIT)
    values = {"u": u.id, "v": v.id, "g1": g1.id, "g2": g2.id, "digest": b"d" * 32}
    values |= {"one": CREDIT, "two": 2 * CREDIT, "three": 3 * CREDIT, "seven": 7 * CREDIT}
    _execute(hub, CALLS, values)
    return hub, values


def _execute(hub, script, values):
    with writing(hub.engine) as connection:
        for statement in script.split(";"):
            names = {key: value for key, value in values.items() if f":{key}" in statement}
            connection.execute(text(statement), names)


def _failing(hub):
    with reading(hub.engine) as connection:
        return {check.name: check.detail for check in verify(connection) if not check.ok}


def test_books_that_agree_pass_every_check(books):
    hub, _ = books
    assert _failing(hub) == {}
    with reading(hub.engine) as connection:
        assert count_transfers(connection) == 6
        assert len(verify(connection)) == len(PLANTED) + 1


def test_an_empty_hub_passes(hub):
    assert _failing(hub) == {}


def test_books_of_more_than_64_bits_are_summed(hub):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        for name in "abc":
            create = (change, hub.keyring, hub.randbytes)
            rich = users.create(*create, email=f"{name}@example.com", role=Role.MEMBER)
            grants.grant(change.connection, hub.clock, hub.ids, rich.id, AMOUNT_MAX)
    assert _failing(hub) == {}
    with hub.engine.connect() as connection:
        connection.execute(text("UPDATE account SET balance = balance - 1000000000"))
        assert "customers and system accounts sum to zero" in {
            check.name for check in verify(connection) if not check.ok
        }
        connection.rollback()


PLANTED = {
    "account balance is the sum of its transfers": (
        "UPDATE account SET balance = balance + 1 WHERE id = :u"
    ),
    "account held is the sum of its pending holds": (
        "UPDATE account SET held = held - 1 WHERE id = :u"
    ),
    "account available is not below zero": "UPDATE account SET overdraft = 0 WHERE id = :v",
    "grants left add up to the balance": (
        "UPDATE credit_grant SET remaining = remaining - 1 WHERE id = :g2"
    ),
    "grant was posted once, for its amount": (
        "UPDATE credit_grant SET amount = amount + 1 WHERE id = :g2"
    ),
    "what left a grant was spent, expired, taken back or repaid a debt": (
        "UPDATE transfer SET grant_id = :g1 WHERE operation_id = 'c1' AND seq = 1"
    ),
    "transfer is positive and has the two sides of its kind": (
        "UPDATE transfer SET credit = 'pocket' WHERE operation_id = 'c1' AND seq = 0"
    ),
    "transfer belongs to an account that exists": (
        "UPDATE transfer SET account_id = 'ghost' WHERE operation_id = 'c5' AND seq = 1"
    ),
    "customers and system accounts sum to zero": (
        "UPDATE account SET balance = balance + 1 WHERE id = :u"
    ),
    "operation's transfers are numbered without a gap": (
        "DELETE FROM transfer WHERE operation_id = 'c1' AND seq = 0"
    ),
    "closed call has an outcome, an open one none": (
        "UPDATE model_call SET outcome = NULL WHERE id = 'c3'"
    ),
    "open call owes nothing yet": "UPDATE model_call SET charge = 0 WHERE id = 'c2'",
    "pending hold belongs to an open call": (
        "UPDATE model_call SET status = 'failed', outcome = 'interrupted', charge = 0"
        " WHERE id = 'c2'"
    ),
    "charged call has a captured hold": "UPDATE model_call SET charge = 1 WHERE id = 'c4'",
    "hold and call name the same account": "UPDATE model_call SET account_id = :v WHERE id = 'c2'",
    "call's transfers add up to its charge": (
        "UPDATE model_call SET charge = charge - 1 WHERE id = 'c1'"
    ),
    "hold captured what its call paid": (
        "UPDATE hold SET captured = captured + 1 WHERE call_id = 'c5'"
    ),
    "what is charged for a call belongs to its captured hold": (
        "DELETE FROM hold WHERE call_id = 'c1'"
    ),
    "captured hold has one meter event, and no other has": (
        "DELETE FROM meter_event WHERE call_id = 'c1'"
    ),
    "meter event is the call's charge": (
        "UPDATE meter_event SET value = value + 1 WHERE call_id = 'c1'"
    ),
    "corrected price follows on the charge before it": (
        "INSERT INTO call_rerate (call_id, seq, run_id, account_id, rate_id, charge_before,"
        " charge_after, posted, created_us) VALUES ('c1', 0, 'x', :u, 'r2', :two, :one, 0, 3)"
    ),
    "corrected price posted no more than its difference, in transfers": (
        "INSERT INTO call_rerate (call_id, seq, run_id, account_id, rate_id, charge_before,"
        " charge_after, posted, created_us) VALUES ('c1', 0, 'x', :u, 'r2', :three, :two, -1, 3)"
    ),
    "no more of a call is refunded than it was charged": (
        "INSERT INTO transfer (operation_id, seq, kind, debit, credit, amount, account_id, call_id,"
        " created_us) VALUES ('f', 0, 'refund', 'revenue', :u, :seven, :u, 'c1', 3)"
    ),
    "no more of a grant is taken back than was granted": (
        "INSERT INTO grant_reversal (operation_id, grant_id, account_id, amount, created_us)"
        " VALUES ('v', :g1, :u, :two, 3)"
    ),
    "reversal's transfers add up to it": (
        "INSERT INTO grant_reversal (operation_id, grant_id, account_id, amount, created_us)"
        " VALUES ('v', :g1, :u, :one, 3)"
    ),
    "limit holds nothing when no call does": (
        "INSERT INTO limit_counter (id, held) VALUES ('key:k/credits/day@0', 1)"
    ),
    "idempotency key of a closed call is complete": (
        "INSERT INTO idempotency_key (key_digest, body_digest, call_id, created_us)"
        " VALUES ('00', '00', 'c1', 1)"
    ),
    "metered event is what was taken for it and what is pending": (
        "UPDATE metered_event SET pending = pending - 1 WHERE id = 'e1'"
    ),
    "what is charged without a call was metered": (
        "UPDATE transfer SET call_id = NULL WHERE operation_id = 'c1' AND seq = 0"
    ),
    "paid order became one grant, for its credits": (
        f"{ORDER}, paid_us, grant_id) VALUES ('o', :u, 'manual', 'checkout', 'AH-1', 'paid', 1, 1,"
        " 'usd', 1, 1, 1, 1, :g2)"
    ),
    "what an order lost was taken back or written off": (
        f"{ORDER}, taken) VALUES ('o', :u, 'manual', 'checkout', 'AH-1', 'open', 1, 1, 'usd', 1, 1,"
        " 1, 1)"
    ),
    "code was redeemed as often as it counts": "UPDATE redemption_code SET redeemed = 1",
    "redemption became one grant, for the code's amount": (
        "INSERT INTO redemption (code_id, account_id, grant_id, created_us)"
        " VALUES ('k1', :u, :g2, 1)"
    ),
    "call names a price that exists": "UPDATE model_call SET rate_id = 'r9' WHERE id = 'c2'",
    "model's rate versions are numbered without a gap": "DELETE FROM rate WHERE id = 'r1'",
}


def test_every_planted_violation_is_noticed(books, subtests):
    hub, values = books
    for name, statement in PLANTED.items():
        used = {key: value for key, value in values.items() if f":{key}" in statement}
        with subtests.test(name), hub.engine.connect() as connection:
            _disarm(connection)
            assert connection.execute(text(statement), used).rowcount == 1
            assert name in {check.name for check in verify(connection) if not check.ok}
            connection.rollback()
    assert _failing(hub) == {}


def _disarm(connection):
    """Switch off what would prevent these violations, until the transaction is rolled back."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
    else:
        for table, constraint in (
            ("account", "ck_account_available"),
            ("model_call", "ck_model_call_closed"),
        ):
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    triggers.remove(connection)


def test_a_dropped_trigger_is_noticed_by_name(books):
    hub, _ = books
    on = "" if hub.is_sqlite else " ON transfer"
    with writing(hub.engine) as connection:
        connection.execute(text(f"DROP TRIGGER transfer_append_only{on}"))
    assert _failing(hub) == {"append-only triggers are in place": "missing: transfer_append_only"}


def test_a_failed_check_counts_and_names_what_is_wrong(books):
    hub, values = books
    with writing(hub.engine) as connection:
        connection.execute(text("UPDATE account SET balance = balance + 1"))
    detail = _failing(hub)["account balance is the sum of its transfers"]
    assert detail.startswith("2 violated, such as: ")
    assert values["u"] in detail


def test_calls_deleted_by_retention_leave_books_that_agree(books):
    hub, _ = books
    with writing(hub.engine) as connection:
        connection.execute(text("DELETE FROM model_call WHERE status <> 'processing'"))
    assert _failing(hub) == {}
