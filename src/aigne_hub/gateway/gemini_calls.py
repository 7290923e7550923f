"""Gemini's paths: `/{v1,v1beta}/models/{model}:{method}`, and a key in the query."""

from urllib.parse import parse_qs

from aigne_hub.auth.verifier import presented
from aigne_hub.gateway.dialects.gemini.generate import METHODS
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.paths import called
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane

_KEY_HEADER = b"x-goog-api-key"


def take_key(exchange: Exchange) -> None:
    """Let the key in a query stand for the header: it is verified and goes nowhere else."""
    if b"key=" not in exchange.query or presented(exchange.fields) is not None:
        return
    keys = parse_qs(exchange.query.decode("latin-1")).get("key")
    if keys:
        exchange.add_header(_KEY_HEADER, keys[0].encode("latin-1", "replace"))


async def call(plane: Plane, exchange: Exchange) -> None:
    """Answer one call of a path that `called` knows."""
    found = called(exchange.path, exchange.query)
    assert found is not None
    take_key(exchange)
    await handle(plane, METHODS[found.method](found), exchange)
