"""Keeps accounts with Payment Kit: what calls cost goes there, what was bought comes here.

One process of all does this, beside the data plane, never in a call's way. When Payment Kit
cannot be reached everything waits; what it refuses waits by itself and holds up nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from http import HTTPStatus

from aigne_hub.logs import get_logger
from aigne_hub.providers.payment_kit import (
    PAGE_SIZE,
    KitMeter,
    KitRefused,
    KitUnavailable,
    PaymentKit,
)
from aigne_hub.server.kit_books import KitBooks
from aigne_hub.storage.meter_outbox import MeterOutbox, Waiting
from aigne_hub.storage.mirrored_grants import VOIDED
from aigne_hub.transport import Client, Timeouts

INTERVAL_S = 1.0
# Reports under way at once, and events that one look into the outbox finds.
PLACES = 8
BATCH = 256
# How often it is asked what was bought, and where.
MIRROR_S = 5.0
LINK_S = 600.0
# After a failure everything waits: a second, doubling to a minute.
BACKOFF_S = (1.0, 60.0)
# The job is given back after this long, so that a lock that was lost is not believed in.
RUN_S = 300.0
# Grants are read page by page until a page has nothing new; this many pages are too many.
PAGES_MAX = 10_000
# Customers that are known to exist there.
CUSTOMERS_MAX = 100_000
TIMEOUTS = Timeouts(connect=10.0, first_byte=30.0, idle=30.0, total=60.0)
ANSWER_BYTES_MAX = 16 * 1024 * 1024
WARN_AFTER = 3


@dataclass(frozen=True, slots=True)
class Account:
    """Which Payment Kit, with which token, and the meter that its events go to."""

    url: str
    token: str = field(repr=False)
    meter: str

    @property
    def id(self) -> str:
        return f"{self.url} {self.meter}"


class KitCourier:
    """Delivers meter events and mirrors grants while `account()` says with whom.

    `alone` gives the right to, to one process at a time, and takes it from one that died.
    `sell_at` is told where credit is bought there. `trouble` says why it cannot be reached.
    """

    def __init__(
        self,
        books: KitBooks,
        outbox: MeterOutbox,
        *,
        account: Callable[[], Account | None],
        connect: Callable[[], Client],
        alone: Callable[[], AbstractAsyncContextManager[bool]],
        jitter: Callable[[], float],
        sell_at: Callable[[str], None],
    ) -> None:
        self.delivered = 0
        self.refused = 0
        self.mirrored = 0
        self.failures = 0
        self.waiting = 0
        self.trouble: str | None = None
        self._books = books
        self._outbox = outbox
        self._account = account
        self._connect = connect
        self._alone = alone
        self._jitter = jitter
        self._sell_at = sell_at
        self._client: Client | None = None
        self._of: Account | None = None
        self._customers: set[str] = set()
        self._quiet_until = 0.0
        self._mirror_at = 0.0
        self._link_at = 0.0
        self._log = get_logger()

    async def run(self) -> None:
        """Do what there is to do; returns at once when there is nothing, or another does it."""
        now = asyncio.get_running_loop().time()
        account = self._account()
        if account != self._of:
            self._begin(account)
        if account is None or now < self._quiet_until:
            return
        kit = self._kit(account)
        try:
            await self._learn_link(kit, now)
            async with self._alone() as mine:
                if mine:
                    await self._work(kit, account, now + RUN_S)
        except KitUnavailable as error:
            self._fail(error.message, now)
            self.waiting = await asyncio.to_thread(self._outbox.waiting)
        else:
            self.failures, self.trouble = 0, None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _begin(self, account: Account | None) -> None:
        self._of = account
        self._customers = set()
        self._quiet_until = self._mirror_at = self._link_at = 0.0
        self.failures, self.trouble = 0, None

    def _kit(self, account: Account) -> PaymentKit:
        if self._client is None:
            self._client = self._connect()
        return PaymentKit(self._client, account.url, account.token)

    def _fail(self, message: str, now: float) -> None:
        self.trouble = message
        self.failures += 1
        first, most = BACKOFF_S
        wait = min(first * 2 ** (self.failures - 1), most)
        self._quiet_until = now + wait * (0.5 + self._jitter() / 2)
        if self.failures == WARN_AFTER:
            self._log.warning("payment kit is out of reach", reason=message)

    async def _learn_link(self, kit: PaymentKit, now: float) -> None:
        """Every process tells its callers where to buy, so each asks for itself."""
        if now >= self._link_at:
            link = await kit.payment_link()
            if link is not None:
                self._sell_at(link)
            self._link_at = now + LINK_S

    async def _work(self, kit: PaymentKit, account: Account, until: float) -> None:
        loop = asyncio.get_running_loop()
        meter: KitMeter | None = None
        while loop.time() < until:
            found = await asyncio.to_thread(self._outbox.due, BATCH)
            if (found or loop.time() >= self._mirror_at) and meter is None:
                meter = await kit.ensure_meter(account.meter)
            if found:
                await self._deliver(kit, account, found)
            if meter is not None and loop.time() >= self._mirror_at:
                await self._mirror(kit, meter, account)
                self._mirror_at = loop.time() + MIRROR_S
                self.waiting = await asyncio.to_thread(self._outbox.waiting)
            if len(found) < BATCH:
                return

    # -- what calls cost -------------------------------------------------------------------

    async def _deliver(self, kit: PaymentKit, account: Account, found: list[Waiting]) -> None:
        """Report events, several at once. What was taken is noted even if others failed."""
        queue = [event for event in reversed(found) if event.value]
        taken = [event.call_id for event in found if not event.value]
        reporters = [
            self._report_from(queue, taken, kit, account) for _ in range(min(PLACES, len(queue)))
        ]
        failures = [error for error in await asyncio.gather(*reporters) if error is not None]
        if taken:
            await asyncio.to_thread(self._outbox.delivered, taken)
            self.delivered += len(taken)
        if failures:
            raise failures[0]

    async def _report_from(
        self, queue: list[Waiting], taken: list[str], kit: PaymentKit, account: Account
    ) -> KitUnavailable | None:
        """Report what is queued until nothing is; return why it cannot go on, if it cannot."""
        while queue:
            event = queue.pop()
            try:
                await self._report(kit, account, event)
            except KitUnavailable as error:
                queue.clear()
                return error
            except KitRefused as refusal:
                await self._note_refusal(event.call_id, str(refusal))
            else:
                taken.append(event.call_id)
        return None

    async def _note_refusal(self, call_id: str, reason: str) -> None:
        self.refused += 1
        attempts = await asyncio.to_thread(self._outbox.refused, call_id, reason)
        if attempts == WARN_AFTER:
            self._log.warning("payment kit refuses a meter event", call_id=call_id, reason=reason)

    async def _report(self, kit: PaymentKit, account: Account, event: Waiting) -> None:
        known = event.did in self._customers
        if not known:
            await self._ensure(kit, event.did)
        try:
            await self._send(kit, account, event)
        except KitRefused as refusal:
            if not known or refusal.status != HTTPStatus.NOT_FOUND:
                raise
            # It was there once: somebody removed it, or the whole of Payment Kit is a new one.
            await kit.ensure_meter(account.meter)
            await self._ensure(kit, event.did)
            await self._send(kit, account, event)

    async def _ensure(self, kit: PaymentKit, did: str) -> None:
        await kit.ensure_customer(did)
        if len(self._customers) >= CUSTOMERS_MAX:
            self._customers.clear()
        self._customers.add(did)

    @staticmethod
    async def _send(kit: PaymentKit, account: Account, event: Waiting) -> None:
        await kit.report(
            event_name=account.meter,
            identifier=event.call_id,
            did=event.did,
            value=event.value,
            timestamp=event.timestamp,
        )

    # -- what was bought -------------------------------------------------------------------

    async def _mirror(self, kit: PaymentKit, meter: KitMeter, account: Account) -> None:
        """Take over grants that are new there, then take back those that were voided.

        Pages come newest first and are applied oldest first, so that what is known is always
        the older part: a page with nothing new ends the reading, after a crash too.
        """
        since = await asyncio.to_thread(self._books.since, account.id)
        pages = [page async for page in self._pages(kit, meter)]
        while pages:
            made = await asyncio.to_thread(
                self._books.mirror, pages.pop()[::-1], meter.decimals, since
            )
            self.mirrored += made
        async for page in self._pages(kit, meter, VOIDED):
            await asyncio.to_thread(self._books.void, page)

    async def _pages(
        self, kit: PaymentKit, meter: KitMeter, status: str | None = None
    ) -> AsyncIterator[list[object]]:
        """Yield what a page has that is to be done here, until one has nothing."""
        for number in range(1, PAGES_MAX):
            page = await kit.grants(meter, number, status)
            undone = await asyncio.to_thread(self._books.undone, page, voided=status == VOIDED)
            if undone:
                yield undone
            if not undone or len(page) < PAGE_SIZE:
                return
