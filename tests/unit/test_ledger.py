"""The account rules against a reference that knows nothing but sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aigne_hub.domain.ledger import Account
from aigne_hub.domain.lots import Category, Lot


def lot(lot_id: str, amount: int, **more) -> Lot:
    return Lot(
        lot_id,
        amount,
        more.pop("category", Category.PAID),
        more.pop("priority", 50),
        more.pop("created_us", 0),
        more.pop("expires_us", None),
    )


def account(balance: int = 0, overdraft: int = 0) -> Account:
    return Account("a", balance, 0, overdraft)


def test_burn_down_is_by_priority_then_expiry_then_promotional_then_age():
    books = account()
    for each in (
        lot("old", 10, created_us=1),
        lot("young", 10, created_us=2),
        lot("promo", 10, category=Category.PROMOTIONAL, created_us=3),
        lot("soon", 10, expires_us=100, created_us=4),
        lot("later", 10, expires_us=200, created_us=5),
        lot("first", 10, priority=1, created_us=6),
    ):
        books.grant(each, source="funding:manual", at_us=0)
    books.hold(60)
    transfers = books.capture("c", held=60, charge=55, at_us=50)
    assert [t.grant_id for t in transfers] == ["first", "soon", "later", "promo", "old", "young"]
    assert [t.amount for t in transfers] == [10, 10, 10, 10, 10, 5]


def test_a_charge_above_the_hold_takes_what_is_available_and_writes_off_the_rest():
    books = account()
    books.grant(lot("g", 100), source="funding:manual", at_us=0)
    books.hold(40)
    transfers = books.capture("c", held=40, charge=130, at_us=1)
    assert [(t.kind, t.debit, t.amount) for t in transfers] == [
        ("capture", "a", 100),
        ("write_off", "write_off", 30),
    ]
    assert (books.balance, books.held) == (0, 0)


def test_the_overdraft_is_used_and_repaid_first_by_the_next_grant():
    books = account(overdraft=50)
    books.hold(50)
    (transfer,) = books.capture("c", held=50, charge=30, at_us=1)
    assert (books.balance, transfer.grant_id) == (-30, None)
    repaid = lot("g", 100)
    books.grant(repaid, source="funding:manual", at_us=2)
    assert (books.balance, repaid.remaining) == (70, 70)


def test_metering_takes_what_is_available_and_writes_nothing_off():
    books = account(overdraft=5)
    books.grant(lot("g", 100), source="funding:manual", at_us=0)
    books.hold(30)
    transfers = books.meter("meter/e", 90, 1)
    assert [(t.kind, t.grant_id, t.amount) for t in transfers] == [("capture", "g", 75)]
    assert (books.balance, books.available) == (25, 0)
    assert books.meter("meter/f", 1, 2) == []
    with pytest.raises(ValueError, match="positive"):
        books.meter("meter/g", 0, 2)


def test_an_expired_grant_waits_for_the_holds_that_stand_on_it():
    books = account()
    books.grant(lot("g", 100, expires_us=10), source="funding:manual", at_us=0)
    books.hold(60)
    assert [t.amount for t in books.advance(10)] == [40]
    assert [t.amount for t in books.capture("c", held=60, charge=25, at_us=11)] == [25]
    assert [t.amount for t in books.advance(11)] == [35]
    assert books.balance == 0


@pytest.mark.parametrize("amount", [-1, 101])
def test_a_hold_fits_or_does_not_happen(amount: int):
    books = account(balance=100)
    with pytest.raises(ValueError, match="fits"):
        books.hold(amount)


class Books(RuleBasedStateMachine):
    """Random lives of an account; the invariants are those of the CHECK constraints and more."""

    def __init__(self) -> None:
        super().__init__()
        self.books = account(overdraft=25)
        self.holds: list[int] = []
        self.posted = 0
        self.time = 0
        self.count = 0

    @rule(
        amount=st.integers(1, 100), priority=st.integers(0, 3), life=st.integers(0, 5) | st.none()
    )
    def grant(self, amount: int, priority: int, life: int | None):
        self.count += 1
        expires = None if life is None else self.time + life + 1
        new = lot(
            f"g{self.count}", amount, priority=priority, created_us=self.time, expires_us=expires
        )
        posted = self.books.grant(new, source="funding:manual", at_us=self.time)
        self.posted += sum(t.amount for t in posted)

    @rule(amount=st.integers(0, 120))
    def hold(self, amount: int):
        if amount <= self.books.available:
            self.books.hold(amount)
            self.holds.append(amount)

    @precondition(lambda self: self.holds)
    @rule(charge=st.integers(0, 200))
    def capture(self, charge: int):
        self.count += 1
        held = self.holds.pop()
        transfers = self.books.capture(f"c{self.count}", held=held, charge=charge, at_us=self.time)
        assert sum(t.amount for t in transfers) == charge
        assert len({(t.operation_id, t.seq) for t in transfers}) == len(transfers)
        self.posted -= sum(t.amount for t in transfers if t.debit == "a")

    @rule(amount=st.integers(1, 200))
    def meter(self, amount: int):
        self.count += 1
        before = max(self.books.available, 0)
        transfers = self.books.meter(f"meter/{self.count}", amount, self.time, seq=3)
        assert sum(t.amount for t in transfers) == min(amount, before)
        assert [t.seq for t in transfers] == list(range(3, 3 + len(transfers)))
        assert {(t.kind, t.credit, t.call_id) for t in transfers} <= {("capture", "revenue", None)}
        self.posted -= sum(t.amount for t in transfers)

    @rule(step=st.integers(0, 3))
    def pass_time(self, step: int):
        self.time += step
        self.posted -= sum(t.amount for t in self.books.advance(self.time))

    @invariant()
    def the_books_agree(self):
        books = self.books
        assert books.balance == self.posted
        assert books.held == sum(self.holds)
        assert books.available >= 0
        assert sum(each.remaining for each in books.lots) == max(books.balance, 0)
        assert all(each.remaining >= 0 for each in books.lots)


TestBooks = Books.TestCase


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(0, 500))
def test_a_capture_never_moves_more_than_there_is(amounts: list[int], charge: int):
    books = account()
    for number, amount in enumerate(amounts):
        books.grant(lot(str(number), amount), source="funding:manual", at_us=number)
    transfers = books.capture("c", held=0, charge=charge, at_us=99)
    moved = sum(t.amount for t in transfers if t.kind == "capture")
    assert moved == min(charge, sum(amounts))
