"""`/api/ai-providers/…/credentials/test` and `…/check`: does a key work?

The provider is asked for its models, which costs nothing.
"""

from collections import deque
from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from aigne_hub.domain.errors import Conflict, RateLimited
from aigne_hub.storage import vendors
from aigne_hub.web.aigne.providers import MODEL_CHARS_MAX, CredentialId, KeyBody, ProviderId
from aigne_hub.web.aigne.shapes import credential_shown
from aigne_hub.web.aigne.working_keys import require_working
from aigne_hub.web.api.allowed import MayWriteProviders
from aigne_hub.web.backend import Hub

TESTS_MAX: Final = 5
TESTS_WINDOW_US: Final = 600 * 1_000_000
_TAGS: list[str | Enum] = ["Administration"]


class KeyTests:
    """Tries keys that are not kept, for each user so many within some minutes."""

    def __init__(self) -> None:
        self._tried: dict[str, deque[int]] = {}

    def test(
        self, provider_id: ProviderId, admin: MayWriteProviders, hub: Hub, body: KeyBody
    ) -> dict[str, bool]:
        """Try a key that is not kept. A user can try 5 in ten minutes."""
        with hub.reading() as view:
            vendor = vendors.find(view, provider_id)
        secret = body.secret(vendor)
        self._count(admin.user_id, hub.clock.now_us())
        require_working(hub, vendor, secret, body.test_model)
        return {"success": True}

    def _count(self, user_id: str, now_us: int) -> None:
        """Raise RateLimited for one try too many."""
        tried = self._tried.setdefault(user_id, deque(maxlen=TESTS_MAX))
        if len(tried) == TESTS_MAX and now_us - tried[0] < TESTS_WINDOW_US:
            wait_us = tried[0] + TESTS_WINDOW_US - now_us
            raise RateLimited(
                f"At most {TESTS_MAX} keys can be tried in ten minutes.",
                retry_after_s=wait_us // 1_000_000 + 1,
            )
        tried.append(now_us)


def check(
    provider_id: ProviderId,
    credential_id: CredentialId,
    _: MayWriteProviders,
    hub: Hub,
    model: Annotated[
        str | None,
        Query(alias="testModel", max_length=MODEL_CHARS_MAX, description="It must offer this."),
    ] = None,
) -> dict[str, Any]:
    """Try a key that is kept, and say what is wrong with it. Calls use it accordingly."""
    with hub.reading() as view:
        vendor = vendors.find(view, provider_id)
        credential = vendor.credential(credential_id)
    known = hub.snapshot.providers.get(vendor.name)
    kept = [one for one in known.credentials if one.id == credential.id] if known else []
    if known is None or not kept:
        raise Conflict("This process has not noticed the key yet. Try again in a second.")
    (found,) = hub.check(vendor.name, credential.name, model)
    problem = None if found.ok else f"{vendor.name} {found.detail}: {found.fix}."
    return {**credential_shown(vendor, credential), "active": found.ok, "error": problem}


def key_tests_router(prefix: str, tests: KeyTests, *, listed: bool) -> APIRouter:
    router = APIRouter(prefix=f"{prefix}/{{provider_id}}/credentials", include_in_schema=listed)
    router.post("/test", tags=_TAGS, operation_id="testKey", summary="Does this key work?")(
        tests.test
    )
    router.get(
        "/{credential_id}/check",
        tags=_TAGS,
        operation_id="checkCredential",
        summary="Does a key that is kept work?",
    )(check)
    return router
