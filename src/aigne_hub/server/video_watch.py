"""Asks after videos that nobody may have asked after, so that those that failed are refunded.

A job is charged when it is made; a caller who does not come back would never learn that there
is no video. One process of all asks, each job at twice its age each time, within its first day.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy import Engine

from aigne_hub.domain.errors import HubError
from aigne_hub.domain.objects import UpstreamObject, next_ask_us
from aigne_hub.logs import get_logger
from aigne_hub.ports import Clock
from aigne_hub.storage import unasked
from aigne_hub.storage.unasked import Unasked

LOOK_S = 5.0
# Jobs that one run asks after, one after the other.
BATCH = 50


class VideoWatch:
    """One process's part.

    `is_over` asks a provider and refunds what failed; it raises HubError when that cannot be
    done now. `alone` gives the right to ask, to one process at a time.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        is_over: Callable[[UpstreamObject], Awaitable[bool]],
        alone: Callable[[], AbstractAsyncContextManager[bool]],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._is_over = is_over
        self._alone = alone
        self._log = get_logger()

    async def run(self) -> None:
        """Ask after what is due; called every LOOK_S."""
        if not await asyncio.to_thread(unasked.is_due, self._engine, self._clock.now_us()):
            return
        async with self._alone() as mine:
            if mine:
                now_us = self._clock.now_us()
                for one in await asyncio.to_thread(unasked.due, self._engine, now_us, BATCH):
                    await self._ask(one)

    async def _ask(self, one: Unasked) -> None:
        found = one.object
        try:
            is_over = await self._is_over(found)
        except HubError as error:
            is_over = False
            self._log.info("a video cannot be asked after", id=found.id, error=error.recorded)
        next_us = None if is_over else next_ask_us(found.created_us, self._clock.now_us())
        await asyncio.to_thread(unasked.ask_again, self._engine, one, next_us)
