"""web.backend.Backend of one worker."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from aigne_hub.auth.verifier import Headers, fields_of
from aigne_hub.bootstrap import Hub
from aigne_hub.catalog.snapshot import Provider, Snapshot
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.gateway.plane import Plane
from aigne_hub.payment_bootstrap import cashier, page_tokens
from aigne_hub.payments.cashier import Cashier
from aigne_hub.server.probe import probe, targets_of
from aigne_hub.storage import engine
from aigne_hub.storage.changes import Changes, changes


class ProcessBackend:
    """Reads and changes the database through the worker's own engine."""

    def __init__(self, hub: Callable[[], Hub], plane: Plane) -> None:
        self._hub = hub
        self._plane = plane
        opened = hub()
        self.clock = opened.clock
        self.ids = opened.ids
        self.keyring = opened.keyring
        self.pepper = opened.pepper
        self.randbytes = os.urandom
        self.page_tokens = page_tokens(opened)
        self._cashier = (opened, cashier(opened))

    @property
    def billing(self) -> bool:
        return self._hub().hub_file.billing.enabled

    @property
    def payment_link(self) -> str:
        return self._plane.settings.payment_link

    @property
    def low_balance(self) -> tuple[int, ...]:
        return self._hub().hub_file.billing.low_balance

    @property
    def cashier(self) -> Cashier:
        """Of the configuration in force: a reload brings another hub, and another cashier."""
        hub, current = self._cashier
        if hub is not self._hub():
            hub = self._hub()
            current = cashier(hub)
            self._cashier = (hub, current)
        return current

    @property
    def snapshot(self) -> Snapshot:
        return self._plane.router.snapshot

    def status_of(self, model: str) -> ModelStatus | None:
        return self._plane.tracker.statuses.of(model)

    def public_url(self) -> str:
        return self._hub().public_url()

    def reading(self) -> AbstractContextManager[Connection]:
        return engine.reading(self._hub().engine)

    def posting(self) -> AbstractContextManager[Connection]:
        return engine.writing(self._hub().engine)

    def changing(self, actor: str) -> AbstractContextManager[Changes]:
        hub = self._hub()
        return changes(hub.engine, hub.clock, hub.ids, actor=actor)

    def try_key(self, provider: Provider, model: str | None) -> str | None:
        proxy = self._hub().settings.upstream_proxy
        environ = {} if proxy is None else {"AIGNE_HUB_UPSTREAM_PROXY": str(proxy)}
        (found,) = probe(targets_of(provider), environ, model=model)
        return None if found.ok else f"{provider.name} {found.detail}: {found.fix}."

    async def verify(self, headers: Headers, scope: Scope | None) -> Principal:
        return await self._plane.verifier.verify(fields_of(headers), scope)
