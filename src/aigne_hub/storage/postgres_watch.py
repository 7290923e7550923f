"""The configuration's version on PostgreSQL, asked for on a session of its own.

A notification would come sooner, but be lost with its connection; asking costs a hub some
thirty microseconds a quarter of a second, and is right again by itself.
"""

from collections.abc import Callable

from aigne_hub.storage.journal import StoreUnavailable
from aigne_hub.storage.postgres_link import Link
from aigne_hub.storage.postgres_session import Lost, Refused

_VERSION = "version"
_STATEMENTS = {_VERSION: "SELECT version FROM hub_state"}


class PostgresWatch:
    """storage.watch.Watch over a Link."""

    def __init__(self, database_url: str, *, name: str, jitter: Callable[[], float]) -> None:
        self._link = Link(database_url, _STATEMENTS, name=name, jitter=jitter)

    async def version(self) -> int:
        """Return the version; raises StoreUnavailable."""
        session = await self._link.session()
        try:
            (result,) = await session.run([(_VERSION, ())])
        except (Lost, Refused) as error:
            self._link.drop(session)
            raise StoreUnavailable(str(error)) from error
        value = result.get_value(0, 0)
        assert value is not None
        return int(value)

    async def close(self) -> None:
        await self._link.close()
