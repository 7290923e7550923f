"""What the control plane may ask of the process it runs in."""

import asyncio
from collections.abc import Mapping

from aigne_hub.bootstrap import Hub, claim, may_claim, read_snapshot
from aigne_hub.domain.errors import Overloaded
from aigne_hub.gateway.edge import Edge
from aigne_hub.hub_file import DEMO
from aigne_hub.storage.journal import GroupCommitJournal
from aigne_hub.telemetry import CallLog, Counters
from aigne_hub.transport import Client
from aigne_hub.web.metrics import Gauge
from aigne_hub.web.operations import Check, Readiness

READY_WAIT_S = 2.0


class ProcessOperations:
    """web.operations.Operations of one worker."""

    def __init__(
        self,
        hub: Hub,
        *,
        journal: GroupCommitJournal,
        client: Client,
        counters: Counters,
        edge: Edge,
        call_log: CallLog,
    ) -> None:
        self._hub = hub
        self._edge = edge
        self._call_log = call_log
        self._journal = journal
        self._client = client
        self.counters = counters
        self.demo = any(p.kind == DEMO for p in read_snapshot(hub).providers.values())
        self.billing = hub.hub_file.billing.enabled

    async def ready(self) -> Readiness:
        """Commit a heartbeat: the only proof that the next call can be recorded."""
        try:
            await asyncio.wait_for(self._journal.probe(), READY_WAIT_S)
        except (TimeoutError, Overloaded):
            detail = self._journal.unavailable or "no commit within the time limit"
            return Readiness(ok=False, checks=(Check("database", ok=False, detail=detail),))
        return Readiness(ok=True, checks=(Check("database", ok=True, detail="commits"),))

    def may_claim(self, token: str) -> bool:
        return may_claim(self._hub, token)

    def claim(self, token: str, email: str) -> str | None:
        return claim(self._hub, token, email)

    def gauges(self) -> Mapping[Gauge, float]:
        journal, client = self._journal, self._client
        return {
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
        }

    def public_url(self) -> str:
        return self._hub.public_url()
