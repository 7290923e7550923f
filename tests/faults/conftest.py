import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """The transport's own tests run on both event loops it supports."""
    if not item.path.name.startswith("test_transport_"):
        return None
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
