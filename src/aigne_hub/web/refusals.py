"""Telling the log who was not let in by the control plane."""

from fastapi import Request

from aigne_hub.auth.refusals import Refusals
from aigne_hub.web.failures import loggable
from aigne_hub.web.network import network_of


def tell(request: Request, event: str, code: str, **fields: object) -> None:
    """Say that a request was refused: `code` is why, `fields` are who."""
    state = request.app.state
    refusals: Refusals = state.refusals
    refusals.tell(
        state.backend.clock.now_us(),
        event,
        code=code,
        method=request.method,
        path=loggable(request.scope["path"]),
        address=network_of(request),
        **fields,
    )
