import time
from concurrent.futures import ThreadPoolExecutor

from aigne_hub.clock import SystemClock


def test_wall_time_is_unix_microseconds():
    before = time.time_ns() // 1_000
    reading = SystemClock().now_us()
    assert before <= reading <= time.time_ns() // 1_000 + 1


def test_wall_time_never_repeats_even_when_the_system_clock_stands_still_or_steps_back(monkeypatch):
    system = iter([5_000_000, 5_000_000, 5_000_999, 1_000_000, 9_000_000])
    monkeypatch.setattr("aigne_hub.clock.time_ns", lambda: next(system))
    clock = SystemClock()
    assert [clock.now_us() for _ in range(5)] == [5_000, 5_001, 5_002, 5_003, 9_000]


def test_wall_time_never_repeats_across_threads():
    clock = SystemClock()
    with ThreadPoolExecutor(4) as pool:
        chunks = pool.map(lambda _: [clock.now_us() for _ in range(5_000)], range(4))
        readings = [reading for chunk in chunks for reading in chunk]
    assert len(set(readings)) == len(readings)


def test_monotonic_time_measures_durations_in_microseconds():
    clock = SystemClock()
    started = clock.monotonic_us()
    time.sleep(0.01)
    assert 10_000 <= clock.monotonic_us() - started < 5_000_000
