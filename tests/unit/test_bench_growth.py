"""The verdict of a long run on memory and descriptors."""

import math

import pytest
from bench.growth import BARS, Allowance, judge, slope, sparkline

MEMORY = Allowance("MiB", at_all=4.0, an_hour=2.0)
STEP_S = 5.0
HOUR = 720


def series(*values: float) -> tuple[list[float], list[float]]:
    return [STEP_S * number for number in range(len(values))], list(values)


def noise(number: int) -> float:
    return 3 * math.sin(1.7 * number) + 2 * math.sin(0.31 * number)


def test_the_slope_of_a_line_is_its_slope():
    assert slope([(at, 3 + 0.5 * at) for at in (0, 1, 4, 9)]) == pytest.approx(0.5)
    assert slope([(0, 1), (1, 3), (2, 1)]) == pytest.approx(0)


def test_what_rises_and_stays_is_flat():
    times, values = series(*(min(100 + number, 160) + noise(number) for number in range(HOUR)))
    growth = judge("memory", MEMORY, times, values)
    assert growth.flat
    assert "flat" in str(growth)


@pytest.mark.parametrize("an_hour", [10.0, 40.0])
def test_a_leak_below_the_noise_is_seen(an_hour: float):
    times, values = series(*(100 + an_hour * n / HOUR + noise(n) for n in range(HOUR)))
    growth = judge("memory", MEMORY, times, values)
    assert not growth.flat
    assert growth.rise == pytest.approx(0.7 * an_hour, abs=1)
    assert "GROWS" in str(growth)


def test_a_longer_run_allows_more_but_not_in_proportion():
    assert MEMORY.within(1800) == 5.0
    assert MEMORY.within(7200) == 8.0


def test_what_shrinks_is_flat():
    times, values = series(*(200 - 0.1 * number for number in range(HOUR)))
    assert judge("memory", MEMORY, times, values).flat


def test_too_few_samples_are_no_verdict():
    with pytest.raises(ValueError, match="too few"):
        judge("memory", MEMORY, *series(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="too few"):
        judge("memory", MEMORY, [], [])


def test_a_sparkline_spans_low_to_high():
    drawn = sparkline([0.0] * 50 + [7.0] * 50, width=10)
    assert drawn == BARS[0] * 5 + BARS[-1] * 5
    assert sparkline([3.0, 3.0]) == BARS[0] * 2
