"""Do a provider's keys work? `POST /api/admin/providers/{name}/check`."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from aigne_hub.web.api.allowed import MayWriteProviders
from aigne_hub.web.api.bodies import Body
from aigne_hub.web.backend import Hub

_NAME_CHARS_MAX = 64
_MODEL_CHARS_MAX = 256


class Wanted(Body):
    """Which key, without one each; and a model that it must be offered."""

    credential: Annotated[str, Field(max_length=_NAME_CHARS_MAX)] | None = None
    model: Annotated[str, Field(max_length=_MODEL_CHARS_MAX)] | None = None


def check_provider(
    name: Annotated[str, Path(max_length=_NAME_CHARS_MAX, description="The provider.")],
    _: MayWriteProviders,
    hub: Hub,
    body: Wanted | None = None,
) -> dict[str, Any]:
    """Ask a provider for its models with its keys, which costs nothing.

    A key that is refused is not used by calls until it works again; one that was refused
    and works is used at once. Every process hears of it within two seconds.
    """
    wanted = body or Wanted()
    model = None if wanted.model is None else wanted.model.removeprefix(f"{name}/")
    found = hub.check(name, wanted.credential, model)
    return {
        "provider": name,
        "ok": all(one.ok for one in found),
        "results": [one._asdict() for one in found],
    }


def provider_checks_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin/providers", tags=["Administration"])
    router.post(
        "/{name}/check", operation_id="checkProvider", summary="Do a provider's keys work?"
    )(check_provider)
    return router
