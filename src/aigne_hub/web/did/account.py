"""/account/wallet: the DID of the person who is signed in, and what can be done about it."""

import json
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from aigne_hub.crypto import did_export
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
from aigne_hub.storage import identities, profiles
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.did.beginning import action_of
from aigne_hub.web.did.pages import FRESH, to_the_code
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.session import Session, SignedIn, check_csrf, csrf_field, require_recent

PAGE: Final = "/account/wallet"


def show(request: Request, hub: Hub, session: SignedIn) -> Response:
    return _page(request, hub, session)


async def submit(request: Request, hub: Hub, session: SignedIn) -> Response:
    """Let a wallet become this account's, or sign another user in."""
    form = await check_csrf(request, session)
    action = action_of(form.get("action", ""))
    if action == "bind":
        require_recent(session, hub.clock.now_us(), PAGE)
    return await run_in_threadpool(to_the_code, request, hub, action, session, PAGE)


async def export(request: Request, hub: Hub, session: SignedIn) -> Response:
    """Hand the key of the person's DID over, under a passphrase."""
    form = await check_csrf(request, session)
    require_recent(session, hub.clock.now_us(), PAGE)
    passphrase = form.typed.get("passphrase", b"")
    try:
        if passphrase != form.typed.get("again", b""):
            raise InvalidRequest("The two passphrases differ.", param="again")
        _require_length(passphrase)
        document = await run_in_threadpool(_exported, hub, session, passphrase)
    except HubError as error:
        return await run_in_threadpool(_page, request, hub, session, problem=error)
    return Response(
        json.dumps(document, indent=2) + "\n",
        media_type="application/json",
        headers={**FRESH, "content-disposition": 'attachment; filename="did.json"'},
    )


def _exported(hub: Backend, session: Session, passphrase: bytes) -> dict[str, Any]:
    with hub.changing(f"user:{session.user.id}") as change:
        did = identities.custodial_of(change.connection, session.user.id)
        if did is None:
            raise NotFound("The hub keeps no key of yours: your wallet has it.")
        secret = identities.secret_key(change.connection, hub.keyring, did)
        change.audit("user.export_did", session.user.id, {"did": did})
    return did_export.sealed(did, secret, passphrase, hub.randbytes)


def _require_length(passphrase: bytes) -> None:
    least, most = did_export.PASSPHRASE_BYTES_MIN, did_export.PASSPHRASE_BYTES_MAX
    if not least <= len(passphrase) <= most:
        raise InvalidRequest(f"A passphrase has {least} to {most} bytes.", param="passphrase")


def _page(
    request: Request, hub: Backend, session: Session, *, problem: HubError | None = None
) -> Response:
    with hub.reading() as view:
        custodial = identities.custodial_of(view, session.user.id)
        profile = profiles.of(view, session.user.id)
    return renderer_of(request).page(
        request,
        "account_wallet.html",
        status=problem.status if problem else 200,
        headers=FRESH,
        person=session,
        csrf=csrf_field(session),
        custodial=custodial,
        profile=profile,
        problem=problem.message if problem else "",
        passphrase_min=did_export.PASSPHRASE_BYTES_MIN,
        passphrase_max=did_export.PASSPHRASE_BYTES_MAX,
    )


def account_wallet_router() -> APIRouter:
    router = APIRouter(prefix=PAGE, include_in_schema=False)
    router.get("")(show)
    router.post("")(submit)
    router.post("/export")(export)
    return router
