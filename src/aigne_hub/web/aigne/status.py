"""`GET /api/v2/status`: whether the caller can be served now. Always 200, whatever it says.

AIGNE's clients ask before they show a form; a key may be missing (wire/aigne.md, section 1.2).
The older `/api/v1/status` is asked with a signature.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from aigne_hub.auth.verifier import fields_of, presented
from aigne_hub.catalog.snapshot import Provider, Snapshot
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import (
    Forbidden,
    HubError,
    InsufficientCredits,
    NoUpstream,
    UnpricedModel,
)
from aigne_hub.gateway.dialects.aigne.errors import NOT_ENOUGH
from aigne_hub.providers.profiles import is_keyless
from aigne_hub.storage import accounts
from aigne_hub.web.aigne.signed import Signed
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all

PATH: Final = "/api/v2/status"
# Other spellings and the older version, which are not in the OpenAPI document.
_ALIASES: Final = ("/v2/status",)
_OLDER: Final = ("/api/v1/status", "/api/v1/sdk/status")

ModelName = Annotated[
    str | None, Query(max_length=500, description="Whether this model can be called, too.")
]


async def somebody(request: Request, hub: Hub) -> Principal | HubError | None:
    """Return who asks, what is wrong with the key, or None without one."""
    if presented(fields_of(request.headers.raw)) is None:
        return None
    try:
        return await hub.verify(request.headers.raw, Scope.INFERENCE)
    except HubError as error:
        return error


async def some_application(request: Request, hub: Hub) -> Principal | HubError:
    """Return the application that asks, or what is wrong with its signature."""
    try:
        return await Signed()(request, hub)
    except HubError as error:
        return error


def older_status(
    caller: Annotated[Principal | HubError, Depends(some_application)],
    hub: Hub,
    model: ModelName = None,
) -> dict[str, Any]:
    """Say whether a call of the application that signed would be taken."""
    return status(caller, hub, model)


def status(
    caller: Annotated[Principal | HubError | None, Depends(somebody)],
    hub: Hub,
    model: ModelName = None,
) -> dict[str, Any]:
    """Say whether a call would be taken: of the caller's credit, and of one model."""
    try:
        if isinstance(caller, HubError):
            raise caller
        _require_provider(hub.snapshot)
        if caller is not None and hub.billing:
            _require_credit(hub, caller)
        if model:
            _require_model(hub, caller, model)
    except HubError as error:
        said: dict[str, Any] = {"available": False, "code": error.status, "error": error.message}
        if isinstance(error, InsufficientCredits):
            said |= {"type": NOT_ENOUGH, "link": hub.payment_link}
        return said
    return {"available": True}


def _require_provider(snapshot: Snapshot) -> None:
    if not any(_is_callable(model.provider) for model in snapshot.models.values()):
        raise NoUpstream("No providers available.")


def _require_credit(hub: Backend, caller: Principal) -> None:
    with hub.reading() as view:
        account = accounts.load(view, caller.user_id, lock=False)
        account.advance(hub.clock.now_us())
    if account.available <= 0:
        raise InsufficientCredits(f"There is no credit left. Buy credits: {hub.payment_link}")


def _require_model(hub: Backend, caller: Principal | None, reference: str) -> None:
    models = hub.snapshot.resolve(reference)
    if caller is not None:
        models = tuple(model for model in models if caller.may_use(model.ref))
    if not models:
        raise Forbidden(f"This key may not use the model {reference!r}.")
    if hub.billing and all(model.rates is None for model in models):
        raise UnpricedModel(f"Model {reference} is not supported: it has no price.")
    if not any(_is_callable(model.provider) for model in models):
        raise NoUpstream(f"{models[0].ref} has no credential to call its provider with.")


def _is_callable(provider: Provider) -> bool:
    return bool(provider.credentials) or is_keyless(provider.kind)


def status_router() -> APIRouter:
    router = APIRouter(
        tags=["Clients"], dependencies=[open_to_all("a key is optional, and says no more")]
    )
    router.get(
        PATH,
        operation_id="getStatus",
        summary="Whether calls are taken",
        openapi_extra={"security": []},
    )(status)
    for path in _ALIASES:
        router.get(path, include_in_schema=False)(status)
    for path in _OLDER:
        router.get(path, include_in_schema=False)(older_status)
    return router
