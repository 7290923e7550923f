"""`/api/user/usage-stats` and `/api/user/admin`: which models are called, and who users are.

Source: wire/aigne.md, section 1.7.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from aigne_hub.storage import usage_totals, users
from aigne_hub.storage.usage_totals import ModelCount, Wanted
from aigne_hub.web.aigne.periods import Within
from aigne_hub.web.api.access import Caller
from aigne_hub.web.api.allowed import MayReadUsage, MayReadUsers
from aigne_hub.web.api.bulk_rates import Wire
from aigne_hub.web.backend import Backend, Hub

MODELS_SHOWN: Final = 5
USERS_AT_ONCE_MAX: Final = 200
UNKNOWN_USER: Final = "Unknown User"


class UserDids(Wire):
    """Whose names are wanted, by DID."""

    user_dids: tuple[Annotated[str, Field(max_length=256)], ...] = Field(
        min_length=1, max_length=USERS_AT_ONCE_MAX, strict=False
    )


def usage_stats(caller: Caller, hub: Hub, period: Within) -> dict[str, Any]:
    """Return the models that the caller's user called most."""
    return _stats(hub, Wanted(period, caller.user_id))


def user_stats(_: MayReadUsage, hub: Hub, period: Within) -> dict[str, Any]:
    """Return the models that all users called most."""
    return _stats(hub, Wanted(period))


def user_info(_: MayReadUsers, hub: Hub, body: UserDids) -> dict[str, Any]:
    """Return the names of users, in the order they were asked for."""
    with hub.reading() as view:
        found = users.of_dids(view, body.user_dids)
    shown = []
    for did in body.user_dids:
        user = found.get(did)
        email = (user.email if user else None) or ""
        name = email.partition("@")[0] if user else UNKNOWN_USER
        shown.append({"did": did, "fullName": name, "email": email, "avatar": ""})
    return {"users": shown}


def _stats(hub: Backend, wanted: Wanted) -> dict[str, Any]:
    with hub.reading() as view:
        count, models = usage_totals.by_model(view, wanted, limit=MODELS_SHOWN)
    return {"modelStats": {"list": [_model(one) for one in models], "totalModelCount": count}}


def _model(one: ModelCount) -> dict[str, Any]:
    offered, _, name = one.model.partition("/")
    provider = one.provider or offered
    return {
        "providerId": provider,
        "provider": {"id": provider, "name": provider, "displayName": provider},
        "model": name or one.model,
        "totalCalls": one.calls,
    }


def user_stats_routers() -> list[APIRouter]:
    own = APIRouter(prefix="/api/user", tags=["Account"])
    own.get("/usage-stats", operation_id="getUsageStats", summary="Models called most")(usage_stats)
    admin = APIRouter(prefix="/api/user/admin", tags=["Administration"])
    admin.get("/user-stats", operation_id="getUserStats", summary="Models all users called most")(
        user_stats
    )
    admin.post("/user-info", operation_id="getUserNames", summary="Names of users")(user_info)
    return [own, admin]
