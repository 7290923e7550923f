"""SIGHUP brings what hub.yaml says of routing to the data plane of a serving process."""

import asyncio
import os
import signal
from types import SimpleNamespace

from tests.patience import PATIENCE_S

from aigne_hub.bootstrap import build_plane, open_backing, open_client, open_hub, read_snapshot
from aigne_hub.domain.routing import Policy, Rules
from aigne_hub.server.worker import Worker
from aigne_hub.settings import load_settings
from aigne_hub.telemetry import Counters


async def test_routing_is_read_again(data_dir):
    file = data_dir / "hub.yaml"
    file.write_text("version: 1\nrouting: {attempts: 3}\n")
    hub = open_hub(load_settings({}, data_dir=data_dir), {})
    backing = open_backing(hub, "test")
    client = open_client(hub)
    worker = Worker(hub, {})
    worker.journal = backing.journal
    worker.plane = build_plane(hub, backing.journal, client, Counters(), read_snapshot(hub))
    backing.journal.start()
    worker._handle_signals(SimpleNamespace(should_exit=False))
    try:
        assert worker.plane.settings.routing == Rules(attempts=3)
        for text, rules in (
            ("routing: {policy: price, check_every_s: 0}", Rules(Policy.PRICE, check_every_s=0)),
            ("routing: {attempts: 99}", Rules(Policy.PRICE, check_every_s=0)),
            ("", Rules()),
        ):
            file.write_text(f"version: 1\n{text}\n")
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(PATIENCE_S):
                await _reloaded(worker)
            assert worker.plane.settings.routing == rules
    finally:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        await client.close()
        await backing.journal.close()
        backing.liveness.release()
        hub.engine.dispose()


async def _reloaded(worker: Worker) -> None:
    """Return once a reload began and ended."""
    while not worker._reloads:
        await asyncio.sleep(0)
    await asyncio.gather(*worker._reloads)
