"""Every fault of a provider, on every wire, streamed or not, with another provider or without.

What must come of each stands in `table.py`. All calls are made first and at once, for many have
to wait for a limit of time; each test then looks at one of them.
"""

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping

import pytest
from tests.books import nano, price
from tests.caller import PROMPT
from tests.faults.server import CANARY, Asked, Ended
from tests.faults.server.right import WORDS
from tests.faults.table import ABROAD, CELLS, ROWS, Cell, Charge, End, Expected, Line
from tests.faults.table_calls import (
    GRANTED,
    LITTLE,
    RATES,
    SPARE_KEYS,
    SPARE_RATES,
    Site,
    Told,
    site,
)
from tests.patience import until

FAMILIES = 28
# Longer than any of the calls takes, and shorter than an idle connection is kept.
KEPT_S = 30
# Where no request is read, and where the hub asks again because its connection was a dead one.
UNCOUNTED = ("F02-unread", "F25-reuse")
_OPEN = re.compile(rb"^aigne_hub_upstream_connections_(open|idle) (\d+)", re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("table")) as made:
        made.warm_up()
        yield made


@pytest.fixture(scope="module")
def told(place: Site) -> Mapping[str, Told]:
    return place.told()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_fault_ends_as_the_table_says(place: Site, told: Mapping[str, Told], cell: Cell):
    was, expected = told[cell.name], cell.expected
    check_answer(was, expected)
    check_record(place, was, expected)
    check_attempts(was, cell)
    check_line(place, cell)


def check_answer(was: Told, expected: Expected) -> None:
    """Assert what the caller got."""
    assert was.status == expected.status, was.body[:300]
    is_stream = was.cell.stream and expected.end not in {End.REFUSED, End.FAILED}
    assert was.is_stream == is_stream
    if expected.end is not End.CUT_OFF:
        assert (was.text if was.status == 200 else "") == "".join(WORDS[: expected.words])
    if expected.end is End.COMPLETE:
        assert was.ends == (1 if is_stream else 0)
        charge = was.credits if is_stream else was.headers["x-aigne-hub-credits"]
        assert charge == was.call["credits"]
        assert is_stream or was.headers["content-type"] == "application/json"
        return
    assert was.ends == 0
    assert was.value["error"]["code"] == expected.code
    assert was.value["error"]["message"]
    if not is_stream:
        assert was.headers["x-aigne-hub-credits"] == "0"
    if expected.retry_after is not None:
        assert was.headers["retry-after"] == str(expected.retry_after)


def check_record(place: Site, was: Told, expected: Expected) -> None:
    """Assert what the call was recorded and charged as."""
    call = was.call
    assert (call["status"], call["outcome"]) == (expected.recorded, expected.outcome)
    assert call["usage_source"] == expected.source
    if expected.charge is Charge.ALL:
        payer = place.house(was.cell).payer(was.cell)
        assert nano(call["credits"]) == LITTLE
        assert (payer.balance, payer.held) == (0, 0)
        return
    assert (call["input_tokens"], call["output_tokens"]) == expected.tokens
    rates = RATES if expected.attempts == 1 else SPARE_RATES
    assert nano(call["credits"]) == (0 if expected.charge is Charge.ZERO else price(call, rates))
    assert (call["error"] is None) == (expected.end is End.COMPLETE)


def check_attempts(was: Told, cell: Cell) -> None:
    """Assert who was asked, and that each failure is on record."""
    attempts = was.call["attempts"]
    assert len(attempts) == cell.expected.attempts
    assert was.headers["x-aigne-hub-attempts"] == str(len(attempts))
    if cell.expected.end is not End.FAILED and cell.expected.end is not End.REFUSED:
        assert was.headers["x-aigne-hub-model"] == f"{attempts[-1]['provider']}/model"
    assert attempts[0]["provider"] == cell.name
    assert (attempts[0]["error"] is None) == (cell.first.end in {End.COMPLETE, End.CUT_OFF})
    for spare in attempts[1:]:
        assert spare["provider"].startswith("right-")
        assert (spare["status"], spare["error"]) == (200, None)


def check_line(place: Site, cell: Cell) -> None:
    """Assert that the fault was met once, and what became of its connection."""
    asked = calls_of(place, cell)
    before = 1 if cell.row.called_before else 0
    line = cell.first.line
    if line is Line.NONE:
        assert len(asked) == before
    elif cell.row.scenario not in UNCOUNTED:
        assert len(asked) == before + 1
        last = asked[-1].line
        if line is Line.KEPT:
            assert is_kept(asked[-1])
        elif line is Line.CLOSED:
            until(lambda: not last.is_open)


def is_kept(asked: Asked) -> bool:
    """Tell whether a connection was given back to the pool, which closes it after a minute."""
    line = asked.line
    return line.ended_s is None or line.ended_s - asked.seconds > KEPT_S


def calls_of(place: Site, cell: Cell) -> list[Asked]:
    """Return the requests that the fault's server got for a cell, but for a hub's own tests."""
    return [one for one in place.faults.asked(cell.key) if PROMPT.encode() in one.body]


def test_the_table_has_every_family_wire_and_way():
    assert len({row.scenario[:3] for row in ROWS}) == FAMILIES
    assert len(CELLS) == len(ROWS) * 3 * 2 * 2 + len(ABROAD) * 3 * 2
    assert len({cell.name for cell in CELLS}) == len(CELLS)


def test_nothing_is_held_and_all_that_was_charged_adds_up(place: Site, told: Mapping[str, Told]):
    for house in place.houses:
        assert house.customer.held == 0
        calls = house.customer.calls()
        assert len(calls) >= len(house.cells) - len(house.poor)
        assert all(call["status"] != "processing" for call in calls)
        assert house.customer.balance == GRANTED - sum(nano(call["credits"]) for call in calls)
        house.hub.verified()


def test_every_open_connection_waits_in_the_pool(place: Site, told: Mapping[str, Told]):
    def idle() -> int:
        """Return how many connections the hubs keep, once they use none."""
        total = 0
        for house in place.houses:
            with urllib.request.urlopen(f"{house.hub.address}/metrics") as answer:
                found = {name: int(value) for name, value in _OPEN.findall(answer.read())}
            if found[b"open"] != found[b"idle"]:
                return -1
            total += found[b"idle"]
        return total

    def used() -> int:
        """Return how many that were used for calls are open, those for the hubs' own tests not."""
        lines = {
            one.line for key in keys for one in place.faults.asked(key) if one.method == "POST"
        }
        return sum(line.is_open for line in lines)

    keys = [*(cell.key for cell in CELLS), *SPARE_KEYS]
    until(lambda: idle() == used())


def test_no_redirect_was_followed(place: Site, told: Mapping[str, Told]):
    assert place.faults.counts(CANARY).connections == 0
    for cell in CELLS:
        if cell.row.scenario == "F17-loop":
            assert len(calls_of(place, cell)) == 1


def test_a_moved_name_was_looked_up_again(place: Site, told: Mapping[str, Told]):
    for cell in CELLS:
        if cell.row.scenario == "F05-moved":
            hosts = [one.line.host for one in calls_of(place, cell)]
            assert hosts == [place.faults.names.first, place.faults.names.moved]


def test_a_connection_closed_at_reuse_is_replaced(place: Site, told: Mapping[str, Told]):
    cells = [cell for cell in CELLS if cell.row.scenario == "F25-reuse"]
    asked = [one for cell in cells for one in calls_of(place, cell)]
    closed = sum(one.line.ended is Ended.BY_SERVER for one in asked)
    assert closed
    # Each call was answered by a connection of its own, and asked at most one more.
    assert 2 * len(cells) < len(asked) <= 4 * len(cells)


def test_no_key_of_the_hub_reached_a_caller_or_a_log(place: Site, told: Mapping[str, Told]):
    keys = [*(cell.key for cell in CELLS), *SPARE_KEYS]
    log = "".join(house.hub.log() for house in place.houses)
    assert "Traceback" not in log
    for key in keys:
        assert key not in log
    for was in told.values():
        assert was.cell.key.encode() not in was.body, was.cell.name
        assert was.cell.key not in json.dumps([dict(was.headers), was.call], default=str)
