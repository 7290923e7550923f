"""The control plane, made when somebody first asks for it.

Its framework and its forms are a third of a start and a sixth of the memory, and many hubs
serve nothing but calls and probes for days.
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from aigne_hub.web.failures import FailureBoundary
from aigne_hub.web.operations import Operations
from aigne_hub.web.probes import Probes
from aigne_hub.web.security import HeadAsGet, SecurityHeaders


class OnDemand:
    """ASGI application: answers probes itself, everything else through what `make` returns.

    `make` runs once, in a thread, so that calls go on meanwhile.
    """

    def __init__(self, operations: Operations, make: Callable[[], ASGIApp]) -> None:
        self._probes = SecurityHeaders(FailureBoundary(HeadAsGet(Probes(operations))))
        self._make = make
        self._making = asyncio.Lock()
        self._made: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Probes.takes(scope):
            await self._probes(scope, receive, send)
            return
        app = self._made or await self._first_time()
        await app(scope, receive, send)

    async def _first_time(self) -> ASGIApp:
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made
