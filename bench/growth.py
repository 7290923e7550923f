"""Does it grow? A line fitted through samples, the verdict on it, and how it looked."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
# What happens before this share of the time is warming up: pools fill, caches take their size.
WARM_SHARE = 0.3
SAMPLES_MIN = 10
WIDTH = 60
HOUR_S = 3600.0


@dataclass(frozen=True)
class Allowance:
    """How much a figure may rise: `at_all` in any time, as samples scatter, and so much an hour."""

    unit: str
    at_all: float
    an_hour: float

    def within(self, seconds: float) -> float:
        return self.at_all + self.an_hour * seconds / HOUR_S


@dataclass(frozen=True)
class Growth:
    """What a figure did after warm-up; `rise` is of the fitted line over that time."""

    name: str
    allowance: Allowance
    values: tuple[float, ...]
    seconds: float
    rise: float

    @property
    def flat(self) -> bool:
        return self.rise <= self.allowance.within(self.seconds)

    def __str__(self) -> str:
        unit = self.allowance.unit
        allowed = self.allowance.within(self.seconds)
        verdict = "flat" if self.flat else f"GROWS: at most {allowed:.1f} {unit} are allowed"
        return (
            f"{self.name:<16} {sparkline(self.values)}  {min(self.values):.0f} to"
            f" {max(self.values):.0f} {unit}; after warm-up {self.rise:+.2f} {unit} in"
            f" {self.seconds / 60:.0f} min: {verdict}"
        )


def judge(
    name: str, allowance: Allowance, times: Sequence[float], values: Sequence[float]
) -> Growth:
    """Fit a line through what was sampled after warm-up; raises ValueError for too few samples."""
    warm_until = times[0] + WARM_SHARE * (times[-1] - times[0]) if times else 0.0
    kept = [(at, value) for at, value in zip(times, values, strict=True) if at >= warm_until]
    if len(kept) < SAMPLES_MIN:
        raise ValueError(f"{name}: {len(kept)} samples after warm-up are too few to judge")
    seconds = kept[-1][0] - kept[0][0]
    return Growth(name, allowance, tuple(values), seconds, slope(kept) * seconds)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line with the least squares through points."""
    count = len(points)
    middle = sum(at for at, _ in points) / count
    mean = sum(value for _, value in points) / count
    spread = sum((at - middle) ** 2 for at, _ in points)
    return sum((at - middle) * (value - mean) for at, value in points) / spread


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Draw values from their lowest to their highest; each bar is the mean of a share of them."""
    width = min(width, len(values))
    edges = [round(place * len(values) / width) for place in range(width + 1)]
    shares = [values[begin:end] for begin, end in pairwise(edges)]
    means = [sum(share) / len(share) for share in shares]
    low, high = min(means), max(means)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((mean - low) / step)] for mean in means)
