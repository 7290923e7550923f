"""Every router of the API, for the application and for the OpenAPI document."""

from fastapi import APIRouter

from aigne_hub.web.api.account import account_router
from aigne_hub.web.api.limits import limits_router


def api_routers() -> list[APIRouter]:
    return [account_router(), limits_router()]
