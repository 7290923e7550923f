"""Redemption codes: each gives its credit as often as it may, and once to each account."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from tests.hub import HubProcess
from tests.shop import Shop
from tests.visitor import ask

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, NotFound, RateLimited
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import AMOUNT_MAX, NANO_PER_CREDIT
from aigne_hub.storage import codes, grants, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.verify import verify

FIVE = 5 * NANO_PER_CREDIT
ATTEMPTS = 1_000
CALLERS = 20
PATH = "/api/user/credit/redeem"


def changing(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def person(hub, name):
    with changing(hub) as change:
        make = (change, hub.keyring, hub.randbytes)
        return users.create(*make, email=f"{name}@example.com", role=Role.MEMBER).id


@pytest.fixture
def ada(hub):
    return person(hub, "ada")


def made(hub, **more):
    with changing(hub) as change:
        (one,) = codes.create(change, hub.randbytes, **{"amount": FIVE, **more})
    return one


def redeem(hub, account, text):
    with changing(hub) as change:
        return codes.redeem(change, account, text)


def balance(hub, account):
    with reading(hub.engine) as view:
        return grants.balance(view, hub.clock, account).balance


def test_a_code_gives_its_credit_once(hub, ada):
    code = made(hub)
    given = redeem(hub, ada, code.text.lower().replace("-", " "))
    assert (given.amount, given.balance) == (FIVE, FIVE)
    again = redeem(hub, ada, code.text)
    assert isinstance(again, Conflict)
    assert again.message == "This account has redeemed the code already."
    assert balance(hub, ada) == FIVE
    with reading(hub.engine) as view:
        assert [check for check in verify(view) if not check.ok] == []
        (entry,) = grants.history(view, ada, 5)
        assert entry.debit == "promotional"


def test_a_code_is_used_up_by_as_many_accounts_as_it_may(hub, ada):
    code = made(hub, max_redemptions=2, category=Category.PAID)
    others = [person(hub, name) for name in ("bob", "eve")]
    answers = [redeem(hub, account, code.text) for account in (ada, *others)]
    assert [isinstance(answer, HubError) for answer in answers] == [False, False, True]
    assert answers[2].message == "The code has been used up."


def test_a_code_that_expired_or_was_revoked_gives_nothing(hub, ada):
    expired = made(hub, expires_us=hub.clock.us + 60_000_000)
    hub.clock.advance(61)
    assert redeem(hub, ada, expired.text).message == "The code has expired."
    revoked = made(hub)
    with changing(hub) as change:
        assert codes.revoke(change, revoked.code.id).revoked_us is not None
    assert redeem(hub, ada, revoked.text).message == "The code was revoked."
    assert balance(hub, ada) == 0


def test_only_a_digest_of_a_code_is_stored(hub):
    code = made(hub)
    with reading(hub.engine) as view:
        row = view.execute(select(schema.redemption_code)).one()
        assert codes.listed(view, 5) == [code.code]
    stored = repr(tuple(row))
    assert code.text not in stored
    assert code.text.replace("-", "") not in stored
    assert row.prefix == code.text[:4]


def test_guessing_is_slow_and_does_not_cost_a_real_code(hub, ada):
    for number in range(codes.GUESSES_MAX):
        answer = redeem(hub, ada, f"0000-0000-0000-{number:04d}" if number else "no code at all")
        assert isinstance(answer, NotFound)
    code = made(hub)
    limited = redeem(hub, ada, code.text)
    assert isinstance(limited, RateLimited)
    assert 0 < limited.retry_after_s <= 3_600
    assert not isinstance(redeem(hub, person(hub, "bob"), made(hub).text), HubError)
    hub.clock.advance(3_600)
    assert redeem(hub, ada, code.text).amount == FIVE


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": AMOUNT_MAX + 1}, "amount"),
        ({"count": 0}, "count"),
        ({"count": codes.COUNT_MAX + 1}, "count"),
        ({"max_redemptions": 0}, "max_redemptions"),
        ({"max_redemptions": codes.REDEMPTIONS_MAX + 1}, "max_redemptions"),
        ({"expires_us": 1}, "expires_at"),
    ],
)
def test_a_code_that_cannot_be_is_refused(hub, wrong, param):
    with pytest.raises(InvalidRequest) as refused:
        made(hub, **wrong)
    assert refused.value.param == param


def test_the_database_refuses_more_redemptions_than_a_code_has(hub):
    code = made(hub)
    table = schema.redemption_code
    with pytest.raises(IntegrityError), writing(hub.engine) as connection:
        connection.execute(table.update().where(table.c.id == code.code.id).values(redeemed=2))


def test_many_codes_are_made_at_once_and_differ(hub):
    with changing(hub) as change:
        many = codes.create(change, hub.randbytes, amount=FIVE, count=500)
    assert len({one.text for one in many}) == len({one.code.id for one in many}) == 500


def test_a_race_in_the_store_redeems_once(hub):
    """CVE-2026-11465: reading and counting a code were two steps."""
    code = made(hub)
    accounts = [person(hub, f"racer{number}") for number in range(8)]
    start = threading.Barrier(len(accounts))

    def race(account):
        start.wait()
        return redeem(hub, account, code.text)

    with ThreadPoolExecutor(len(accounts)) as pool:
        answers = list(pool.map(race, accounts))
    assert sum(not isinstance(answer, HubError) for answer in answers) == 1
    assert sum(balance(hub, account) for account in accounts) == FIVE


def test_a_thousand_concurrent_redemptions_of_one_code_credit_once(
    tmp_path, database, database_for
):
    """Over HTTP and two processes, by several accounts that send many requests each."""
    with (
        HubProcess(
            tmp_path, {"billing": {"enabled": True}}, workers=2, database_url=database_for(database)
        ) as hub,
        Shop(hub) as shop,
    ):
        people = [shop.customer(f"racer{number}@example.com") for number in range(CALLERS)]
        with shop.cashier.changing("test") as change:
            (code,) = codes.create(change, shop.cashier.randbytes, amount=FIVE)
        body = {"code": code.text}

        def send(number):
            key = people[number % CALLERS][1]
            return ask(hub, "POST", PATH, body=body, key=key).status

        with ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(send, range(ATTEMPTS)))
        assert {status: statuses.count(status) for status in set(statuses)} == {
            200: 1,
            409: ATTEMPTS - 1,
        }
        assert sorted(shop.balance(user) for user, _ in people) == ["0"] * (CALLERS - 1) + ["5"]
        shop.verified()
