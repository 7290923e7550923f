"""Wires a worker's accounts with Payment Kit."""

import os
import secrets
from collections.abc import Callable

from aigne_hub.bootstrap import LOCAL_HOSTS, Backing, Hub
from aigne_hub.server.kit_books import KitBooks
from aigne_hub.server.kit_courier import ANSWER_BYTES_MAX, PLACES, TIMEOUTS, Account, KitCourier
from aigne_hub.storage import changes, engine
from aigne_hub.storage.meter_outbox import MeterOutbox
from aigne_hub.transport import Client


def account_of(hub: Hub) -> Account | None:
    """Return with whom accounts are kept; None when calls cost nothing, or nobody is named."""
    billing = hub.hub_file.billing
    kit = billing.payments.payment_kit
    if not billing.enabled or kit.url is None:
        return None
    return Account(kit.url, kit.key, kit.meter)


def courier_of(
    hub: Callable[[], Hub], backing: Backing, sell_at: Callable[[str], None]
) -> KitCourier:
    opened = hub()
    return KitCourier(
        KitBooks(
            changing=lambda: changes.changes(
                opened.engine, opened.clock, opened.ids, actor="payment_kit"
            ),
            reading=lambda: engine.reading(opened.engine),
            keyring=opened.keyring,
            randbytes=os.urandom,
        ),
        MeterOutbox(opened.engine, opened.clock),
        account=lambda: account_of(hub()),
        connect=lambda: Client(
            timeouts=TIMEOUTS,
            body_max=ANSWER_BYTES_MAX,
            connections_max=2 * PLACES,
            proxy=opened.settings.upstream_proxy,
            direct=LOCAL_HOSTS,
        ),
        alone=lambda: backing.liveness.alone("payment-kit", wait=False),
        jitter=secrets.SystemRandom().random,
        sell_at=sell_at,
    )
