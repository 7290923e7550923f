"""Free checks of credentials by a process that serves: the provider is asked for its models.

What they show is noted on the board of health, for the choice of the next candidate and for
other processes. Nobody is charged, and no call is recorded.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from aigne_hub.catalog.snapshot import Provider, Snapshot
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.faults import OF_CREDENTIAL
from aigne_hub.gateway.health import Board
from aigne_hub.server.probe import PROBES_AT_ONCE, Probe, Target, ask, open_client, targets_of
from aigne_hub.transport import Client

_SHOWN_MAX: Final = 80


class Checker:
    """Asks a few providers at once, over connections of its own. Belongs to one event loop.

    `proxy` is the upstream proxy's address, None without one.
    """

    def __init__(self, proxy: str | None) -> None:
        self._proxy = proxy
        self._client: Client | None = None
        self._places = asyncio.Semaphore(PROBES_AT_ONCE)

    async def check(self, target: Target, model: str | None = None) -> Probe:
        """Ask one provider with one credential; takes up to 20 s once it is its turn."""
        async with self._places:
            if self._client is None:
                self._client = open_client(self._proxy)
            return await ask(self._client, target, model)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


def note(board: Board, probes: Iterable[Probe]) -> None:
    """Bar the credentials that checks found at fault, and let in those that work again.

    A list of models says nothing about a limit of the rate, and nothing that was not asked
    says anything.
    """
    for probe in probes:
        if probe.credential is None or not probe.asked:
            continue
        target = f"{probe.provider}:{probe.credential}"
        if probe.fault is not None:
            board.bar(target, probe.fault)
        elif probe.ok and board.of(target).standing.fault in OF_CREDENTIAL:
            board.restore(target)


def chosen(provider: Provider, credential: str | None) -> list[Target]:
    """Return a provider's targets, or one of them by its credential. Raises NotFound."""
    targets = targets_of(provider)
    if credential is None:
        return targets
    found = [one for one in targets if one.credential and one.credential.name == credential]
    if not found:
        names = ", ".join(each.name for each in provider.credentials) or "none"
        raise NotFound(
            f"{provider.name} has no credential {credential[:_SHOWN_MAX]!r}. It has: {names}."
        )
    return found


def target_in(snapshot: Snapshot, provider: str, credential: str) -> Target | None:
    """Return a credential of a provider by their names, None when it is not there any more."""
    known = snapshot.providers.get(provider)
    for target in [] if known is None else targets_of(known):
        if target.credential is not None and target.credential.name == credential:
            return target
    return None
