"""A running hub's orders and accounts, handled in this process: no command has to start."""

from collections.abc import Callable
from os import urandom
from typing import Any, Self

from aigne_hub.bootstrap import open_hub
from aigne_hub.domain.access import Role
from aigne_hub.domain.money import format_credits
from aigne_hub.payment_bootstrap import cashier
from aigne_hub.settings import load_settings
from aigne_hub.storage import grants, keys, orders, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading
from aigne_hub.storage.orders import OrderRecord
from aigne_hub.storage.verify import verify
from tests.hub import HubProcess


class Shop:
    """The database of a hub, and a cashier over it as the command line has one."""

    def __init__(self, process: HubProcess) -> None:
        environ = process.environment()
        settings = load_settings(environ, data_dir=process.folder)
        self.hub = open_hub(settings, environ)
        self.cashier = cashier(self.hub)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hub.engine.dispose()

    def read(self, what: Callable[[Any], Any]) -> Any:
        with reading(self.hub.engine) as view:
            return what(view)

    def customer(self, email: str) -> tuple[users.User, str]:
        """Make a user and an API key of theirs."""
        hub = self.hub
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            make = (change, hub.keyring, urandom)
            user = users.create(*make, email=email, role=Role.MEMBER)
            key = keys.create(*make, hub.pepper, user=user, name="test")
        return user, key.text

    def balance(self, user: users.User) -> str:
        """Return a balance in credits."""
        found = self.read(lambda view: grants.balance(view, self.hub.clock, user.id))
        return format_credits(found.balance)

    def orders(self, **which: Any) -> list[OrderRecord]:
        return list(self.read(lambda view: orders.listed(view, limit=1000, **which)))

    def order(self, name: str) -> OrderRecord:
        record: OrderRecord = self.read(lambda view: orders.load(view, name))
        return record

    def verified(self) -> None:
        """Assert that the books are in order."""
        failing = self.read(lambda view: [one for one in verify(view) if not one.ok])
        assert failing == []
