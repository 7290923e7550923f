"""`/v1/responses` and what is below it: a response made, counted, read, cancelled or deleted."""

from aigne_hub.gateway.dialects.responses.create import OpenAIResponses
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.object_calls import relay_object
from aigne_hub.gateway.paths import stored_response
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane


async def respond(plane: Plane, exchange: Exchange) -> None:
    """Answer one call, with a dialect of its own that numbers its events."""
    await handle(plane, OpenAIResponses(), exchange)


async def stored(plane: Plane, exchange: Exchange) -> None:
    """Answer a request about a stored response that `stored_response` knows."""
    wanted = stored_response(exchange.method, exchange.path)
    assert wanted is not None
    await relay_object(plane, OpenAIResponses(), exchange, wanted)
