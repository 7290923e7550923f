"""`GET` and `POST /api/user/explain`: why was I refused, and what would be allowed?"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from aigne_hub.auth.verifier import app_did, fields_of
from aigne_hub.domain.access import Principal
from aigne_hub.gateway.preview import Wanted, wanted_by_size
from aigne_hub.storage import keys
from aigne_hub.web.api import explanation
from aigne_hub.web.api.access import Caller
from aigne_hub.web.backend import Backend, Hub

_Model = Annotated[str | None, Query(description="A model or an alias to try a call of.")]
_MaxTokens = Annotated[int | None, Query(description="The call's output limit.")]
_Stream = Annotated[bool, Query(description="Whether the call streams.")]
_N = Annotated[int | None, Query(description="How many answers or pictures it asks for.")]
_InputTokens = Annotated[int, Query(description="How many tokens its prompt has.")]


async def _body(request: Request) -> bytes:
    return await request.body()


def explain(
    caller: Caller,
    hub: Hub,
    request: Request,
    *,
    model: _Model = None,
    max_tokens: _MaxTokens = None,
    stream: _Stream = False,
    n: _N = None,
    input_tokens: _InputTokens = 0,
) -> dict[str, Any]:
    """Return what binds the caller now, its last refusals, and with `model` a dry run.

    A dry run says whether the call would be admitted, what would be held for it, how many
    output tokens can be paid, and which limit binds. Nothing is written or sent.
    """
    wanted = None
    if model is not None:
        wanted = wanted_by_size(
            hub.snapshot,
            model,
            max_tokens=max_tokens,
            stream=stream,
            n=n,
            input_tokens=input_tokens,
        )
    return _explained(caller, hub, request, wanted)


def explain_body(
    caller: Caller, hub: Hub, request: Request, body: Annotated[bytes, Depends(_body)]
) -> dict[str, Any]:
    """Return the same for the body of a call, as the path that serves its model takes it."""
    return _explained(caller, hub, request, Wanted(body))


def _explained(
    caller: Principal, hub: Backend, request: Request, wanted: Wanted | None
) -> dict[str, Any]:
    application = app_did(caller, fields_of(request.headers.raw))
    now = hub.clock.now_us()
    context = explanation.Hub(hub.snapshot, hub.billing, hub.payment_link, now)
    with hub.reading() as view:
        asking = explanation.Asking(caller, application, keys.known(view, caller.key_id))
        return explanation.explain(view, context, asking, wanted)


def explain_router() -> APIRouter:
    router = APIRouter(prefix="/api/user", tags=["Account"])
    router.get("/explain", operation_id="explain", summary="Why was I refused?")(explain)
    router.post("/explain", operation_id="explainCall", summary="Would this call be admitted?")(
        explain_body
    )
    return router
