"""A daily look at prices below cost, in a process of its own.

The list to compare with is a package of 1.6 MB of data and its dependencies, which no process
that serves should carry: `aigne-hub rates check --notify` reads it and is gone.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from aigne_hub.bootstrap import Hub
from aigne_hub.logs import get_logger
from aigne_hub.storage import jobs
from aigne_hub.storage.price_watch import JOB

EVERY_US = 24 * 3600 * 1_000_000
# How often a process looks whether it is due; a start has better things to do.
LOOK_S = 600.0
TIMEOUT_S = 300
LEASE_US = 2 * TIMEOUT_S * 1_000_000
# Exit codes of a check that was made: all is well, or something was found and told.
_MADE = frozenset({0, 1})
_ERROR_CHARS = 500


class PriceWatch:
    """One process's part: it runs the check when it is its turn."""

    def __init__(self, hub: Callable[[], Hub], process_id: str) -> None:
        self._hub = hub
        self._process_id = process_id
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def wanted(self) -> bool:
        """Whether there are prices to watch, and a list to compare them with."""
        return self._hub().hub_file.billing.enabled and find_spec("genai_prices") is not None

    async def run(self) -> None:
        """Check if it is due; called every LOOK_S."""
        if self.wanted:
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        hub = self._hub()
        with jobs.lease(hub.engine, hub.clock, JOB, self._process_id, EVERY_US, LEASE_US) as mine:
            if mine:
                self._check()

    def stop(self) -> None:
        """End a check that is being made; it is made again the next day."""
        if self._child is not None:
            self._child.kill()

    def _check(self) -> None:
        settings = self._hub().settings
        environ = {
            **os.environ,
            "AIGNE_HUB_DATA_DIR": str(settings.data_dir),
            "AIGNE_HUB_DATABASE_URL": settings.database_url,
        }
        if settings.config is not None:
            environ["AIGNE_HUB_CONFIG"] = str(settings.config)
        command = [sys.executable, "-m", "aigne_hub", "rates", "check", "--notify", "--json"]
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = self._child.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            _, errors = self._child.communicate()
        code, self._child = self._child.returncode, None
        if code not in _MADE:
            # Its words are those of a command: a cause and a remedy, and no secret.
            said = errors.decode(errors="replace")[:_ERROR_CHARS]
            get_logger().error("prices could not be checked", code=code, said=said)
