"""AIGNE's paths: `/api/v2/...` and the older `/api/v1/...`, each with other spellings."""

from collections.abc import Mapping
from functools import partial

from aigne_hub.gateway.dialects.aigne_chat import AigneChat
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.targets import Handler

V2 = "/api/v2/"
# Older clients' spellings: what a path begins with, and what that means.
_SPELLINGS = (("/v2/", V2), ("/api/v1/sdk/", "/api/v1/"))


def canonical(path: str) -> str:
    """Return a path in the spelling that is routed."""
    for begins, means in _SPELLINGS:
        if path.startswith(begins):
            return means + path.removeprefix(begins)
    return path


def posts(plane: Plane) -> Mapping[str, Handler]:
    return {f"{V2}chat": partial(handle, plane, AigneChat())}
