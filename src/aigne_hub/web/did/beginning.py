"""How a session begins, for a page or for a program."""

import json
from typing import Final

from fastapi import Request

from aigne_hub.crypto import base64url
from aigne_hub.domain.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from aigne_hub.storage import did_sessions
from aigne_hub.storage.did_sessions import Action, Wanted
from aigne_hub.web.backend import Backend
from aigne_hub.web.did.claims import AUTH_PRINCIPAL
from aigne_hub.web.network import network_of
from aigne_hub.web.session import Session, recently

ACTIONS: Final[dict[str, Action]] = {"login": "login", "bind": "bind", "switch": "switch"}

_KEY_BYTES = 32


def action_of(name: str) -> Action:
    """Return what is to be done. Raises NotFound."""
    action = ACTIONS.get(name)
    if action is None:
        raise NotFound("A wallet can do login, bind and switch here, and nothing else.")
    return action


def begun(
    request: Request,
    hub: Backend,
    action: Action,
    session: Session | None,
    *,
    browser: bytes | None,
    encryption_key: bytes | None = None,
    back_to: str = "",
) -> str:
    """Begin a session and return its token.

    Raises Unauthenticated or Forbidden for what takes a person who has signed in, RateLimited
    and Overloaded. Changing whose wallet an account is needs a fresh sign-in.
    """
    now, address = hub.clock.now_us(), network_of(request)
    if action != "login" and session is None:
        raise Unauthenticated("Sign in first: this is about the user who is signed in.")
    if action == "bind" and session is not None and not recently(session, now):
        raise Forbidden("Sign in again first: this changes how you sign in.")
    wanted = Wanted(
        action=action,
        origin=hub.public_url(),
        address=address,
        browser=browser,
        encryption_key=encryption_key,
        for_user_id=None if session is None or action == "login" else session.user.id,
        back_to=back_to,
    )
    # Strangers who are refused must not keep the journal from writing.
    with hub.reading() as view:
        did_sessions.require_room(view, now, address)
    with hub.posting() as view:
        return did_sessions.begin(view, now, hub.randbytes, wanted, json.dumps([AUTH_PRINCIPAL]))


def encryption_key_of(text: str | None) -> bytes | None:
    """Return the key of `_ek_`: 32 bytes in base64url, of Curve25519. Raises InvalidRequest."""
    if not text:
        return None
    try:
        key = base64url.decode(text.rstrip("=").replace("+", "-").replace("/", "_"))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidRequest("_ek_ is 32 bytes in base64url.", param="_ek_")
    return key
