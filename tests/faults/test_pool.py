"""Ten credentials behind one model: who gets the calls while some of them fail, and after.

What a caller sees is an answer; what the faults cost is counted where they happen.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from tests.caller import Reply, ask
from tests.faults.server import RIGHT, FaultServer
from tests.hub import HubProcess
from tests.patience import PATIENCE_S

from aigne_hub.domain.health import Standing
from aigne_hub.storage.engine import create_engine
from aigne_hub.storage.target_health import known

KEYS = [f"key-{number}-of-the-pool" for number in range(10)]
# A key of each: refused, throttled, broken, silent.
FAULTY = dict(zip(KEYS, ["F13-401", "F14-seconds", "F15-500", "F02-silence"], strict=False))
CALLERS = 6
# Health is shared, and probes are permitted, once a second.
NOTICED_S = 2.5


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[FaultServer]:
    with FaultServer(tmp_path) as running:
        yield running


@contextmanager
def pool(
    folder: Path, faults: FaultServer, weights: dict[str, int], *, workers: int = 1, **routing: Any
) -> Iterator[HubProcess]:
    """Run a hub with one model behind these credentials."""
    credentials = [
        {"name": f"c{number}", "api_key": key, "weight": weight}
        for number, (key, weight) in enumerate(weights.items())
    ]
    config = {
        "providers": [
            {
                "name": "pool",
                "kind": "openai",
                "base_url": faults.base_url(RIGHT),
                "credentials": credentials,
            }
        ],
        "models": [{"model": "pool/m", "type": "chat", "rates": {"input": "1", "output": "1"}}],
        "billing": {"enabled": True, "new_user_credits": "1000000"},
        "limits": {"upstream_first_byte_s": 1, "stream_idle_s": 1},
        "routing": routing,
    }
    with HubProcess(folder / "hub", config, workers=workers) as running:
        yield running
        running.verified()


def asked(faults: FaultServer, keys: Any = KEYS) -> Counter[str]:
    return Counter({key: faults.counts(key).requests for key in keys})


class Traffic:
    """Callers that ask without end, in threads; every answer is kept as its status."""

    def __init__(self, hub: HubProcess, callers: int = CALLERS) -> None:
        self._hub = hub
        self._over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._over.is_set():
            status = ask(self._hub, "pool/m").status
            with self._lock:
                self.statuses[status] += 1


def until(condition: Callable[[], bool], patience_s: float) -> float:
    """Wait until something holds; return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience_s
        time.sleep(0.25)
    return time.monotonic() - began


def share(faults: FaultServer, keys: Any, seconds: float) -> float:
    """Return the part of the calls within some seconds that went to these credentials."""
    before = asked(faults)
    time.sleep(seconds)
    new = asked(faults) - before
    return sum(new[key] for key in keys) / max(sum(new.values()), 1)


def test_callers_do_not_notice_that_four_of_ten_fail_and_all_come_back(
    tmp_path: Path, faults: FaultServer
):
    with pool(tmp_path, faults, dict.fromkeys(KEYS, 100)) as hub:
        with Traffic(hub) as traffic:
            until(lambda: traffic.statuses[200] > 100, PATIENCE_S)
            for key, scenario in FAULTY.items():
                faults.set(key, scenario)
            time.sleep(10)
            assert share(faults, FAULTY, 6) <= 0.02
            for key in FAULTY:
                faults.lift(key)
            # Each has at least two thirds of its tenth again.
            until(lambda: min_share(faults, FAULTY, 3) > 0.066, 60)
        assert set(traffic.statuses) == {200}, traffic.statuses


def min_share(faults: FaultServer, keys: Any, seconds: float) -> float:
    before = asked(faults)
    time.sleep(seconds)
    new = asked(faults) - before
    return min(new[key] for key in keys) / max(sum(new.values()), 1)


def test_two_thousand_calls_are_shared_by_weight(tmp_path: Path, faults: FaultServer):
    weights = {key: 100 + 50 * number for number, key in enumerate(KEYS)}
    with pool(tmp_path, faults, weights) as hub:
        with ThreadPoolExecutor(CALLERS) as callers:
            found = Counter(
                reply.status for reply in callers.map(lambda _: ask(hub, "pool/m"), range(2_000))
            )
        assert found == {200: 2_000}
        total = sum(weights.values())
        for key, count in asked(faults).items():
            assert abs(count - 2_000 * weights[key] / total) <= 0.05 * 2_000 * weights[key] / total


@pytest.mark.parametrize("scenario", ["F15-500", "F14-seconds", "F13-401", "F16-200"])
def test_when_all_fail_nothing_is_multiplied(tmp_path: Path, faults: FaultServer, scenario: str):
    calls = 500
    for key in KEYS:
        faults.set(key, scenario)
    with pool(tmp_path, faults, dict.fromkeys(KEYS, 100)) as hub:
        with ThreadPoolExecutor(CALLERS) as callers:
            found = Counter(
                reply.status for reply in callers.map(lambda _: ask(hub, "pool/m"), range(calls))
            )
        assert 200 not in found
        # What reached the upstream for calls: a check of a credential asks for its models.
        tried = sum(
            one.path.endswith("/chat/completions") for key in KEYS for one in faults.asked(key)
        )
        assert calls <= tried <= 1.2 * calls


@pytest.mark.parametrize("workers", [1, 2])
def test_of_a_hundred_callers_exactly_one_is_the_probe(
    tmp_path: Path, faults: FaultServer, workers: int
):
    bad, good = KEYS[:2]
    with pool(tmp_path, faults, {bad: 100, good: 100}, workers=workers) as hub:
        faults.set(bad, "F15-500")
        with Traffic(hub):
            until(lambda: [one.target for one in barred(hub)] == ["pool:c0:m"], PATIENCE_S)
            # Every process has heard of it.
            time.sleep(NOTICED_S)
        # From now on the probe does not end before a second has passed.
        faults.set(bad, "F02-silence")
        before = faults.counts(bad).requests
        until(lambda: is_due(hub), PATIENCE_S)
        replies: list[Reply] = []
        with ThreadPoolExecutor(100) as callers:
            until(lambda: probed(hub, callers, replies, faults, bad, before), PATIENCE_S)
        assert {reply.status for reply in replies} == {200}
        assert faults.counts(bad).requests - before == 1


def probed(
    hub: HubProcess,
    callers: ThreadPoolExecutor,
    replies: list[Reply],
    faults: FaultServer,
    bad: str,
    before: int,
) -> bool:
    """Have a hundred call at once; tell whether one of them was the probe."""
    replies += callers.map(lambda _: ask(hub, "pool/m"), range(100))
    return faults.counts(bad).requests > before


def barred(hub: HubProcess) -> list[Standing]:
    """Return the targets that all processes hold to be barred."""
    database = create_engine(hub.database_url)
    try:
        return [standing for standing in known(database) if standing.fault is not None]
    finally:
        database.dispose()


def is_due(hub: HubProcess) -> bool:
    (standing,) = barred(hub)
    return standing.until_us <= time.time() * 1_000_000
