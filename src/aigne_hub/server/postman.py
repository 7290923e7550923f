"""Sends events to webhooks: one process of all, beside the data plane, never in a call's way.

Each endpoint is sent one event at a time, the longest due first. Endpoints that took the
last one and those that did not have places of their own, so that no number of dead or slow
ones keeps a living one waiting.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson

from aigne_hub.crypto.webhook_signature import sign
from aigne_hub.domain.instants import format_instant
from aigne_hub.logs import get_logger
from aigne_hub.ports import Clock
from aigne_hub.storage.outbox import Due, Outbox, Outcome
from aigne_hub.transport import Client, Target, Timeouts, TransportError, request_head

INTERVAL_S = 1.0
# Posts under way at once, for each of the two kinds of endpoint.
PLACES = 16
TIMEOUTS = Timeouts(connect=10.0, first_byte=15.0, idle=15.0, total=15.0)
# What a receiver says beyond its status is not read.
ANSWER_BYTES_MAX = 64 * 1024
IDLE_S = 10.0
# The job is given back after this long and taken anew: a lock that was lost meanwhile, as with
# its connection to PostgreSQL, is not believed in for ever.
RUN_S = 300.0


class Postman:
    """Delivers what the outbox holds.

    `alone` gives the right to, to one process at a time, and takes it from one that died.
    `connect` makes the client at the first delivery: most hubs have no webhooks.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        connect: Callable[[], Client],
        alone: Callable[[], AbstractAsyncContextManager[bool]],
    ) -> None:
        self.delivered = 0
        self.failed = 0
        self.given_up = 0
        self._outbox = outbox
        self._clock = clock
        self._connect = connect
        self._alone = alone
        self._client: Client | None = None
        self._posts: dict[asyncio.Task[Outcome], Due] = {}
        self._log = get_logger()

    async def run(self) -> None:
        """Deliver until nothing is due; returns at once when another process does that."""
        if not await asyncio.to_thread(self._outbox.waiting):
            return
        async with self._alone() as mine:
            if mine:
                try:
                    await self._deliver()
                finally:
                    for post in self._posts:
                        post.cancel()
                    self._posts.clear()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _deliver(self) -> None:
        now = asyncio.get_running_loop().time
        until = now() + RUN_S
        while True:
            if now() < until:
                await asyncio.to_thread(self._outbox.route)
                for proven in (True, False):
                    await self._start(proven=proven)
            if not self._posts:
                return
            done, _ = await asyncio.wait(
                self._posts, timeout=INTERVAL_S, return_when=asyncio.FIRST_COMPLETED
            )
            await self._record([post.result() for post in done])
            for post in done:
                del self._posts[post]

    async def _start(self, *, proven: bool) -> None:
        room = PLACES - sum(due.proven is proven for due in self._posts.values())
        if not room:
            return
        busy = {due.endpoint_id for due in self._posts.values()}
        found = await asyncio.to_thread(self._outbox.due, room, proven=proven, busy=busy)
        for due in found:
            self._posts[asyncio.create_task(self._post(due))] = due

    async def _record(self, outcomes: list[Outcome]) -> None:
        if not outcomes:
            return
        given_up = await asyncio.to_thread(self._outbox.record, outcomes)
        took = sum(outcome.delivered for outcome in outcomes)
        self.delivered += took
        self.failed += len(outcomes) - took
        self.given_up += len(given_up)
        for outcome in given_up:
            self._log.warning(
                "gave a webhook up",
                event_id=outcome.due.event_id,
                endpoint=outcome.due.endpoint_id,
                status=outcome.status,
                error=outcome.error,
            )

    async def _post(self, due: Due) -> Outcome:
        """Send one event. Whatever is wrong with it is its own failure, and no other's."""
        if due.secret is None:
            return Outcome(due, None, "its secret does not open under this hub's key")
        if self._client is None:
            self._client = self._connect()
        now_s = self._clock.now_us() // 1_000_000
        try:
            body = _body(due)
            headers = (
                ("content-type", "application/json"),
                ("webhook-id", due.event_id),
                ("webhook-timestamp", str(now_s)),
                ("webhook-signature", sign(due.secret, due.event_id, now_s, body)),
            )
            target = Target.parse(due.url, trusted=due.trusted)
            head = request_head("POST", target.origin, target.path, headers)
            answer = await self._client.send(target.origin, head, body)
        except (TransportError, ValueError) as error:
            return Outcome(due, None, str(error))
        if not answer.complete:
            answer.close()
        status = answer.status
        return Outcome(due, status, None if 200 <= status < 300 else f"answered {status}")


def connect(**options: Any) -> Client:
    """Return the client for webhooks; `options` are the proxy's and the resolver's."""
    return Client(
        timeouts=TIMEOUTS,
        body_max=ANSWER_BYTES_MAX,
        connections_max=2 * PLACES,
        idle_s=IDLE_S,
        **options,
    )


def _body(due: Due) -> bytes:
    data = orjson.loads(due.payload)
    if due.account_id is not None:
        data["user_id"] = due.account_id
    message = {"type": due.type, "timestamp": format_instant(due.created_us), "data": data}
    return orjson.dumps(message)
