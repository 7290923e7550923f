"""What the control plane may ask of the process it runs in."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from aigne_hub.bootstrap import Hub, claim, may_claim
from aigne_hub.domain.errors import Overloaded
from aigne_hub.gateway.edge import Edge
from aigne_hub.gateway.plane import Plane
from aigne_hub.hub_file import DEMO
from aigne_hub.server.inspector import Inspector
from aigne_hub.server.kit_courier import KitCourier
from aigne_hub.server.postman import Postman
from aigne_hub.storage.journal import GroupCommitJournal
from aigne_hub.storage.room import shortage
from aigne_hub.storage.users import User
from aigne_hub.telemetry import CallLog, Counters
from aigne_hub.transport import Client
from aigne_hub.web.gauges import Gauge, Routing
from aigne_hub.web.operations import Check, Readiness

READY_WAIT_S = 2.0


class ProcessOperations:
    """web.operations.Operations of one worker."""

    def __init__(
        self,
        hub: Callable[[], Hub],
        *,
        journal: GroupCommitJournal,
        folder: Path | None,
        client: Client,
        counters: Counters,
        edge: Edge,
        plane: Plane,
        call_log: CallLog,
        postman: Postman,
        inspector: Inspector,
        courier: KitCourier,
    ) -> None:
        self._hub = hub
        self._edge = edge
        self._plane = plane
        self._call_log = call_log
        self._postman = postman
        self._inspector = inspector
        self._courier = courier
        self._journal = journal
        self._folder = folder
        self._client = client
        self.counters = counters

    @property
    def demo(self) -> bool:
        return any(p.kind == DEMO for p in self._plane.router.snapshot.providers.values())

    @property
    def billing(self) -> bool:
        return self._plane.settings.billing

    async def ready(self) -> Readiness:
        """Commit a heartbeat and look for room: the proof that the next call can be recorded.

        A server keeps its own disk in sight: a commit that finds it full says so.
        """
        checks = [await self._database()]
        if self._folder is not None:
            checks.append(self._disk(self._folder))
        return Readiness(ok=all(check.ok for check in checks), checks=tuple(checks))

    async def _database(self) -> Check:
        try:
            await asyncio.wait_for(self._journal.probe(), READY_WAIT_S)
        except (TimeoutError, Overloaded):
            detail = self._journal.unavailable or "no commit in time: is the database locked?"
            return Check("database", ok=False, detail=detail)
        return Check("database", ok=True, detail="commits")

    def _disk(self, folder: Path) -> Check:
        """Look anew, and let the next call be admitted by the same look."""
        wrong = self._journal.shortage = shortage(folder)
        return Check("disk", ok=wrong is None, detail=wrong or "has room")

    def may_claim(self, token: str) -> str | None:
        return may_claim(self._hub(), token)

    def claim(self, token: str, email: str, password_hash: str | None) -> tuple[User, str] | None:
        return claim(self._hub(), token, email, password_hash)

    def gauges(self) -> Mapping[Gauge, float]:
        journal, client = self._journal, self._client
        measured: dict[Gauge, float] = {
            Gauge.JOURNAL_QUEUE: journal.waiting,
            Gauge.JOURNAL_BATCHES: journal.batches,
            Gauge.JOURNAL_OPERATIONS: journal.operations,
            Gauge.JOURNAL_DEAD_LETTERS: journal.dead_letters,
            Gauge.UPSTREAM_OPEN: client.open_now,
            Gauge.UPSTREAM_IDLE: client.idle_now,
            Gauge.UPSTREAM_OPENED: client.opened,
            Gauge.UPSTREAM_REUSED: client.reused,
            Gauge.CLIENT_OPEN: len(self._edge.connections),
            Gauge.REQUESTS_MALFORMED: self._edge.requests_refused,
            Gauge.LOG_LINES_DROPPED: self._call_log.dropped,
            Gauge.WEBHOOKS_DELIVERED: self._postman.delivered,
            Gauge.WEBHOOKS_FAILED: self._postman.failed,
            Gauge.WEBHOOKS_GIVEN_UP: self._postman.given_up,
            Gauge.METER_DELIVERED: self._courier.delivered,
            Gauge.METER_REFUSED: self._courier.refused,
            Gauge.METER_WAITING: self._courier.waiting,
            Gauge.GRANTS_MIRRORED: self._courier.mirrored,
            Gauge.KIT_FAILURES: self._courier.failures,
        }
        if self._inspector.broken is not None:
            measured[Gauge.LEDGER_VIOLATIONS] = self._inspector.broken
        return measured

    def routing(self) -> Routing:
        router = self._plane.router
        board, barred = router.board, router.board.barred()
        return Routing(
            faults=board.faults,
            bars=board.bars,
            probes=board.probes,
            barred={name: barred.get(name, 0) for name in router.snapshot.providers},
            retries={
                (model, verdict): count
                for model, budget in router.budgets.items()
                for verdict, count in (("granted", budget.granted), ("denied", budget.denied))
                if count
            },
        )

    def public_url(self) -> str:
        return self._hub().public_url()
