"""I-18: a statement is the ledger, agrees with usage, and another hub carries it on."""

import csv
import io
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import select
from tests.integration.conftest import Hub
from tests.integration.lives import DAY_S, Life, charge, user

from aigne_hub.billing import statement_csv
from aigne_hub.billing.statement import Disagreement, require_agreement
from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.domain.transfers import REVENUE
from aigne_hub.storage import account_history, accounts, corrections, grants, history_import, schema
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import create_engine, reading, writing
from aigne_hub.storage.verify import verify

CREDIT = 10**9
STEPS = 60


def export(hub, account_id, since=None, until=None):
    with reading(hub.engine) as connection:
        found = account_history.statement(connection, account_id, since, until)
        return "".join(statement_csv.write(found))


def load(text):
    return statement_csv.read(io.StringIO(text, newline=""))


def carry_on(hub, account_id, text):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        return history_import.import_statement(change, account_id, *load(text))


def lots(hub, account_id):
    """Return every grant of an account, but for its name and who granted it."""
    granted = schema.credit_grant.c
    kept = (
        "amount remaining category priority effective_us expires_us created_us source posted name"
    )
    with reading(hub.engine) as connection:
        rows = connection.execute(
            select(*(granted[name] for name in kept.split())).where(
                granted.account_id == account_id
            )
        )
        return Counter(map(tuple, rows))


def history(hub, account_id):
    with reading(hub.engine) as connection:
        entries = grants.history(connection, account_id, 1000)
    own = {account_id: "customer"}
    return [
        (
            e.kind,
            e.amount,
            e.change,
            own.get(e.debit, e.debit),
            own.get(e.credit, e.credit),
            e.created_us,
        )
        for e in entries
    ]


def balance(hub, account_id):
    with reading(hub.engine) as connection:
        return accounts.load(connection, account_id, lock=False).balance


def assert_in_order(hub):
    with reading(hub.engine) as connection:
        assert [check for check in verify(connection) if not check.ok] == []


@pytest.fixture
def other_hub(sqlite_template, tmp_path):
    path = tmp_path / "other.db"
    path.write_bytes(sqlite_template.read_bytes())
    opened = Hub(create_engine(f"sqlite:///{path}"))
    yield opened
    opened.engine.dispose()


@pytest.mark.parametrize("seed", range(5))
def test_another_hub_carries_an_account_on(hub, other_hub, seed):
    life = Life(hub, seed, overdraft=seed % 2 * CREDIT).run(STEPS)
    text = export(hub, life.user.id)
    assert_in_order(hub)
    other_hub.clock.us = hub.clock.us
    for target in (other_hub, hub):
        heir = user(target, "heir@example.com", overdraft=CREDIT)
        made = carry_on(target, heir.id, text)
        assert made.balance == balance(target, heir.id) == balance(hub, life.user.id)
        assert lots(target, heir.id) == lots(hub, life.user.id)
        assert history(target, heir.id) == history(hub, life.user.id)
        again = carry_on(target, heir.id, text)
        assert (again.transfers, again.known, again.balance) == (0, made.transfers, made.balance)
        assert_in_order(target)
    # And so on, from hub to hub.
    onward = export(other_hub, heir_of(other_hub))
    third = user(hub, "third@example.com", overdraft=CREDIT)
    assert carry_on(hub, third.id, onward).balance == balance(hub, life.user.id)
    assert lots(hub, third.id) == lots(hub, life.user.id)
    assert_in_order(hub)


def heir_of(hub):
    with reading(hub.engine) as connection:
        named = schema.user.c
        return connection.execute(
            select(named.id).where(named.email == "heir@example.com")
        ).scalar_one()


def test_an_account_that_was_carried_on_lives_on(hub, other_hub):
    life = Life(hub, 11).run(STEPS)
    life.grant()
    text = export(hub, life.user.id)
    other_hub.clock.us = hub.clock.us
    heir = user(other_hub, "heir@example.com")
    carry_on(other_hub, heir.id, text)
    both = ((hub, life.user), (other_hub, heir))
    for target, holder in both:
        charge(target, holder, CREDIT // 3)
        target.clock.advance(100 * DAY_S)
        with writing(target.engine) as connection:
            grants.advance_due(connection, target.clock.now_us())
        assert_in_order(target)
    assert lots(other_hub, heir.id) == lots(hub, life.user.id)
    assert balance(other_hub, heir.id) == balance(hub, life.user.id)
    # It has lived on, and the same file still changes nothing.
    assert carry_on(other_hub, heir.id, text).transfers == 0


def test_what_was_taken_back_of_a_grant_is_not_taken_back_again(hub):
    holder, heir = user(hub, "a@example.com"), user(hub, "b@example.com")
    with writing(hub.engine) as connection:
        made = grants.grant(connection, hub.clock, hub.ids, holder.id, 10)
        corrections.reverse_grant(connection, hub.clock.now_us(), "r1", made.id, 7)
    carry_on(hub, heir.id, export(hub, holder.id))
    with writing(hub.engine) as connection:
        name = f"imported/{heir.id}/{made.id}"
        done = corrections.reverse_grant(connection, hub.clock.now_us(), "r2", name)
        assert (done.amount, done.balance) == (3, 0)
    assert_in_order(hub)


@pytest.mark.parametrize("seed", [21, 22])
def test_a_statement_agrees_with_ledger_and_usage_to_the_unit(hub, seed):
    life = Life(hub, seed).run(STEPS)
    rows = list(csv.DictReader(io.StringIO(export(hub, life.user.id))))
    entries = [row for row in rows if row["row"] == "transfer"]
    with reading(hub.engine) as connection:
        call, moved = schema.model_call.c, schema.transfer.c
        calls = connection.execute(
            select(call.id, call.model, call.started_us, call.charge, call.output_tokens).where(
                call.account_id == life.user.id
            )
        ).all()
        transfers = connection.execute(
            select(moved.operation_id, moved.kind, moved.amount).where(
                moved.account_id == life.user.id
            )
        ).all()
    assert len(entries) == len(transfers)
    # What was charged by model and day, by the calls and by the statement with its write-offs.
    charged, used = Counter(), Counter()
    for one in calls:
        charged[one.model, format_instant(one.started_us)[:10]] += one.charge
        used[one.model] += one.output_tokens
    told, tokens = Counter(), Counter()
    for row in entries:
        if row["call_id"] and row["operation_id"] == row["call_id"]:
            told[row["model"], row["at"][:10]] += parse_credits(row["amount"])
            tokens[row["model"]] += int(row["output_tokens"] or 0)
    assert told == charged
    paid = {row["call_id"] for row in entries if row["kind"] == "capture"}
    assert (
        tokens
        == Counter(
            {
                model: sum(c.output_tokens for c in calls if c.model == model and c.id in paid)
                for model in used
            }
        )
        + Counter()
    )
    # By kind the statement is the ledger.
    by_kind = Counter()
    for row in transfers:
        by_kind[row.kind] += row.amount
    of_rows = Counter()
    for row in entries:
        of_rows[row["kind"]] += parse_credits(row["amount"])
    assert of_rows == by_kind
    assert sum(parse_credits(row["change"]) for row in entries) == balance(hub, life.user.id)


def test_periods_follow_each_other(hub):
    life = Life(hub, 31).run(STEPS)
    whole = list(csv.DictReader(io.StringIO(export(hub, life.user.id))))
    entries = [row for row in whole if row["row"] == "transfer"]
    cut = load_instant(entries[len(entries) // 2]["at"])
    first = list(csv.DictReader(io.StringIO(export(hub, life.user.id, until=cut))))
    second = list(csv.DictReader(io.StringIO(export(hub, life.user.id, since=cut))))
    assert [r for r in first + second if r["row"] == "transfer"] == entries
    assert first[-1]["row"] == "closing"
    assert second[0]["row"] == "opening"
    assert first[-1]["balance"] == second[0]["balance"]
    assert second[-1]["balance"] == format_credits(balance(hub, life.user.id))
    # Part of an account is nothing to carry on from.
    heir = user(hub, "heir@example.com")
    with pytest.raises(InvalidRequest, match="without a period"):
        carry_on(hub, heir.id, export(hub, life.user.id, since=cut))
    with pytest.raises(InvalidRequest, match="ends before it begins"):
        export(hub, life.user.id, since=2, until=1)


def load_instant(text):
    return statement_csv.parse_instant(text)


def test_an_empty_account_has_a_statement(hub):
    holder, heir = user(hub, "a@example.com"), user(hub, "b@example.com")
    text = export(hub, holder.id)
    assert [line.split(",")[0] for line in text.splitlines()] == ["row", "opening", "closing"]
    assert carry_on(hub, heir.id, text).balance == 0


def test_two_statements_do_not_mix(hub):
    lives = [Life(hub, seed).run(10) for seed in (41, 42)]
    for life in lives:
        life.grant()
    heir = user(hub, "heir@example.com", overdraft=10 * CREDIT)
    carry_on(hub, heir.id, export(hub, lives[0].user.id))
    with pytest.raises(Conflict, match="imported into this account before"):
        carry_on(hub, heir.id, export(hub, lives[1].user.id))
    # Nor does a later one of the same account.
    lives[0].charge()
    with pytest.raises(Conflict, match="imported into this account before"):
        carry_on(hub, heir.id, export(hub, lives[0].user.id))
    assert_in_order(hub)


def test_debt_is_carried_on_within_the_overdraft(hub):
    holder = user(hub, "debtor@example.com", overdraft=5)
    charge(hub, holder, 5)
    text = export(hub, holder.id)
    rich, poor, same = (
        user(hub, f"{name}@example.com", overdraft=overdraft)
        for name, overdraft in (("rich", 9), ("poor", 4), ("same", 5))
    )
    with writing(hub.engine) as connection:
        grants.grant(connection, hub.clock, hub.ids, rich.id, 100)
    with pytest.raises(Conflict, match="in debt"):
        carry_on(hub, rich.id, text)
    with pytest.raises(Conflict, match="below zero"):
        carry_on(hub, poor.id, text)
    assert carry_on(hub, same.id, text).balance == -5
    assert_in_order(hub)


def test_credit_is_added_to_what_there_is(hub):
    holder, heir = user(hub, "a@example.com"), user(hub, "b@example.com")
    with writing(hub.engine) as connection:
        for account, amount in ((holder.id, 7), (heir.id, 5)):
            grants.grant(connection, hub.clock, hub.ids, account, amount)
    assert carry_on(hub, heir.id, export(hub, holder.id)).balance == 12
    assert_in_order(hub)


def test_a_statement_of_the_future_is_refused(hub, other_hub):
    life = Life(hub, 51).run(5)
    heir = user(other_hub, "heir@example.com")
    with pytest.raises(InvalidRequest, match="clocks"):
        carry_on(other_hub, heir.id, export(hub, life.user.id))


NUMBERS = ("amount", "change", "balance", "remaining", "seq")
NAMES = ("operation_id", "debit", "credit", "kind", "grant_id", "source", "posted", "row")


def test_a_statement_with_one_cell_changed_is_refused(sqlite_hub):
    life = Life(sqlite_hub, 61, overdraft=CREDIT).run(STEPS)
    text = export(sqlite_hub, life.user.id)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    accepted = []
    for index, row in enumerate(rows):
        for name in NUMBERS + NAMES:
            if not row[name]:
                continue
            changed = {**row, name: other(name, row[name])}
            if changed == row:
                continue
            out = io.StringIO(newline="")
            writer = csv.DictWriter(out, statement_csv.COLUMNS)
            writer.writeheader()
            writer.writerows([*rows[:index], changed, *rows[index + 1 :]])
            try:
                require_agreement(*load(out.getvalue()))
            except (Disagreement, statement_csv.Unreadable):
                continue
            accepted.append((row["row"], row["kind"], name, row["posted"]))
    assert set(accepted) <= FREE


# What nothing else in an account tells: the name of an operation that stands alone, and where
# a grant comes from that is in no balance yet.
FREE = {
    *(("transfer", kind, "operation_id", "") for kind in ("refund", "adjustment", "expiry")),
    ("transfer", "capture", "operation_id", ""),
    ("transfer", "write_off", "operation_id", ""),
    ("grant", "", "grant_id", "no"),
    ("grant", "", "source", "no"),
}


def other(name, value):
    if name in NUMBERS:
        return format_credits(parse_credits(value) + 1) if name != "seq" else str(int(value) + 1)
    if name == "posted":
        return "no" if value == "yes" else "yes"
    return {"customer": "revenue", "revenue": "breakage", "promotional": "funding:manual"}.get(
        value, "promotional" if value.startswith("funding:") else f"{value}x"
    )


def test_a_loss_that_was_made_good_is_carried_on_and_never_more_than_it(hub):
    holder = user(hub, "a@example.com", overdraft=5)
    call = charge(hub, holder, 12)
    now = hub.clock.now_us()
    with writing(hub.engine) as connection:
        made_good = ("x", holder.id, REVENUE, 4)
        corrections.recover(connection, now, *made_good, call_id=call)
    text = export(hub, holder.id)
    found, closing = load(text)
    assert (found.written_off, closing) == (3, -5)
    heir = user(hub, "b@example.com", overdraft=5)
    assert carry_on(hub, heir.id, text).balance == -5
    assert_in_order(hub)
    (recovery,) = (one for one in found.movements if one.kind == "recovery")
    more = recovery._replace(operation_id="y")
    forged = replace(found, movements=[*found.movements, more], written_off=-1)
    with pytest.raises(Disagreement, match="made good"):
        require_agreement(forged, closing)
    with pytest.raises(Disagreement, match=r"writes 0\.000000004 off"):
        require_agreement(replace(found, written_off=4), closing)


@pytest.mark.parametrize("row", ["opening", "transfer", "closing", "grant", "reversal"])
def test_a_statement_without_one_of_its_rows_is_refused(sqlite_hub, row):
    life = Life(sqlite_hub, 62).run(STEPS)
    life.grant()
    with writing(sqlite_hub.engine) as connection:
        now = sqlite_hub.clock.now_us()
        corrections.reverse_grant(connection, now, "r", life.grants[-1], 1)
    lines = export(sqlite_hub, life.user.id).splitlines(keepends=True)
    chosen = [index for index, line in enumerate(lines) if line.startswith(f"{row},")]
    assert chosen
    for index in chosen:
        for changed in (lines[:index] + lines[index + 1 :], [*lines, lines[index]]):
            with pytest.raises((Disagreement, statement_csv.Unreadable)):
                require_agreement(*load("".join(changed)))


def test_a_grant_of_impossible_terms_is_refused(sqlite_hub):
    life = Life(sqlite_hub, 63).run(10)
    life.grant()
    found, closing = load(export(sqlite_hub, life.user.id))
    require_agreement(found, closing)
    for terms in ({"priority": 101}, {"category": "gift"}, {"remaining": -1}, {"amount": 0}):
        grants_ = [found.grants[0]._replace(**terms), *found.grants[1:]]
        with pytest.raises(Disagreement):
            require_agreement(replace(found, grants=grants_), closing)
