"""`/webhooks/{provider}`: who calls is known by the signature over the raw body alone.

Nothing is read beyond WEBHOOK_BYTES_MAX, and no byte of a body is ever logged.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from aigne_hub.billing.payments import WEBHOOK_BYTES_MAX
from aigne_hub.domain.errors import PayloadTooLarge
from aigne_hub.web.backend import Hub
from aigne_hub.web.declared import open_to_all


class Received(BaseModel):
    """`outcome`: `applied`, `ignored`, or `duplicate` for one that came before."""

    received: bool
    outcome: str


Provider = Annotated[str, Path(description="Who reports: `stripe`, or another that is set up.")]


async def receive(request: Request, hub: Hub, provider: Provider) -> Received:
    """Take an event of a payment provider; one that is refused credits nothing."""
    body = await _body(request)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in _head(request)}
    applied = await run_in_threadpool(hub.cashier.webhook, provider, headers, body)
    return Received(received=True, outcome=applied.outcome.value)


def _head(request: Request) -> list[tuple[bytes, bytes]]:
    head: list[tuple[bytes, bytes]] = request.headers.raw
    return head


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > WEBHOOK_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > WEBHOOK_BYTES_MAX:
            raise _too_large()
    return bytes(body)


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"A webhook has at most {WEBHOOK_BYTES_MAX} bytes.")


def webhooks_router() -> APIRouter:
    router = APIRouter(
        tags=["Payment"], dependencies=[open_to_all("the payment provider signs what it sends")]
    )
    router.post(
        "/webhooks/{provider}",
        operation_id="receiveWebhook",
        summary="Event of a payment provider",
        response_description="It is recorded",
        response_model=Received,
        responses={
            status: {"$ref": f"#/components/responses/Error{status}"}
            for status in (400, 404, 409, 413)
        },
    )(receive)
    return router
