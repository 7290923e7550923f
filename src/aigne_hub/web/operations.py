"""What the process tells about itself, and the endpoints that pass it on.

The rest of the web layer knows the running hub only through `Operations`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from aigne_hub.telemetry import Counters
from aigne_hub.web.metrics import CONTENT_TYPE, Gauge, exposition

# Health checks of load balancers give up after a few seconds; an answer must come before.
READY_S = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the hub depends on. `detail` is shown to anyone: no secret, no address."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether calls can be served now: `ok` when nothing that is needed is missing."""

    ok: bool
    checks: tuple[Check, ...]


class Operations(Protocol):
    """What the web layer needs of the process it runs in."""

    @property
    def counters(self) -> Counters: ...

    @property
    def demo(self) -> bool:
        """Whether the built-in provider `demo` is offered."""
        ...

    @property
    def billing(self) -> bool: ...

    async def ready(self) -> Readiness:
        """Try what a call needs, the database's commit first. Never raises."""
        ...

    def may_claim(self, token: str) -> bool:
        """Tell whether a set-up token still opens the set-up page."""
        ...

    def claim(self, token: str, email: str) -> str | None:
        """Name the owner and return an API key, once; None when the token is used.

        Raises InvalidRequest or Conflict for the e-mail.
        """
        ...

    def gauges(self) -> Mapping[Gauge, float]:
        """Return the measurements this process has; others are left out of `/metrics`."""
        ...

    def public_url(self) -> str:
        """Return the address clients reach the hub at, without a trailing slash."""
        ...


def operations_of(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations


Process = Annotated[Operations, Depends(operations_of)]


class LiveAnswer(BaseModel):
    status: Literal["ok"] = "ok"


class CheckAnswer(BaseModel):
    name: str
    ok: bool
    detail: str


class ReadyAnswer(BaseModel):
    status: Literal["ready", "unavailable"]
    checks: list[CheckAnswer]


async def live() -> LiveAnswer:
    """Answer as long as the process does. It asks nothing else, so restart on failure only."""
    return LiveAnswer()


async def ready(operations: Process) -> JSONResponse:
    """Tell whether calls can be served, the database included: 503 says which check failed."""
    try:
        async with asyncio.timeout(READY_S):
            readiness = await operations.ready()
    except TimeoutError:
        late = Check("answer", ok=False, detail=f"The checks took longer than {READY_S:g} s.")
        readiness = Readiness(ok=False, checks=(late,))
    answer = ReadyAnswer(
        status="ready" if readiness.ok else "unavailable",
        checks=[CheckAnswer(name=c.name, ok=c.ok, detail=c.detail) for c in readiness.checks],
    )
    return JSONResponse(answer.model_dump(), 200 if readiness.ok else 503, headers=_FRESH)


async def metrics(operations: Process) -> Response:
    """Figures of the process that answers, in Prometheus' text format 0.0.4."""
    text = exposition(operations.counters, operations.gauges())
    return Response(text, media_type=CONTENT_TYPE, headers=_FRESH)


_FRESH = {"cache-control": "no-store"}


def operations_router() -> APIRouter:
    """Build the routes that tell operators and their tools how the hub is."""
    router = APIRouter(tags=["Operations"])
    router.get(
        "/health/live",
        operation_id="live",
        summary="Is the process alive?",
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
