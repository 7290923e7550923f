"""`/v1/responses` and what is below it: a response made, counted, read, cancelled or deleted."""

from typing import Final

from aigne_hub.domain.objects import RESPONSE, Followed
from aigne_hub.gateway.dialects.responses.create import OpenAIResponses
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.object_calls import Wanted, relay_object
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane

PATH: Final = "/v1/responses"
# Operations of their own, which no id can be.
_OPERATIONS: Final = ("input_tokens", "compact")
# What may be done with a stored response, by what follows its id.
_METHODS: Final = {
    "": ("GET", "HEAD", "DELETE"),
    "/cancel": ("POST",),
    "/input_items": ("GET", "HEAD"),
}


def named(method: str, path: str) -> Wanted | None:
    """Return what a decoded path asks of a stored response, None when it asks nothing of one."""
    if not path.startswith(f"{PATH}/"):
        return None
    identifier, slash, rest = path.removeprefix(f"{PATH}/").partition("/")
    if not identifier or identifier in _OPERATIONS:
        return None
    if method not in _METHODS.get(slash + rest, ()):
        return None
    # A HEAD is a GET to the provider: the body is left out on the way back.
    asked = "GET" if method == "HEAD" else method
    return Wanted(
        Followed(RESPONSE, identifier, "response_id"),
        asked,
        f"/responses/{identifier}{slash}{rest}",
    )


async def respond(plane: Plane, exchange: Exchange) -> None:
    """Answer one call, with a dialect of its own that numbers its events."""
    await handle(plane, OpenAIResponses(), exchange)


async def stored(plane: Plane, exchange: Exchange) -> None:
    """Answer a request about a stored response that `named` knows."""
    wanted = named(exchange.method, exchange.path)
    assert wanted is not None
    await relay_object(plane, OpenAIResponses(), exchange, wanted)
