"""UUIDv7 (RFC 9562, section 5.7): the right bits, in order, whatever the clock does."""

import uuid
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.ids import IdFactory

START_MS = 1_767_225_600_000


def factory(readings: list[int]) -> IdFactory:
    """Make ids at the given clock readings, the last of which stays."""
    times = iter(readings)
    last = readings[-1]
    return IdFactory(lambda: next(times, last), Random(7).getrandbits)


@given(st.integers(1, 2**48 - 1))
def test_version_variant_and_time_are_where_the_rfc_puts_them(now_ms):
    made = uuid.UUID(factory([now_ms])())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now_ms


@given(st.lists(st.integers(START_MS - 5_000, START_MS + 5_000), min_size=1, max_size=50))
def test_ids_only_grow_though_the_clock_steps_back(readings):
    new_id = factory(readings)
    made = [new_id() for _ in readings]
    assert made == sorted(set(made))


def test_more_ids_than_the_counter_holds_in_one_millisecond_stay_in_order():
    new_id = factory([START_MS])
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    # 4,096 a millisecond; what does not fit borrows from the next.
    assert uuid.UUID(made[-1]).int >> 80 == START_MS + 10_000 // 4096


def test_two_processes_with_the_same_clock_do_not_meet():
    one = IdFactory(lambda: START_MS, Random(1).getrandbits)
    two = IdFactory(lambda: START_MS, Random(2).getrandbits)
    assert {one() for _ in range(100)}.isdisjoint({two() for _ in range(100)})
