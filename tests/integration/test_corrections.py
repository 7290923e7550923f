"""Refunds, adjustments and reversals: new transfers that leave books which agree."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.batches import Batches

from aigne_hub.domain.access import Role
from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.errors import Conflict, InsufficientCredits, InvalidRequest, NotFound
from aigne_hub.domain.lots import Category
from aigne_hub.domain.operations import Open, Settle
from aigne_hub.domain.quotes import Quote
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import corrections, grants, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.verify import verify

ONE = 1_000_000_000


def whole(nano):
    return Quote(fixed=nano * 1_000_000, per_token=0, tokens_wanted=0, tokens_min=0)


class Desk:
    """One account and what may happen to it."""

    def __init__(self, hub, batches, overdraft=0):
        self.hub = hub
        self.batches = batches
        self.count = 0
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            self.user = users.create(
                change,
                hub.keyring,
                hub.randbytes,
                email=f"{hub.ids()}@example.com",
                role=Role.MEMBER,
                overdraft=overdraft,
            )

    def give(self, amount, **terms):
        with writing(self.hub.engine) as connection:
            return grants.grant(
                connection,
                self.hub.clock,
                self.hub.ids,
                self.user.id,
                amount,
                grants.Terms(**terms),
            ).id

    def call(self, charge, hold=None):
        """Open and settle one call through the journal's own fold; None charges nothing."""
        now = self.hub.clock.now_us()
        quote = Quote(
            fixed=(hold or charge or 0) * 1_000_000, per_token=0, tokens_wanted=0, tokens_min=0
        )
        opened = Open(
            call_id=self.hub.ids(),
            account_id=self.user.id,
            user_did=self.user.did,
            app_did="d",
            key_id="k",
            type="chat",
            model="openai/m",
            rate_id=None,
            stream=False,
            input_counted=1,
            request_id="r",
            started_us=now,
            quote=quote,
        )
        (admission,) = self.batches.apply(opened)
        settle = Settle(
            call_id=opened.call_id,
            account_id=self.user.id,
            outcome=Outcome.COMPLETED,
            held=admission.held,
            charge=charge or 0,
            usage=None if charge is None else Usage(input_tokens=1),
            usage_source=UsageSource.PROVIDER,
            provider="openai",
            credential="main",
            ended_us=self.hub.clock.now_us(),
            duration_us=1,
            ttfb_us=1,
            billed=True,
            model="openai/m",
        )
        self.batches.apply(settle)
        return opened.call_id

    def refund(self, call_id, amount=None):
        return self._correct(corrections.refund_call, call_id, amount)

    def reverse(self, grant_id, amount=None):
        return self._correct(corrections.reverse_grant, grant_id, amount)

    def adjust(self, call_id, amount):
        return self._correct(corrections.adjust_call, call_id, amount)

    def _correct(self, act, target, amount):
        self.count += 1
        with writing(self.hub.engine) as connection:
            return act(
                connection,
                self.hub.clock.now_us(),
                f"fix/{self.user.id}/{self.count}",
                target,
                amount,
            )

    @property
    def balance(self):
        with reading(self.hub.engine) as connection:
            return grants.balance(connection, self.hub.clock, self.user.id).balance

    def left(self, *ids):
        table = schema.credit_grant.c
        with reading(self.hub.engine) as connection:
            rows = connection.execute(
                select(table.id, table.remaining).where(table.account_id == self.user.id)
            )
            found = {row.id: row.remaining for row in rows}
        return [found[grant] for grant in ids]

    def verified(self):
        with reading(self.hub.engine) as connection:
            wrong = [check for check in verify(connection) if not check.ok]
        assert wrong == []


# PostgreSQL's journal goes by the database's clock: what needs the tests' own runs on SQLite.
@pytest.fixture
def batches(sqlite_hub):
    with Batches(sqlite_hub) as opened:
        yield opened


@pytest.fixture
def desk(sqlite_hub, batches):
    return Desk(sqlite_hub, batches)


def test_refunds_and_reversals_on_either_database(hub):
    with Batches(hub) as batches:
        desk = Desk(hub, batches)
        bonus = desk.give(3 * ONE, category=Category.PROMOTIONAL)
        paid = desk.give(10 * ONE)
        call = desk.call(5 * ONE)
    desk.refund(call, 3 * ONE)
    assert desk.left(bonus, paid) == [1 * ONE, 10 * ONE]
    desk.adjust(call, 2 * ONE)
    done = desk.reverse(paid)
    assert (done.amount, done.written_off, done.balance) == (9 * ONE, 1 * ONE, 0)
    desk.verified()


def test_a_refund_returns_to_the_lots_it_came_from_the_last_one_first(desk):
    bonus = desk.give(3 * ONE, category=Category.PROMOTIONAL)
    paid = desk.give(10 * ONE)
    call = desk.call(5 * ONE)
    assert desk.left(bonus, paid) == [0, 8 * ONE]
    assert desk.refund(call, 3 * ONE).balance == 11 * ONE
    assert desk.left(bonus, paid) == [1 * ONE, 10 * ONE]
    desk.refund(call)
    assert desk.left(bonus, paid) == [3 * ONE, 10 * ONE]
    desk.verified()


def test_no_more_is_refunded_than_was_charged(desk):
    desk.give(10 * ONE)
    call = desk.call(5 * ONE)
    desk.refund(call, 4 * ONE)
    with pytest.raises(InvalidRequest, match="At most 1 of this call"):
        desk.refund(call, 2 * ONE)
    desk.refund(call)
    with pytest.raises(InvalidRequest, match="At most 0"):
        desk.refund(call)
    desk.verified()


def test_the_same_correction_happens_once(desk):
    desk.give(10 * ONE)
    call = desk.call(5 * ONE)
    desk.refund(call, ONE)
    desk.count -= 1
    with pytest.raises(Conflict):
        desk.refund(call, ONE)
    assert desk.balance == 6 * ONE


def test_what_is_unknown_is_not_found(desk):
    with pytest.raises(NotFound):
        desk.refund("nothing")
    with pytest.raises(NotFound):
        desk.reverse("nothing")


def test_a_refund_to_a_grant_that_has_expired_expires_with_it(sqlite_hub, desk):
    soon = desk.give(5 * ONE, expires_us=sqlite_hub.clock.us + 60_000_000)
    call = desk.call(5 * ONE)
    sqlite_hub.clock.advance(120)
    assert desk.refund(call).balance == 0
    assert desk.left(soon) == [0]
    desk.verified()


def test_refunded_overdraft_repays_the_debt_and_then_whoever_repaid_it(sqlite_hub, batches):
    desk = Desk(sqlite_hub, batches, overdraft=5 * ONE)
    call = desk.call(5 * ONE)
    assert desk.balance == -5 * ONE
    later = desk.give(3 * ONE)
    assert (desk.balance, desk.left(later)) == (-2 * ONE, [0])
    assert desk.refund(call).balance == 3 * ONE
    assert desk.left(later) == [3 * ONE]
    desk.verified()


def test_a_reversal_takes_its_own_lot_first_then_the_rest_of_the_account(desk):
    paid = desk.give(10 * ONE)
    other = desk.give(4 * ONE, priority=90)
    desk.call(6 * ONE)
    assert desk.reverse(paid).amount == 8 * ONE
    assert (desk.balance, desk.left(paid, other)) == (0, [0, 0])
    desk.verified()


def test_a_reversal_never_goes_below_the_overdraft_and_writes_off_the_rest(sqlite_hub, batches):
    desk = Desk(sqlite_hub, batches, overdraft=1 * ONE)
    paid = desk.give(10 * ONE)
    desk.call(9 * ONE)
    done = desk.reverse(paid)
    assert (done.amount, done.written_off, done.balance) == (2 * ONE, 8 * ONE, -1 * ONE)
    with pytest.raises(InvalidRequest, match="At most 0 of this grant"):
        desk.reverse(paid)
    desk.verified()


def test_a_reversal_leaves_what_calls_in_flight_hold(sqlite_hub, desk):
    paid = desk.give(10 * ONE)
    now = sqlite_hub.clock.now_us()
    quote = whole(6 * ONE)
    names = ("user_did", "app_did", "key_id", "type", "model", "request_id")
    desk.batches.apply(
        Open(
            call_id=sqlite_hub.ids(),
            account_id=desk.user.id,
            rate_id=None,
            stream=False,
            input_counted=1,
            started_us=now,
            quote=quote,
            **dict.fromkeys(names, "x"),
        )
    )
    done = desk.reverse(paid)
    assert (done.amount, done.written_off, done.balance) == (4 * ONE, 6 * ONE, 6 * ONE)
    desk.verified()


def test_a_grant_that_was_to_begin_later_can_be_taken_back(sqlite_hub, desk):
    later = desk.give(5 * ONE, effective_us=sqlite_hub.clock.us + 3_600_000_000)
    assert desk.balance == 0
    done = desk.reverse(later)
    assert (done.amount, done.balance) == (5 * ONE, 0)
    sqlite_hub.clock.advance(7_200)
    assert desk.balance == 0
    desk.verified()


def test_a_grant_begins_when_it_is_effective(sqlite_hub, desk):
    later = desk.give(5 * ONE, effective_us=sqlite_hub.clock.us + 60_000_000)
    desk.verified()
    sqlite_hub.clock.advance(120)
    assert desk.balance == 5 * ONE
    with writing(sqlite_hub.engine) as connection:
        assert grants.advance_due(connection, sqlite_hub.clock.now_us()) == 1
        assert grants.advance_due(connection, sqlite_hub.clock.now_us()) == 0
    assert desk.left(later) == [5 * ONE]
    desk.call(2 * ONE)
    assert desk.left(later) == [3 * ONE]
    desk.verified()


def test_an_adjustment_charges_more_and_writes_off_what_cannot_be_paid(desk):
    desk.give(10 * ONE)
    call = desk.call(5 * ONE)
    done = desk.adjust(call, 7 * ONE)
    assert (done.amount, done.written_off, done.balance) == (5 * ONE, 2 * ONE, 0)
    assert desk.refund(call).amount == 10 * ONE
    desk.verified()


# Each of these was found by `test_ledger_machine`.


def test_a_lot_that_expires_twice_at_one_instant_expires_once_each(sqlite_hub, desk):
    soon = desk.give(10 * ONE, expires_us=sqlite_hub.clock.us + 60_000_000)
    call = desk.call(5 * ONE)
    sqlite_hub.clock.advance(120)
    # What was left expires with the refund, which is as much and expires too.
    assert desk.refund(call).balance == 0
    assert desk.left(soon) == [0]
    desk.verified()


def test_an_overdraft_is_refunded_after_the_debt_that_the_same_refund_repaid(sqlite_hub, batches):
    desk = Desk(sqlite_hub, batches, overdraft=5 * ONE)
    call = desk.call(3 * ONE)
    later = desk.give(5 * ONE)
    desk.adjust(call, 4 * ONE)
    assert (desk.balance, desk.left(later)) == (-2 * ONE, [0])
    assert desk.refund(call).balance == 5 * ONE
    assert desk.left(later) == [5 * ONE]
    desk.verified()


def test_what_a_lot_repaid_is_returned_to_it_once(sqlite_hub, batches):
    desk = Desk(sqlite_hub, batches, overdraft=10 * ONE)
    first, second = desk.call(3 * ONE), desk.call(2 * ONE)
    small, large = desk.give(3 * ONE), desk.give(10 * ONE)
    assert desk.left(small, large) == [0, 8 * ONE]
    desk.refund(first)
    assert desk.left(small, large) == [1 * ONE, 10 * ONE]
    desk.refund(second)
    assert desk.left(small, large) == [3 * ONE, 10 * ONE]
    desk.verified()


def test_what_expires_with_a_refund_was_not_repaid_once_more(sqlite_hub, batches):
    desk = Desk(sqlite_hub, batches, overdraft=8 * ONE)
    call = desk.call(8 * ONE)
    lasting = desk.give(7 * ONE, priority=0)
    soon = desk.give(ONE, priority=50, expires_us=sqlite_hub.clock.us + 60_000_000)
    desk.refund(call, ONE)
    assert desk.left(lasting, soon) == [0, ONE]
    sqlite_hub.clock.advance(120)
    assert desk.refund(call).balance == 7 * ONE
    assert desk.left(lasting, soon) == [7 * ONE, 0]
    desk.verified()


def test_a_debt_is_repaid_by_the_grant_that_began_first(sqlite_hub, batches):
    desk = Desk(sqlite_hub, batches, overdraft=5 * ONE)
    desk.call(5 * ONE)
    now = sqlite_hub.clock.us
    second = desk.give(9 * ONE, effective_us=now + 60_000_000)
    first = desk.give(9 * ONE, effective_us=now + 30_000_000)
    sqlite_hub.clock.advance(120)
    with writing(sqlite_hub.engine) as connection:
        grants.advance_due(connection, sqlite_hub.clock.now_us())
    assert desk.left(first, second) == [4 * ONE, 9 * ONE]
    desk.verified()


def test_a_name_of_a_correction_is_one_accounts_and_a_reversals_is_everybodys(sqlite_hub, batches):
    desks = Desk(sqlite_hub, batches), Desk(sqlite_hub, batches)
    given_ = [desk.give(10 * ONE) for desk in desks]
    called = [desk.call(5 * ONE) for desk in desks]
    with writing(sqlite_hub.engine) as connection:
        for call in called:
            corrections.refund_call(connection, sqlite_hub.clock.now_us(), "one", call, ONE)
        corrections.reverse_grant(connection, sqlite_hub.clock.now_us(), "two", given_[0], ONE)
        with pytest.raises(Conflict):
            corrections.reverse_grant(connection, sqlite_hub.clock.now_us(), "two", given_[1], ONE)
    desks[0].verified()


def test_a_call_that_was_not_to_be_charged_cannot_be_corrected(sqlite_hub, desk):
    desk.give(10 * ONE)
    with pytest.raises(NotFound):
        desk.adjust(desk.call(None), ONE)
    desk.verified()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["give", "later", "soon", "call", "refund", "reverse", "adjust", "wait"]),
        st.integers(1, 9),
    ),
    min_size=4,
    max_size=15,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_any_sequence_of_corrections_leaves_books_that_agree(sqlite_hub, batches, steps):
    desk = Desk(sqlite_hub, batches, overdraft=3 * ONE)
    given_, called = [], []
    for name, number in steps:
        amount = number * ONE
        try:
            if name == "give":
                given_.append(desk.give(amount))
            elif name == "later":
                given_.append(desk.give(amount, effective_us=sqlite_hub.clock.us + 30_000_000))
            elif name == "soon":
                given_.append(desk.give(amount, expires_us=sqlite_hub.clock.us + 40_000_000))
            elif name == "call":
                called.append(desk.call(amount, hold=min(amount, max(desk.balance, 1))))
            elif name == "refund" and called:
                desk.refund(called[number % len(called)], amount if number % 2 else None)
            elif name == "reverse" and given_:
                desk.reverse(given_[number % len(given_)], amount if number % 2 else None)
            elif name == "adjust" and called:
                desk.adjust(called[number % len(called)], amount)
            else:
                sqlite_hub.clock.advance(number * 5)
        except (InvalidRequest, InsufficientCredits):
            pass
    desk.verified()
