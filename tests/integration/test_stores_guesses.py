"""How wrong passwords are counted: for whom they count, for how long, and at once."""

import threading

import pytest
from sqlalchemy import select

from aigne_hub.domain.errors import RateLimited
from aigne_hub.domain.passwords import FREE_TRIES, WAIT_MAX_S
from aigne_hub.storage import guesses, schema
from aigne_hub.storage.engine import reading, writing

SECOND_US = 1_000_000


class Door:
    """The store over a database, with a clock that is moved by hand."""

    def __init__(self, hub):
        self.hub = hub

    def of(self, address, account):
        return guesses.of_address(self.hub.pepper, address, account)

    def claim(self, subjects):
        with writing(self.hub.engine) as connection:
            guesses.claim(connection, self.hub.clock.now_us(), subjects)

    def wait_of(self, subjects):
        """Return how long the next try has to wait, 0 when it need not."""
        try:
            with reading(self.hub.engine) as view:
                guesses.require_open(view, self.hub.clock.now_us(), subjects)
        except RateLimited as refused:
            return refused.retry_after_s
        return 0

    def forgive(self, subjects):
        with writing(self.hub.engine) as connection:
            guesses.forgive(connection, subjects)

    def prune(self):
        with writing(self.hub.engine) as connection:
            return guesses.prune(connection, self.hub.clock.now_us())

    def rows(self):
        with reading(self.hub.engine) as view:
            return view.execute(select(schema.sign_in_failure)).all()


@pytest.fixture
def door(hub):
    return Door(hub)


def test_tries_beyond_the_free_ones_wait_twice_as_long_each_time(door):
    eve = door.of("192.0.2.1", "ada@example.com")
    waits = []
    for _ in range(FREE_TRIES + 14):
        door.claim(eve)
        waits.append(door.wait_of(eve))
        door.hub.clock.advance(waits[-1])
    assert waits[: FREE_TRIES - 1] == [0] * (FREE_TRIES - 1)
    assert waits[FREE_TRIES - 1 : FREE_TRIES + 3] == [1, 2, 4, 8]
    assert waits[-1] == WAIT_MAX_S


def test_a_try_that_has_to_wait_counts_nothing(door):
    eve = door.of("192.0.2.1", "ada@example.com")
    for _ in range(FREE_TRIES):
        door.claim(eve)
    before = door.rows()
    with pytest.raises(RateLimited, match="Wait 1 seconds"):
        door.claim(eve)
    assert door.rows() == before


def test_nobody_waits_for_what_others_try(door):
    eve = door.of("192.0.2.1", "ada@example.com")
    for _ in range(FREE_TRIES):
        door.claim(eve)
    assert door.wait_of(eve) > 0
    assert door.wait_of(door.of("192.0.2.2", "ada@example.com")) == 0
    assert door.wait_of(door.of("192.0.2.1", "bob@example.com")) == 0
    assert door.wait_of(guesses.of_device(door.hub.pepper, "browser", "ada@example.com")) == 0


def test_an_address_that_tries_many_accounts_waits_too(door):
    for number in range(FREE_TRIES + guesses.ADDRESS_FREE_TRIES):
        door.claim(door.of("192.0.2.1", f"user-{number}@example.com"))
    assert door.wait_of(door.of("192.0.2.1", "ada@example.com")) > 0
    assert door.wait_of(door.of("192.0.2.2", "ada@example.com")) == 0


def test_a_right_try_takes_back_the_accounts_count_and_one_of_the_addresss(door):
    ada, bob = (door.of("192.0.2.1", f"{name}@example.com") for name in ("ada", "bob"))
    for subjects in (ada, ada, bob):
        door.claim(subjects)
    door.forgive(ada)
    counts = {row.subject: row.failures for row in door.rows()}
    assert ada[0].digest not in counts
    assert (counts[bob[0].digest], counts[ada[1].digest]) == (1, 2)
    door.forgive(bob)
    door.forgive(ada)
    assert [row.failures for row in door.rows()] == []


def test_a_quiet_day_forgets(door):
    eve = door.of("192.0.2.1", "ada@example.com")
    for _ in range(FREE_TRIES):
        door.claim(eve)
    door.hub.clock.advance(guesses.FORGOTTEN_US // SECOND_US + 1)
    door.claim(eve)
    assert {row.failures for row in door.rows()} == {1}
    assert door.prune() == 0
    door.hub.clock.advance(guesses.FORGOTTEN_US // SECOND_US + 1)
    assert door.prune() == 2
    assert door.rows() == []


def test_as_many_get_through_at_once_as_one_after_the_other(door):
    eve, through = door.of("192.0.2.1", "ada@example.com"), []
    now = door.hub.clock.now_us()

    def attempt():
        try:
            with writing(door.hub.engine) as connection:
                guesses.claim(connection, now, eve)
        except RateLimited:
            return
        through.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == FREE_TRIES


def test_neither_addresses_nor_accounts_are_kept(door):
    door.claim(door.of("192.0.2.1", "ada@example.com"))
    assert all(len(row.subject) == 32 for row in door.rows())
    assert "ada" not in repr(door.rows())
