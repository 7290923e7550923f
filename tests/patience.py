"""How long tests wait for what must come, and how they judge what must come soon.

On a machine with other work anything may be late. PATIENCE_S ends a wait that would never end; it
measures nothing. Where promptness itself is promised, the quickest of several tries must keep it.
"""

import time
from collections.abc import Callable

PATIENCE_S = 60.0
TRIES = 10


def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Return once `condition` holds; raises AssertionError when it never does."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {within_s} s"
        time.sleep(0.02)


def assert_prompt(attempt: Callable[[], float], within_s: float) -> None:
    """Assert that one of several attempts, each returning the seconds it took, is quick enough."""
    took = []
    for _ in range(TRIES):
        took.append(attempt())
        if took[-1] < within_s:
            return
    raise AssertionError(f"never within {within_s} s: {took}")


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began
