"""The page on which a user allows a client something: what, and for how much credit."""

from collections.abc import Mapping
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse

from aigne_hub.domain.access import Scope
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.domain.oauth import redirects
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.lifetimes import DAY_US, REFRESH_US
from aigne_hub.domain.windows import Window
from aigne_hub.storage import oauth_grants
from aigne_hub.storage.oauth_grants import Allowance
from aigne_hub.web.backend import Backend
from aigne_hub.web.oauth.authorization import Authorization
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.security import CONTENT_SECURITY_POLICY
from aigne_hub.web.session import Session, csrf_field

# What is suggested to a user who has not allowed a client anything yet. Nano-credits.
SUGGESTED: Final = Allowance(10 * 1_000_000_000, Window.MONTH)
AMOUNT_CHARS_MAX: Final = 40
WINDOWS: Final = (Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL)


def page(
    request: Request,
    hub: Backend,
    session: Session,
    asked: Authorization,
    grant: oauth_grants.Grant | None,
    *,
    problem: str = "",
) -> HTMLResponse:
    """Return the page that asks."""
    source = redirects.source_of(asked.redirect_uri)
    # The answer of this form leads to the client, which the browser's policy has to know.
    policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", f"form-action 'self' {source}")
    return renderer_of(request).page(
        request,
        "oauth_consent.html",
        status=400 if problem else 200,
        headers={"cache-control": "no-store", "content-security-policy": policy},
        client=asked.client,
        asked=asked.parameters_text(keep_prompt=False),
        scopes=meanings(asked.scopes),
        resource=None if asked.resource == hub.public_url() else asked.resource,
        back_to=redirects.shown(asked.redirect_uri),
        days=REFRESH_US // DAY_US,
        user=session.user,
        person=session,
        csrf=csrf_field(session),
        problem=problem,
        **allowance_fields(hub, asked.scopes, grant),
    )


def meanings(scopes: tuple[str, ...]) -> list[str]:
    """Return what scopes mean, for people."""
    return [scopes_of.MEANINGS[scope] for scope in scopes]


def allowance_fields(
    hub: Backend, scopes: tuple[str, ...], grant: oauth_grants.Grant | None
) -> dict[str, object]:
    """Return what the part of a page needs that asks for an allowance."""
    allowance = SUGGESTED if grant is None else oauth_grants.allowance_of(grant)
    amount = "" if allowance.amount is None else format_credits(allowance.amount)
    return {
        "spends": hub.billing and Scope.INFERENCE.value in scopes,
        "amount": amount,
        "window": allowance.window.value,
        "windows": [window.value for window in WINDOWS],
    }


def allowance_of(form: Mapping[str, str]) -> Allowance | None:
    """Return the allowance a form gives; None when it was not asked. Raises InvalidRequest."""
    if "window" not in form:
        return None
    try:
        window = Window(form["window"])
    except ValueError:
        window = None
    if window not in WINDOWS:
        raise InvalidRequest("Choose day, week, month or total.", param="window")
    text = form.get("amount", "")
    if not text:
        return Allowance(None, window)
    if len(text) > AMOUNT_CHARS_MAX:
        raise InvalidRequest("The allowance is too long.", param="amount")
    try:
        return Allowance(parse_credits(text), window)
    except ValueError as error:
        raise InvalidRequest(f"The allowance {error}.", param="amount") from None
