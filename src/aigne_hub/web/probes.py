"""What load balancers and scrapers ask all the time. It needs no framework, and loads none."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aigne_hub.at_first_use import at_first_use
from aigne_hub.telemetry import Counters
from aigne_hub.web.gauges import Gauge, Routing
from aigne_hub.web.operations import Check, Operations, Readiness

# Health checks of load balancers give up after a few seconds; an answer must come before.
READY_S = 3.0

_FRESH = {"cache-control": "no-store"}
_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


async def live(_operations: Operations) -> Response:
    """Answer as long as the process does. It asks nothing else, so restart on failure only."""
    return Response(b'{"status":"ok"}', media_type=_JSON)


async def ready(operations: Operations) -> Response:
    """Tell whether calls can be served, the database included: 503 says which check failed."""
    try:
        async with asyncio.timeout(READY_S):
            readiness = await operations.ready()
    except TimeoutError:
        late = Check("answer", ok=False, detail=f"The checks took longer than {READY_S:g} s.")
        readiness = Readiness(ok=False, checks=(late,))
    status = "ready" if readiness.ok else "unavailable"
    answer = orjson.dumps({"status": status, "checks": readiness.checks})
    return Response(answer, 200 if readiness.ok else 503, _FRESH, _JSON)


async def metrics(operations: Operations) -> Response:
    """Figures of the process that answers, in Prometheus' text format 0.0.4."""
    exposition = await asyncio.to_thread(_exposition)
    text = exposition(operations.counters, operations.routing(), operations.gauges())
    return Response(text, media_type=_METRICS, headers=_FRESH)


@at_first_use
def _exposition() -> Callable[[Counters, Routing, Mapping[Gauge, float]], bytes]:
    from aigne_hub.web.metrics import exposition  # noqa: PLC0415 - at first use

    return exposition


PROBES: Mapping[str, Callable[[Operations], Awaitable[Response]]] = {
    "/health/live": live,
    "/health/ready": ready,
    "/metrics": metrics,
}


class Probes:
    """ASGI application for the paths in PROBES, GET and HEAD."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    @staticmethod
    def takes(scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["path"] in PROBES
            and scope["method"] in {"GET", "HEAD"}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await PROBES[scope["path"]](self._operations)
        await response(scope, receive, send)
