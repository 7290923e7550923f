"""Looking at the ledger's invariants every hour, and raising an alarm when one is broken."""

import asyncio

from aigne_hub.bootstrap import Hub
from aigne_hub.logs import get_logger
from aigne_hub.storage import inspection

# How often a process looks whether the check is due, and what the last one found.
LOOK_S = 3.0
# A start has better things to do.
FIRST_S = 60.0


class Inspector:
    """One process's part: it checks when it is its turn, and knows what was found last.

    `broken` is how many invariants the last check of any process found broken, None before
    the first.
    """

    def __init__(self, hub: Hub, process_id: str) -> None:
        self._hub = hub
        self._process_id = process_id
        self._started_us = hub.clock.monotonic_us()
        self.broken: int | None = None

    async def run(self) -> None:
        """Look, and check if it is due; called every LOOK_S."""
        await asyncio.to_thread(self._look)

    def _look(self) -> None:
        hub = self._hub
        found = inspection.state(hub.engine)
        self.broken = found.broken
        young = hub.clock.monotonic_us() - self._started_us < FIRST_S * 1_000_000
        if not found.due(hub.clock.now_us()) or (found.last_us is None and young):
            return
        broken = inspection.inspect(hub.engine, hub.clock, self._process_id)
        if broken is None:
            return
        self.broken = len(broken)
        if broken:
            get_logger().error(
                "the ledger does not agree",
                checks={check.name: check.detail for check in broken},
                fix="aigne-hub ledger verify",
            )
