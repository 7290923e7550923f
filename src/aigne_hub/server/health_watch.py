"""Shares the health of targets with other processes, and lets barred ones be tried again.

Whatever is barred is tried by one process of all: it claims the target in the database. For a
key that was refused the provider is asked for its models first, which is free; otherwise, and
when that was answered, one call goes through as the probe. A process that no call reaches
passes its turn on after a while.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.credential_news import CredentialNews, credential_in
from aigne_hub.domain.events import EventType
from aigne_hub.domain.health import PROBE_US, Standing, needs_check
from aigne_hub.gateway.health import Board
from aigne_hub.logs import get_logger
from aigne_hub.ports import Clock
from aigne_hub.server.checks import Checker, target_in
from aigne_hub.server.probe import Target
from aigne_hub.storage import target_health
from aigne_hub.storage.target_health import State

# How long a process without calls keeps the right to probe: at first, doubled each time, at most.
PATIENCE_US: Final = 3_000_000
PATIENCE_MAX_US: Final = 24_000_000
# How long a process leaves alone what it passed on, or what another one is probing.
PASSED_US: Final = 3_000_000
TAKEN_US: Final = 2_000_000


@dataclass(slots=True)
class _Turn:
    """What this process does about one barred target.

    `permitted_us` is when a call was let through, None while none is; `not_before_us` when it
    may be claimed again; `was_refused` whether a check has confirmed the bar.
    """

    patience_us: int = PATIENCE_US
    permitted_us: int | None = None
    not_before_us: int = 0
    is_checked: bool = False
    was_refused: bool = False


class HealthWatch:
    """One process's part. `snapshot` gives the configuration in force."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        board: Board,
        checker: Checker,
        *,
        snapshot: Callable[[], Snapshot],
        process_id: str,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._board = board
        self._checker = checker
        self._snapshot = snapshot
        self._process_id = process_id
        self._seen: State | None = None
        self._turns: dict[str, _Turn] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self._log = get_logger()

    def load(self) -> None:
        """Take over what is known, before the first call."""
        self._learn(*target_health.look(self._engine, None))

    async def run(self) -> None:
        """Tell, hear, and let what is due be tried; called every second."""
        await self.tell()
        self._learn(*await asyncio.to_thread(target_health.look, self._engine, self._seen))
        self._board.settle()
        await self._pass_on()
        await self._try_due()

    def _learn(self, state: State, standings: list[Standing]) -> None:
        self._seen = state
        latest_us = self._clock.now_us() + target_health.BAR_MAX_US
        self._board.learn(
            each if each.until_us <= latest_us else each._replace(until_us=latest_us)
            for each in standings
        )

    async def tell(self) -> None:
        """Store what changed here since the last time."""
        noted = self._board.taken()
        if not noted:
            return
        try:
            news = await asyncio.to_thread(target_health.record, self._engine, noted)
        except BaseException:
            self._board.give_back(noted)
            raise
        for each in news:
            log_news(each)

    def stop(self) -> None:
        for task in self._checks:
            task.cancel()

    async def _pass_on(self) -> None:
        """Let another process probe what no call of this one did."""
        now, passed = self._clock.now_us(), []
        for target, turn in list(self._turns.items()):
            health = self._board.of(target)
            if not health.is_barred:
                if not turn.is_checked:
                    del self._turns[target]
            elif turn.permitted_us is None or now - turn.permitted_us < turn.patience_us:
                continue
            elif health.may_probe(now):
                health.take_permit()
                turn.permitted_us = None
                turn.not_before_us = now + PASSED_US
                turn.patience_us = min(2 * turn.patience_us, PATIENCE_MAX_US)
                passed.append(target)
            else:  # some call took it
                turn.permitted_us = None
                turn.patience_us = PATIENCE_US
        if passed:
            await asyncio.to_thread(target_health.release, self._engine, passed, self._process_id)

    async def _try_due(self) -> None:
        now = self._clock.now_us()
        due = {each.target: each for each in self._board.due() if self._may_claim(each, now)}
        if not due:
            return
        until_us = now + PROBE_US
        mine = await asyncio.to_thread(
            target_health.claim, self._engine, due, self._process_id, now, until_us
        )
        to_check: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for target, standing in due.items():
            turn = self._turns.setdefault(target, _Turn())
            named = credential_in(target)
            if target not in mine:
                turn.not_before_us = now + TAKEN_US
            elif named is not None and needs_check(standing):
                to_check[named].append(target)
            else:
                self._permit(target, until_us)
        for named, targets in to_check.items():
            self._start_check(named, targets, until_us)

    def _may_claim(self, standing: Standing, now: int) -> bool:
        turn = self._turns.get(standing.target)
        if turn is not None and (turn.is_checked or now < turn.not_before_us):
            return False
        named = credential_in(standing.target)
        provider = self._snapshot().providers.get(standing.target.partition(":")[0])
        if provider is None or named is None:
            return provider is not None
        names = {one.name for one in provider.credentials}
        return named[1] in names or not names

    def _permit(self, target: str, until_us: int) -> None:
        self._turns[target].permitted_us = self._clock.now_us()
        self._board.permit(target, until_us)

    def _start_check(self, named: tuple[str, str], targets: list[str], until_us: int) -> None:
        found = target_in(self._snapshot(), *named)
        if found is None:  # its provider needs no key
            for target in targets:
                self._permit(target, until_us)
            return
        for target in targets:
            self._turns[target].is_checked = True
        task = asyncio.get_running_loop().create_task(
            self._check(found, named, targets, until_us), name=f"check {named[0]}:{named[1]}"
        )
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check(
        self, found: Target, named: tuple[str, str], targets: list[str], until_us: int
    ) -> None:
        try:
            probe = await self._checker.check(found)
        except Exception:  # noqa: BLE001 - whatever went wrong, a call can show what is
            self._log.exception("a credential could not be checked", credential=":".join(named))
            probe = None
        for target in targets:
            turn = self._turns[target]
            turn.is_checked = False
            if probe is not None and probe.fault is not None:
                turn.was_refused = True
                self._board.bar_longer(target)
            elif probe is not None and probe.ok and turn.was_refused:
                # The same request was refused while this bar lasted: its answer is proof.
                self._board.restore(target)
            else:
                self._permit(target, until_us)


def log_news(news: CredentialNews) -> None:
    log = get_logger()
    if news.type is EventType.CREDENTIAL_DISABLED:
        log.warning(
            "a credential is disabled",
            provider=news.provider,
            credential=news.credential,
            reason=news.reason,
            fix=f"aigne-hub providers test {news.provider}",
        )
    else:
        log.info("a credential works again", provider=news.provider, credential=news.credential)
