"""web.backend.Backend of one worker."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Final

from sqlalchemy import Connection

from aigne_hub.auth.signed.claims import Head
from aigne_hub.auth.verifier import Headers, fields_of
from aigne_hub.bootstrap import Hub
from aigne_hub.catalog.snapshot import Provider, Snapshot
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.admission import Admission
from aigne_hub.domain.errors import NotFound, RateLimited
from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.router import Router
from aigne_hub.payment_bootstrap import cashier, page_tokens
from aigne_hub.payments.cashier import Cashier
from aigne_hub.server.checks import chosen, note
from aigne_hub.server.probe import Probe, Target, probe, targets_of
from aigne_hub.storage import engine
from aigne_hub.storage.changes import Changes, changes
from aigne_hub.web.backend import KeyCheck
from aigne_hub.web.client_address import client_address
from aigne_hub.web.minute import PerMinute

# How often a process asks providers what they say to keys, because somebody wants to know.
TRIES_A_MINUTE: Final = 30
_SHOWN_MAX: Final = 80


class ProcessBackend:
    """Reads and changes the database through the worker's own engine.

    It is made in a thread; `loop` is what the calls run on.
    """

    def __init__(
        self, hub: Callable[[], Hub], plane: Plane, loop: asyncio.AbstractEventLoop
    ) -> None:
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
        self._loop = loop
        self._tries = PerMinute(TRIES_A_MINUTE)
        self._counting = Lock()

    @property
    def billing(self) -> bool:
        return self._hub().hub_file.billing.enabled

    @property
    def oauth_registration(self) -> str:
        return self._hub().hub_file.oauth.registration

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
    def admission(self) -> Admission:
        return self._hub().hub_file.did.admission

    @property
    def snapshot(self) -> Snapshot:
        return self._plane.router.snapshot

    @property
    def router(self) -> Router:
        return self._plane.router

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
        return changes(hub.engine, hub.clock, hub.ids, actor=actor, origin=client_address())

    def try_key(self, provider: Provider, model: str | None) -> str | None:
        (found,) = self._asked(targets_of(provider), model)
        return None if found.ok else f"{provider.name} {found.detail}: {found.fix}."

    def check(self, provider: str, credential: str | None, model: str | None) -> list[KeyCheck]:
        known = self.snapshot.providers.get(provider)
        if known is None:
            raise NotFound(f"There is no provider {provider[:_SHOWN_MAX]!r}.")
        found = self._asked(chosen(known, credential), model)
        self._loop.call_soon_threadsafe(note, self._plane.board, found)
        return [
            KeyCheck(one.credential, one.ok, one.status, one.latency_ms, one.detail, one.fix)
            for one in found
        ]

    def _asked(self, targets: list[Target], model: str | None) -> list[Probe]:
        now = self.clock.now_us()
        with self._counting:
            if self._tries.exhausted(now):
                raise RateLimited(
                    f"Keys can be tried {TRIES_A_MINUTE} times a minute.",
                    retry_after_s=60 - now // 1_000_000 % 60,
                )
            self._tries.note(now)
        proxy = self._hub().settings.upstream_proxy
        environ = {} if proxy is None else {"AIGNE_HUB_UPSTREAM_PROXY": str(proxy)}
        return probe(targets, environ, model=model)

    async def verify(self, headers: Headers, scope: Scope | None) -> Principal:
        return await self._plane.verifier.verify(fields_of(headers), scope)

    async def verify_signed(self, head: Head, body: Callable[[], Awaitable[bytes]]) -> Principal:
        return await self._plane.signatures.verify(head, body)
