"""Operations whose requests may be forms: each is read by the type its request says it has."""

from collections.abc import Callable

from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.pipeline import Verify, handle
from aigne_hub.gateway.plane import Plane

_CONTENT_TYPE = b"content-type"


async def handle_form(
    plane: Plane,
    make: Callable[[tuple[bytes, ...]], Dialect],
    exchange: Exchange,
    verify: Verify | None = None,
) -> None:
    """Answer one request with the dialect that `make` returns for its Content-Types."""
    types = tuple(value for name, value in exchange.headers if name == _CONTENT_TYPE)
    await handle(plane, make(types), exchange, verify)
