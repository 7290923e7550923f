"""Tops up accounts that run low, and ends orders that nobody paid."""

from aigne_hub.bootstrap import Hub
from aigne_hub.payment_bootstrap import cashier
from aigne_hub.payments.recharger import Recharger
from aigne_hub.storage import jobs

# Orders that one run ends.
EXPIRE_BATCH = 500


def look(hub: Hub, process_id: str, every_us: int) -> None:
    """Do what is to be done now, if no other process has within `every_us`."""
    desk = cashier(hub)
    recharger = Recharger(desk)
    if not (recharger.wanted() or desk.overdue(1)):
        return
    with jobs.lease(hub.engine, hub.clock, "orders", process_id, every_us) as mine:
        if mine:
            desk.expire("duty:orders", EXPIRE_BATCH)
            recharger.run()
