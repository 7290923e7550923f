"""The probes as routes of the control plane, with what its documentation says of them."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from aigne_hub.web import probes
from aigne_hub.web.backend import Process
from aigne_hub.web.declared import open_to_all


class LiveAnswer(BaseModel):
    status: Literal["ok"] = "ok"


class CheckAnswer(BaseModel):
    name: str
    ok: bool
    detail: str


class ReadyAnswer(BaseModel):
    status: Literal["ready", "unavailable"]
    checks: list[CheckAnswer]


async def live(operations: Process) -> Response:
    return await probes.live(operations)


async def ready(operations: Process) -> Response:
    return await probes.ready(operations)


async def metrics(operations: Process) -> Response:
    return await probes.metrics(operations)


live.__doc__, ready.__doc__, metrics.__doc__ = (
    probe.__doc__ for probe in (probes.live, probes.ready, probes.metrics)
)


def operations_router() -> APIRouter:
    """Build the routes that tell operators and their tools how the hub is."""
    router = APIRouter(
        tags=["Operations"],
        dependencies=[open_to_all("probes and figures of no person; a proxy keeps them inside")],
    )
    router.get(
        "/health/live",
        operation_id="live",
        summary="Is the process alive?",
        response_model=LiveAnswer,
        response_description="It is",
    )(live)
    router.get(
        "/health/ready",
        operation_id="ready",
        summary="Can calls be served?",
        response_model=ReadyAnswer,
        response_description="They can",
        responses={503: {"model": ReadyAnswer, "description": "Not now; a check says why"}},
    )(ready)
    router.get(
        "/metrics",
        operation_id="metrics",
        summary="Prometheus metrics",
        response_class=Response,
        response_description="All metrics",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )(metrics)
    return router
