"""The periodic work of one process, each duty with its interval and none on the hot path."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from aigne_hub.at_first_use import at_first_use
from aigne_hub.bootstrap import Backing, Hub, open_outbox, read_snapshot
from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.objects import UpstreamObject
from aigne_hub.domain.routing import Rules
from aigne_hub.gateway.edge import Edge
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.plane import Plane
from aigne_hub.logs import get_logger
from aigne_hub.server import (
    check_rounds,
    inspector,
    kit_courier,
    postman,
    price_watch,
    video_watch,
)
from aigne_hub.server.check_rounds import CheckRounds
from aigne_hub.server.checks import Checker
from aigne_hub.server.health_watch import HealthWatch
from aigne_hub.server.inspector import Inspector
from aigne_hub.server.kit_courier import KitCourier
from aigne_hub.server.postman import Postman
from aigne_hub.server.price_watch import PriceWatch
from aigne_hub.server.video_watch import VideoWatch
from aigne_hub.storage import (
    answers,
    checkpoint,
    connect_sessions,
    did_sessions,
    grants,
    guesses,
    jobs,
    limits,
    low_balance,
    metering,
    model_statuses,
    objects,
    room,
    route_answers,
    sessions,
    target_health,
    unfinished_orders,
    usage_alarms,
    used_signatures,
    watch,
)
from aigne_hub.storage.engine import StorageError, reading, writing
from aigne_hub.storage.recovery import Orphans
from aigne_hub.telemetry import CallLog
from aigne_hub.usage.cleanup import cleanup_stale_processing_calls
from aigne_hub.usage.tracker import SWEEP_S

REAP_S = 1.0
CLEANUP_S = 15.0
ADVANCE_S = 60.0
PRUNE_S = 3600.0
RECHARGE_S = 10.0
ALARM_S = 5.0
OAUTH_S = 3600.0


class Served(Protocol):
    """What the duties look after: the worker, as far as they know it."""

    hub: Hub
    plane: Plane
    process_id: str


@dataclass(frozen=True, slots=True)
class _Routed:
    """check_rounds.Routed of a data plane."""

    plane: Plane

    @property
    def board(self) -> Board:
        return self.plane.board

    @property
    def snapshot(self) -> Snapshot:
        return self.plane.router.snapshot

    @property
    def rules(self) -> Rules:
        return self.plane.settings.routing


class Duties:
    """Starts one task a duty; one that fails runs again, and is logged when it begins to fail."""

    def __init__(
        self,
        worker: Served,
        *,
        edge: Edge,
        backing: Backing,
        orphans: Orphans,
        call_log: CallLog,
        post: Postman,
        inspect: Inspector,
        courier: KitCourier,
        prices: PriceWatch,
    ) -> None:
        self._worker = worker
        self._edge = edge
        self._backing = backing
        self._orphans = orphans
        self._call_log = call_log
        self._postman = post
        self._inspector = inspect
        self._courier = courier
        self._prices = prices
        self._checker = Checker(worker.hub.settings.upstream_proxy)
        self._health = HealthWatch(
            worker.hub.engine,
            worker.hub.clock,
            worker.plane.board,
            self._checker,
            snapshot=lambda: worker.plane.router.snapshot,
            process_id=worker.process_id,
        )
        self._videos = _video_watch(worker, backing)
        self._rounds = CheckRounds(
            worker.hub.engine,
            worker.hub.clock,
            _Routed(worker.plane),
            self._checker,
            process_id=worker.process_id,
            draw=worker.plane.draw,
        )
        self._checkpointed = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._log = get_logger()

    def start(self) -> None:
        """Begin; what other processes know of targets' health is known when this returns."""
        self._health.load()
        duties: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (SWEEP_S, self._sweep),
            (watch.INTERVAL_S, self._follow),
            (REAP_S, self._reap),
            (CLEANUP_S, self._cleanup),
            (ADVANCE_S, self._advance),
            (postman.INTERVAL_S, self._postman.run),
            (kit_courier.INTERVAL_S, self._courier.run),
            (low_balance.INTERVAL_S, self._tell_low_balance),
            (PRUNE_S, self._prune),
            (inspector.LOOK_S, self._inspector.run),
            (RECHARGE_S, self._look_after_orders),
            (OAUTH_S, self._look_after_oauth),
            (ALARM_S, self._alarm),
            (model_statuses.INTERVAL_S, self._share_statuses),
            (price_watch.LOOK_S, self._prices.run),
            (video_watch.LOOK_S, self._videos.run),
            (target_health.INTERVAL_S, self._health.run),
            (check_rounds.LOOK_S, self._rounds.run),
        ]
        if self._backing.checkpointer is not None:
            duties.append((checkpoint.INTERVAL_S, self._checkpoint))
        if self._backing.folder is not None:
            duties.append((room.INTERVAL_S, self._look_for_room))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._every(*duty)) for duty in duties]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._prices.stop()
        self._health.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._call_log.flush()
        for last, what in ((self._alarm, "alarms about usage"), (self._health.tell, "health")):
            try:
                await last()
            except Exception:  # noqa: BLE001 - the hub stops all the same
                self._log.exception("not stored at the end", what=what)
        await self._checker.close()
        await self._backing.watch.close()
        if self._backing.checkpointer is not None:
            self._backing.checkpointer.close()

    async def _every(self, interval_s: float, duty: Callable[[], Awaitable[None]]) -> None:
        failing = False
        while True:
            await asyncio.sleep(interval_s)
            try:
                await duty()
            except (StorageError, SQLAlchemyError) as error:
                if not failing:
                    cause = str(error).partition("\n")[0]
                    self._log.warning("a duty waits", duty=duty.__name__, error=cause)
                failing = True
            except Exception:  # noqa: BLE001 - whatever failed, the duty must run again
                if not failing:
                    self._log.exception("a duty failed", duty=duty.__name__)
                failing = True
            else:
                failing = False

    async def _sweep(self) -> None:
        self._worker.plane.tracker.sweep()
        self._call_log.flush()

    async def _follow(self) -> None:
        """Swap the snapshot when the configuration's version has moved."""
        plane = self._worker.plane
        if await self._backing.watch.version() != plane.router.snapshot.version:
            plane.swap(await asyncio.to_thread(read_snapshot, self._worker.hub))

    async def _reap(self) -> None:
        self._edge.reap()

    async def _checkpoint(self) -> None:
        checkpointer, batches = self._backing.checkpointer, self._backing.journal.batches
        if checkpointer is not None and batches != self._checkpointed:
            self._checkpointed = batches
            await asyncio.to_thread(checkpointer.run)

    async def _look_for_room(self) -> None:
        if self._backing.folder is not None:
            self._backing.journal.shortage = room.shortage(self._backing.folder)

    async def _cleanup(self) -> None:
        backing, clock = self._backing, self._worker.hub.clock
        async with backing.liveness.alone("recovery", wait=False) as mine:
            if mine:
                await cleanup_stale_processing_calls(self._orphans, backing.journal, clock)

    async def _alarm(self) -> None:
        """Put what was strange in providers' reports into the outbox."""
        alarms = self._worker.plane.alarms
        taken = alarms.taken()
        if taken:
            try:
                await asyncio.to_thread(usage_alarms.record, self._worker.hub.engine, taken)
            except Exception:
                alarms.give_back(taken)
                raise

    async def _share_statuses(self) -> None:
        """Tell other processes how models answer here, and hear how they do there."""
        engine, statuses = self._worker.hub.engine, self._worker.plane.tracker.statuses
        noted = statuses.taken()
        if noted:
            await asyncio.to_thread(model_statuses.record, engine, noted)
        statuses.learn(await asyncio.to_thread(model_statuses.known, engine))

    async def _advance(self) -> None:
        await asyncio.to_thread(self._advance_due)

    async def _look_after_oauth(self) -> None:
        worker, every_us = self._worker, int(OAUTH_S * 1_000_000) // 2
        await asyncio.to_thread(lambda: _oauth()(worker.hub, worker.process_id, every_us))

    async def _look_after_orders(self) -> None:
        await asyncio.to_thread(self._recharge)

    def _recharge(self) -> None:
        """Top up accounts that run low, and end orders that nobody paid, in one process of all."""
        worker, hub = self._worker, self._worker.hub
        with reading(hub.engine) as connection:
            if not unfinished_orders.are_there(connection):
                return
        _look_after()(hub, worker.process_id, int(RECHARGE_S * 1_000_000) // 2)

    def _advance_due(self) -> None:
        """Post what time does to accounts, and what they owe, in one process of all, until done."""
        worker, hub = self._worker, self._worker.hub
        every_us = int(ADVANCE_S * 1_000_000) // 2
        with jobs.lease(hub.engine, hub.clock, "advance", worker.process_id, every_us) as mine:
            more = mine
            while more:
                with writing(hub.engine) as connection:
                    now = hub.clock.now_us()
                    done = grants.advance_due(connection, now)
                    more = done + metering.collect_due(connection, now) > 0

    async def _tell_low_balance(self) -> None:
        if self._worker.hub.hub_file.billing.enabled:
            await asyncio.to_thread(self._tell_low_balance_now)

    def _tell_low_balance_now(self) -> None:
        worker, hub = self._worker, self._worker.hub
        thresholds = hub.hub_file.billing.low_balance
        if not low_balance.wanted(hub.engine, thresholds):
            return
        every_us = int(low_balance.INTERVAL_S * 1_000_000) // 2
        with jobs.lease(hub.engine, hub.clock, "low balance", worker.process_id, every_us) as mine:
            if mine:
                low_balance.tell(hub.engine, hub.clock, hub.ids, thresholds)

    async def _prune(self) -> None:
        await asyncio.to_thread(self._prune_old)

    def _prune_old(self) -> None:
        """Delete what was counted and told long ago, in one process of all."""
        worker, hub = self._worker, self._worker.hub
        outbox = open_outbox(hub)
        every_us = int(PRUNE_S * 1_000_000) // 2
        with jobs.lease(hub.engine, hub.clock, "prune", worker.process_id, every_us) as mine:
            more = mine
            while more:
                with writing(hub.engine) as connection:
                    now = hub.clock.now_us()
                    pruned = limits.prune(connection, now) + answers.prune(connection, now)
                    pruned += route_answers.prune(connection, now) + objects.prune(connection, now)
                    pruned += connect_sessions.prune(connection, now)
                    pruned += sessions.prune(connection, now) + guesses.prune(connection, now)
                    pruned += did_sessions.prune(connection, now)
                    pruned += used_signatures.prune(connection, now)
                    pruned += target_health.prune(connection, now)
                more = outbox.prune() > 0 or pruned > 0


def _video_watch(worker: Served, backing: Backing) -> VideoWatch:
    async def is_over(found: UpstreamObject) -> bool:
        ask = await asyncio.to_thread(_standing)
        return await ask(worker.plane, found)

    return VideoWatch(
        worker.hub.engine,
        worker.hub.clock,
        is_over=is_over,
        alone=lambda: backing.liveness.alone("videos", wait=False),
    )


@at_first_use
def _standing() -> Callable[[Plane, UpstreamObject], Awaitable[bool]]:
    from aigne_hub.gateway.video_standing import is_over  # noqa: PLC0415 - at first use

    return is_over


@at_first_use
def _look_after() -> Callable[[Hub, str, int], None]:
    from aigne_hub.server.order_watch import look  # noqa: PLC0415 - at first use

    return look


@at_first_use
def _oauth() -> Callable[[Hub, str, int], None]:
    from aigne_hub.server.oauth_watch import look  # noqa: PLC0415 - at first use

    return look
