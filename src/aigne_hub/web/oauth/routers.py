"""The routers of the authorization server."""

from fastapi import APIRouter

from aigne_hub.web.oauth.authorize import authorize_router
from aigne_hub.web.oauth.bearer import bearer_router
from aigne_hub.web.oauth.device import device_routers
from aigne_hub.web.oauth.grants import grants_router
from aigne_hub.web.oauth.metadata import metadata_router
from aigne_hub.web.oauth.register import register_router
from aigne_hub.web.oauth.token import token_router


def oauth_routers() -> list[APIRouter]:
    return [
        metadata_router(),
        authorize_router(),
        token_router(),
        *device_routers(),
        bearer_router(),
        register_router(),
        grants_router(),
    ]
