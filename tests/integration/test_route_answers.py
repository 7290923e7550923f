"""Idempotency keys of the web API in the store, on both databases."""

import pytest

from aigne_hub.domain.errors import Conflict, IdempotencyMismatch
from aigne_hub.domain.idempotency import KEPT_US, Claim
from aigne_hub.storage import route_answers
from aigne_hub.storage.engine import writing
from aigne_hub.storage.route_answers import RUNNING_US, Begun

CLAIM = Claim(b"k" * 32, b"b" * 32)
OTHER = Claim(b"k" * 32, b"x" * 32)
NOW = 1_767_225_600_000_000


def begin(hub, claim=CLAIM, now=NOW):
    with writing(hub.engine) as connection:
        return route_answers.begin(connection, now, claim)


def write(hub, what, *values):
    with writing(hub.engine) as connection:
        return what(connection, *values)


def test_a_key_meets_nothing_then_what_runs_then_the_answer(hub):
    assert begin(hub) == Begun()
    with pytest.raises(Conflict, match="still running"):
        begin(hub)
    write(hub, route_answers.note, CLAIM, "order-1")
    write(hub, route_answers.keep, CLAIM, 200, '{"a": 1}')
    assert begin(hub) == Begun(200, '{"a": 1}', "order-1")


def test_another_body_is_refused_while_it_runs_and_afterwards(hub):
    begin(hub)
    for _ in range(2):
        with pytest.raises(IdempotencyMismatch):
            begin(hub, OTHER)
        write(hub, route_answers.keep, CLAIM, 200, "{}")


def test_a_request_that_was_cut_short_goes_on_with_what_it_had_begun(hub):
    begin(hub)
    write(hub, route_answers.note, CLAIM, "order-1")
    assert begin(hub, now=NOW + RUNNING_US) == Begun(target="order-1")
    with pytest.raises(Conflict):
        begin(hub, now=NOW + RUNNING_US)


def test_a_freed_key_may_be_used_for_anything(hub):
    begin(hub)
    write(hub, route_answers.free, CLAIM)
    assert begin(hub, OTHER) == Begun()


def test_a_key_is_kept_for_a_day(hub):
    begin(hub)
    write(hub, route_answers.keep, CLAIM, 200, "{}")
    assert begin(hub, now=NOW + KEPT_US - 1).status == 200
    assert begin(hub, OTHER, now=NOW + KEPT_US) == Begun()


def test_what_is_older_than_a_day_is_deleted(hub):
    begin(hub)
    assert write(hub, route_answers.prune, NOW + KEPT_US - 1) == 0
    assert write(hub, route_answers.prune, NOW + KEPT_US) == 1
    assert begin(hub, OTHER) == Begun()
