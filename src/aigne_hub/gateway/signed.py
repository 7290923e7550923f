"""Who signed a request of the data plane, which takes its body to tell."""

from aigne_hub.auth.signed.claims import Head
from aigne_hub.domain.access import Principal
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.plane import Plane


async def signer(plane: Plane, exchange: Exchange) -> Principal:
    """Return the application that signed; raises Unauthenticated for everybody else."""
    head = Head(exchange.method, exchange.path, exchange.query, exchange.headers, exchange.fields)
    return await plane.signatures.verify(head, exchange.body)
