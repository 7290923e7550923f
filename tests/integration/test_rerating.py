"""Charges of a period after a wrong price, corrected by transfers, on both databases."""

from random import Random

import pytest
from sqlalchemy import select
from tests.batches import Batches
from tests.market import CREDIT, Market

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import corrections, grants, rerating, schema
from aigne_hub.storage.engine import reading, writing

MILLION = 1_000_000
MODEL = "openai/a"
PICTURES = "openai/i"
DEAR = {"input": 3 * CREDIT, "output": 6 * CREDIT}
CHEAP = {"input": CREDIT, "output": 2 * CREDIT}
ONE = Usage(input_tokens=MILLION)  # 3 credits at DEAR, 1 at CHEAP


@pytest.fixture
def market(hub):
    with Batches(hub) as batches:
        made = Market(hub, batches)
        made.model(MODEL, DEAR)
        made.model(PICTURES, DEAR, kind="image")
        made.since = hub.clock.now_us()
        yield made


def plan(market, version=None, *, since=None, until=None, model=MODEL):
    until = market.hub.clock.now_us() + MILLION if until is None else until
    with reading(market.hub.engine) as view:
        return rerating.prepare(view, model, version, since or market.since, until)


def preview(market, version=None, **period):
    with reading(market.hub.engine) as view:
        return rerating.preview(view, plan(market, version, **period))


def run(market, version=None, *, limit=3, **period):
    """Do a whole run in small batches; assert that its preview and the books agree with it."""
    wanted = plan(market, version, **period)
    with reading(market.hub.engine) as view:
        seen = rerating.preview(view, wanted)
    done, run_id = rerating.Done(), market.hub.ids()
    while True:
        with market.changing() as change:
            step = rerating.apply(change, run_id, wanted, done.cursor, limit)
        done.add(step)
        market.assert_in_order()
        if step.cursor is None:
            break
    assert (done.examined, done.changed) == (seen.examined, seen.total.calls)
    with reading(market.hub.engine) as view:
        again = rerating.preview(view, wanted)
    assert again.total == rerating.Difference()
    return done


def left(market, user):
    return market.balance(user).balance / CREDIT


def transfers(market, call_id):
    table = schema.transfer.c
    with reading(market.hub.engine) as view:
        rows = view.execute(
            select(table.kind, table.amount)
            .where(table.call_id == call_id)
            .order_by(table.created_us, table.operation_id, table.seq)
        )
        return [(row.kind, row.amount / CREDIT) for row in rows]


def test_what_was_charged_too_much_comes_back_once_and_the_original_stays(market):
    user = market.customer(100 * CREDIT)
    calls = [market.call(user, MODEL, ONE) for _ in range(7)]
    market.price(MODEL, CHEAP)
    after = market.call(user, MODEL, ONE)
    assert left(market, user) == 100 - 7 * 3 - 1
    seen = preview(market)
    assert (seen.examined, seen.total.calls, seen.total.net) == (8, 7, -14 * CREDIT)
    assert {did: one.net for did, one in seen.users.items()} == {user.did: -14 * CREDIT}
    done = run(market)
    assert (done.changed, done.refunded, done.charged) == (7, 14 * CREDIT, 0)
    assert left(market, user) == 100 - 8
    shown = market.show(calls[0])
    assert (shown["credits"], shown["adjusted"]) == ("3", "1")
    assert market.show(after)["adjusted"] is None
    assert transfers(market, calls[0]) == [("capture", 3), ("refund", 2)]
    assert run(market).changed == 0
    assert left(market, user) == 92


def test_what_was_charged_too_little_is_taken_from_what_is_there_and_written_off(market):
    market.price(MODEL, CHEAP)
    rich, poor = market.customer(100 * CREDIT), market.customer(2 * CREDIT)
    owing = market.customer(2 * CREDIT, overdraft=CREDIT // 2)
    for user in (rich, poor, owing):
        market.call(user, MODEL, ONE)
    done = run(market, 1)
    assert (left(market, rich), left(market, poor)) == (97, 0)
    assert left(market, owing) == -0.5
    assert done.charged == (2 + 1 + 1.5) * CREDIT
    assert done.written_off == (1 + 0.5) * CREDIT
    assert run(market, 1).changed == 0
    # Back again: what nobody paid is taken back first, then what was paid.
    done = run(market, 2)
    assert (done.refunded, done.written_off) == (4.5 * CREDIT, -1.5 * CREDIT)
    assert [left(market, user) for user in (rich, poor, owing)] == [99, 1, 1]


def test_a_call_that_took_all_there_was_is_never_raised(market):
    market.price(MODEL, CHEAP)
    cut, short = market.customer(CREDIT), market.customer(CREDIT)
    usage = Usage(input_tokens=MILLION - 10)
    cut_off = market.call(cut, MODEL, usage, hold=CREDIT, outcome=Outcome.CUT_OFF)
    unpaid = market.call(short, MODEL, Usage(input_tokens=2 * MILLION), hold=CREDIT)
    assert transfers(market, unpaid) == [("capture", 1), ("write_off", 1)]
    market.give(cut, 100 * CREDIT)
    market.give(short, 100 * CREDIT)
    assert run(market, 1).changed == 0
    half = market.price(MODEL, {"input": CREDIT // 2})
    done = run(market, half)
    assert done.changed == 2
    assert transfers(market, unpaid) == [("capture", 1), ("write_off", 1), ("recovery", 1)]
    assert transfers(market, cut_off) == [("capture", 1), ("refund", 0.500005)]
    assert market.show(unpaid)["adjusted"] == "1"
    # At the version it was admitted with, each is charged what it was at first.
    run(market, 2)
    assert (market.show(cut_off)["adjusted"], market.show(unpaid)["adjusted"]) == ("1", "2")
    assert (left(market, cut), left(market, short)) == (100, 99)


def test_what_was_refunded_by_hand_is_neither_refunded_again_nor_taken_back(market):
    user = market.customer(100 * CREDIT)
    call = market.call(user, MODEL, ONE)
    with writing(market.hub.engine) as connection:
        corrections.refund_call(connection, market.hub.clock.now_us(), "by hand", call, CREDIT)
    market.price(MODEL, CHEAP)
    assert left(market, user) == 98
    assert run(market).refunded == CREDIT
    assert left(market, user) == 99
    free = market.price(MODEL, {"request": 0})
    assert run(market, free).refunded == CREDIT
    assert left(market, user) == 100
    done = run(market, 1)
    assert (done.charged, left(market, user)) == (2 * CREDIT, 98)


def test_a_refund_goes_back_to_the_grant_it_came_from(market):
    user = market.customer()
    with writing(market.hub.engine) as connection:
        for amount, priority in ((2, 1), (9, 2)):
            grants.grant(
                connection, market.hub.clock, market.hub.ids, user.id, amount * CREDIT,
                grants.Terms(priority=priority),
            )  # fmt: skip
    market.call(user, MODEL, ONE)
    market.price(MODEL, CHEAP)
    run(market)
    granted = schema.credit_grant.c
    with reading(market.hub.engine) as view:
        remaining = view.execute(select(granted.remaining).order_by(granted.priority)).scalars()
        assert remaining.all() == [CREDIT, 9 * CREDIT]


def test_only_charged_calls_of_the_model_and_the_period_are_concerned(market):
    user = market.customer(100 * CREDIT)
    market.model("openai/b", DEAR)
    before = market.call(user, MODEL, ONE)
    since = market.hub.clock.now_us()
    inside = market.call(user, MODEL, ONE)
    other = market.call(user, "openai/b", ONE)
    market.call(user, MODEL, None, outcome=Outcome.UPSTREAM_FAILED)
    market.call(user, MODEL, ONE, billed=False)
    running = market.call(user, MODEL, None, settle=False)
    until = market.hub.clock.now_us()
    behind = market.call(user, MODEL, ONE)
    market.price(MODEL, CHEAP)
    market.price("openai/b", CHEAP)
    seen = preview(market, since=since, until=until)
    assert (seen.examined, seen.total.calls, seen.open_calls) == (1, 1, 1)
    run(market, since=since, until=until)
    assert market.show(inside)["adjusted"] == "1"
    for call in (before, other, running, behind):
        assert market.show(call)["adjusted"] is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"model": "openai/nope"}, NotFound),
        ({"version": 9}, NotFound),
        ({"since": 10, "until": 10}, InvalidRequest),
        ({"version": 2}, InvalidRequest),
    ],
)
def test_what_cannot_be_rerated_is_refused(market, arguments, error):
    with market.changing() as change:
        from aigne_hub.storage import declarations, prices  # noqa: PLC0415 - only here

        priced = prices.model_named(change.connection, MODEL)
        declarations.put_rates(change, priced.model_id, {}, cost={}, source="test")
    with pytest.raises(error):
        plan(market, **arguments)


class Crashed(Exception):
    pass


def _dies(market, run_id, wanted, cursor):
    with market.changing() as change:
        rerating.apply(change, run_id, wanted, cursor, 5)
        raise Crashed


def test_a_run_that_dies_is_finished_by_another_to_the_same_end(market):
    users = [market.customer(100 * CREDIT) for _ in range(3)]
    calls = [market.call(users[number % 3], MODEL, ONE) for number in range(12)]
    market.price(MODEL, CHEAP)
    wanted, run_id = plan(market), market.hub.ids()
    with market.changing() as change:
        first = rerating.apply(change, run_id, wanted, None, 5)
    with pytest.raises(Crashed):
        _dies(market, run_id, wanted, first.cursor)
    market.assert_in_order()
    assert preview(market).total.calls == 7
    assert run(market, limit=4).changed == 7
    assert [market.show(call)["adjusted"] for call in calls] == ["1"] * 12
    assert [left(market, user) for user in users] == [96] * 3


CARD = {
    "input": 7, "output": 13 * CREDIT, "cache_read": 1, "cache_write_1h": CREDIT, "image": 5,
    "images": {"1x1": CREDIT}, "search": 11, "request": 3, "reasoning": CREDIT // 3,
    "long_context": [{"above": 1000, "input": 2 * CREDIT}],
    "service_tiers": {"batch": {"output": CREDIT, "request": 1}},
}  # fmt: skip


def some_usage(random):
    reasoning, hour = random.randrange(100), random.randrange(100)
    return Usage(
        input_tokens=random.randrange(2_000),
        output_tokens=reasoning + random.randrange(10**5),
        cache_read_tokens=random.randrange(10**5),
        cache_write_tokens=hour + random.randrange(100),
        cache_write_1h_tokens=hour,
        reasoning_tokens=reasoning,
        images=random.randrange(3),
        image_kind=random.choice(["", "1x1"]),
        searches=random.randrange(3),
        requests=random.randrange(3),
        service_tier=random.choice(["standard", "batch"]),
    )


def test_stored_usage_is_priced_as_the_call_would_have_been(market):
    random = Random(7)
    user = market.customer(10**6 * CREDIT)
    made = []
    for _ in range(20):
        market.price(PICTURES, {"input": random.randrange(CREDIT), "request": 1})
        usage = some_usage(random)
        made.append((market.call(user, PICTURES, usage), usage))
    card = RateCard.of("r", CARD)
    version = market.price(PICTURES, CARD)
    run(market, version, model=PICTURES)
    for call, usage in made:
        assert _nano(market.show(call)["adjusted"]) == card.cost(usage)
    assert left(market, user) == 10**6 - sum(card.cost(usage) for _, usage in made) / CREDIT


def _nano(text):
    whole, _, part = text.partition(".")
    return int(whole) * CREDIT + int(part.ljust(9, "0") or 0)
