"""`/api/app`: applications that call with keys of their own (wire/aigne.md, section 1.10).

An application registers its public key, which lets it do nothing: it may call once an operator
has added it (`aigne-hub apps add`). Where the wire allows it an administrator's key is taken
instead of a signature.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from aigne_hub.crypto.custodial import public_key_of_text
from aigne_hub.crypto.did import DidType, RoleType, address_of, did_of, parse
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Conflict, InvalidRequest, RateLimited, Unauthenticated
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import accounts, identities, usage_totals
from aigne_hub.storage.usage_totals import Wanted
from aigne_hub.web.aigne.periods import Within, credits_number
from aigne_hub.web.aigne.signed import Signed, is_signed
from aigne_hub.web.api.access import Requires
from aigne_hub.web.api.bulk_rates import Wire
from aigne_hub.web.backend import Hub
from aigne_hub.web.declared import Access, Asks, Declares, open_to_all
from aigne_hub.web.minute import PerMinute

REGISTRATIONS_A_MINUTE_MAX: Final = 60
ROWS_MAX: Final = 10_000
KEY_CHARS_MAX: Final = 200

_APPLICATION: Final = DidType(RoleType.APPLICATION)


class AppBody(Wire):
    """An Ed25519 public key: hex with or without `0x`, or base58 behind a `z`."""

    public_key: Annotated[str, Field(max_length=KEY_CHARS_MAX)]


class AppConfig(Wire):
    """Whether another hub is called instead of providers."""

    use_a_i_kit_service: bool = Field(alias="useAIKitService")


@dataclass(frozen=True, slots=True)
class SignedOr(Declares):
    """Lets in an application that signed, or a key with a permission."""

    permission: Permission

    @property
    def access(self) -> Access:
        return Access(Asks.SIGNATURE, self.permission)

    async def __call__(self, request: Request, hub: Hub) -> Principal:
        if is_signed(request):
            return await Signed()(request, hub)
        return await Requires(self.permission)(request, hub)


async def signed_or_nobody(request: Request, hub: Hub) -> Principal | None:
    """Return the application that signed; which applications there are nobody else learns."""
    try:
        return await Signed()(request, hub)
    except Unauthenticated:
        return None


Trusted = Annotated[Principal, Depends(SignedOr(Permission.APPS_READ))]
TrustedToChange = Annotated[Principal, Depends(SignedOr(Permission.APPS_WRITE))]
Signer = Annotated[Principal, Depends(Signed())]


class Registry:
    """Takes registrations, so many a minute."""

    def __init__(self) -> None:
        self._begun = PerMinute(REGISTRATIONS_A_MINUTE_MAX)

    def register(self, body: AppBody, hub: Hub) -> dict[str, Any]:
        """Make an application known by its public key; its id is the address of that key."""
        public_key = _key(body.public_key)
        now = hub.clock.now_us()
        if self._begun.exhausted(now):
            raise RateLimited("Too many applications registered just now.", retry_after_s=60)
        self._begun.note(now)
        address = address_of(public_key, _APPLICATION)
        with hub.posting() as view:
            identities.register(view, now, did_of(address), public_key)
        return {"id": address, "paymentLink": hub.payment_link if hub.billing else None}


def status(
    application: Annotated[Principal | None, Depends(signed_or_nobody)], hub: Hub
) -> dict[str, Any] | None:
    """Say how an application stands that signed and may call; null to everybody else."""
    if application is None:
        return None
    served = True
    if hub.billing:
        with hub.reading() as view:
            account = accounts.load(view, application.user_id, lock=False)
            account.advance(hub.clock.now_us())
        served = account.available > 0
    return {
        "id": parse(application.app_did).address,
        "subscription": {
            "id": application.app_did,
            "status": "active" if served else "past_due",
        },
        "subscriptionDetailUrl": hub.payment_link if hub.billing else None,
    }


def config(_: Trusted) -> dict[str, bool]:
    """Return whether another hub is called instead of providers: never."""
    return {"useAIKitService": False}


def change_config(_: TrustedToChange, body: AppConfig) -> dict[str, bool]:
    """Refuse to call another hub instead of providers; anything else is so already."""
    if body.use_a_i_kit_service:
        raise Conflict(
            "This hub calls providers itself. Another hub can be one of them: its kind is openai."
        )
    return {"useAIKitService": False}


def usage(
    caller: Trusted,
    hub: Hub,
    period: Within,
    app_did: Annotated[
        str | None, Query(alias="appDid", max_length=256, description="Only of this application.")
    ] = None,
) -> Response:
    """Return what models were used on each day, the newest first; of an application its own."""
    if caller.app_is_verified:
        app_did = caller.app_did
    with hub.reading() as view:
        found = usage_totals.by_model_and_day(view, Wanted(period, app_did=app_did), limit=ROWS_MAX)
    body = {
        "list": [
            {
                "model": day.model,
                "date": format_instant(day.day_us)[:10],
                "usedCredits": credits_number(day.charge),
                "promptTokens": day.input_tokens,
                "completionTokens": day.output_tokens,
                "numberOfImageGeneration": day.images,
            }
            for day in found
        ]
    }
    return Response(orjson.dumps(body), media_type="application/json")


def subscription(_: Signer) -> None:
    """Refuse: credit pays for calls, and no subscription."""
    raise Conflict("There is no subscription here: calls are paid for with credit.")


def _key(text: str) -> bytes:
    try:
        return public_key_of_text(text)
    except ValueError:
        raise InvalidRequest(
            "publicKey is an Ed25519 key: 32 bytes in hex, or in base58 behind a z.",
            param="publicKey",
        ) from None


def apps_router() -> APIRouter:
    router = APIRouter(prefix="/api/app", tags=["Clients"])
    registry = Registry()
    free: dict[str, Any] = {"security": []}
    router.post(
        "/register",
        operation_id="registerApp",
        summary="Make an application known",
        dependencies=[open_to_all("an application makes itself known")],
        openapi_extra=free,
    )(registry.register)
    router.get(
        "/status",
        operation_id="getAppStatus",
        summary="An application's subscription",
        dependencies=[open_to_all("it tells nothing without a signature")],
        openapi_extra=free,
    )(status)
    router.get("/config", operation_id="getAppConfig", summary="How the hub works")(config)
    router.patch("/config", operation_id="changeAppConfig", summary="Change how the hub works")(
        change_config
    )
    router.get("/usage", operation_id="getAppUsage", summary="Usage by model and day")(usage)
    for verb in ("cancel", "recover"):
        router.post(
            f"/subscription/{verb}",
            operation_id=f"{verb}Subscription",
            summary=f"{verb.capitalize()} an application's subscription",
            openapi_extra=free,
        )(subscription)
    return router
