"""Checks credentials that no call used for a while: a dead one is known before it is needed."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from sqlalchemy import Engine

from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.routing import Rules
from aigne_hub.gateway.health import Board
from aigne_hub.hub_file import DEMO
from aigne_hub.ports import Clock
from aigne_hub.server.checks import Checker
from aigne_hub.server.probe import Target, targets_of
from aigne_hub.storage import jobs

# How often a process looks whether a round is due.
LOOK_S = 5.0
# Credentials that one round checks; the others come in the next ones.
PER_ROUND_MAX: Final = 100
# A round's checks begin spread over this many seconds, so many at once.
SPREAD_S: Final = 20.0
AT_ONCE: Final = 4
# A round comes up to this much of the interval later, so that hubs do not ask in step.
JITTER_PERCENT: Final = 20
_JOB: Final = "credential checks"
_SECOND: Final = 1_000_000
_Name = tuple[str, str]


class Routed(Protocol):
    """What a round needs of the data plane."""

    @property
    def board(self) -> Board: ...

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def rules(self) -> Rules: ...


class CheckRounds:
    """One process's part. `draw` gives numbers in [0, 1).

    Only the successes of this process are known to it: a credential that another process
    used is asked for nothing more than its list of models.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        routed: Routed,
        checker: Checker,
        *,
        process_id: str,
        draw: Callable[[], float],
        spread_s: float = SPREAD_S,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._routed = routed
        self._checker = checker
        self._process_id = process_id
        self._draw = draw
        self._spread_s = spread_s
        self._last_us = clock.monotonic_us()
        self._jitter = draw()
        self._seen: dict[_Name, int] = {}
        self._checked_us: dict[_Name, int] = {}

    async def run(self) -> None:
        """Check what is due; called every LOOK_S."""
        every_us = self._routed.rules.check_every_s * _SECOND
        wait_us = every_us + int(every_us * self._jitter * JITTER_PERCENT / 100)
        now = self._clock.monotonic_us()
        if not every_us or now - self._last_us < wait_us:
            return
        self._last_us, self._jitter = now, self._draw()
        unused = self._unused()
        if not unused:
            return
        is_mine = await asyncio.to_thread(self._is_mine, every_us)
        if is_mine:
            await self._round(unused)

    def _is_mine(self, every_us: int) -> bool:
        with jobs.lease(self._engine, self._clock, _JOB, self._process_id, every_us) as mine:
            return mine

    def _unused(self) -> dict[_Name, Target]:
        """Return the credentials without a success since the last look, longest unchecked first."""
        successes = self._routed.board.successes()
        found = {}
        for provider in self._routed.snapshot.providers.values():
            for target in [] if provider.kind == DEMO else targets_of(provider):
                if target.credential is None:
                    continue
                name = (provider.name, target.credential.name)
                is_unused = successes.get(name, 0) == self._seen.get(name, 0)
                if is_unused and not self._routed.board.of(":".join(name)).is_barred:
                    found[name] = target
        self._seen = successes
        first = sorted(found, key=lambda name: self._checked_us.get(name, 0))
        return {name: found[name] for name in first[:PER_ROUND_MAX]}

    async def _round(self, targets: dict[_Name, Target]) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(name: _Name, target: Target) -> None:
            await asyncio.sleep(self._draw() * self._spread_s)
            async with places:
                probe = await self._checker.check(target)
            self._checked_us[name] = self._clock.monotonic_us()
            if probe.fault is not None:
                self._routed.board.bar(":".join(name), probe.fault)

        await asyncio.gather(*(one(*each) for each in targets.items()))
