import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Every test of this folder runs on both event loops the transport supports."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
