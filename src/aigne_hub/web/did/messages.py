"""What the hub tells wallets, signed by its own DID (wire/aigne.md, section 9.6)."""

import hmac
from typing import Any, Final
from urllib.parse import quote, urlsplit

from aigne_hub.crypto import arcblock_jwt, multibase
from aigne_hub.crypto.custodial import Identity
from aigne_hub.crypto.did import parse
from aigne_hub.storage import hub_identity
from aigne_hub.storage.did_sessions import DidSession
from aigne_hub.web.backend import Backend

TOKEN: Final = "_t_"  # noqa: S105 - the name of a field
DEEP_LINK: Final = "https://abtwallet.io/i/"
PREFIXES: Final = ("/api/did", "/.well-known/service/api/did")

_NAME = "AIGNE Hub"
_ABOUT = "One gateway in front of every AI provider"
_CHALLENGE_BYTES = 16


def identity_of(hub: Backend) -> Identity:
    """Return the hub's own DID with its keys. Waits for the database."""
    return hub_identity.find_or_make(hub.reading, hub.changing, hub.keyring, hub.randbytes)


def app_info(hub: Backend, identity: Identity) -> dict[str, str]:
    """Return what a wallet shows of the hub."""
    public_url = hub.public_url()
    return {
        "name": _NAME,
        "description": _ABOUT,
        "icon": f"{public_url}/static/icon.svg",
        "link": public_url,
        "path": DEEP_LINK,
        "publisher": identity.did,
    }


def challenge_of(hub: Backend, session: DidSession) -> str:
    """Return what the wallet has to repeat in this step, signed.

    It is made of what it is bound to: the session, the action, the step and where the hub is. So
    it fits no other session and no other hub, and there is nothing to keep.
    """
    wanted = session.wanted
    bound = f"{session.digest.hex()}|{wanted.action}|{session.step}|{wanted.origin}"
    key = hub.keyring.derive("did connect challenge")
    return hmac.digest(key, bound.encode(), "sha256")[:_CHALLENGE_BYTES].hex().upper()


def answer_url(hub: Backend, session: DidSession, prefix: str) -> str:
    """Return where the wallet sends its answers."""
    return f"{hub.public_url()}{prefix}/{session.wanted.action}/auth?{TOKEN}={session.token}"


def wallet_url(answer_to: str) -> str:
    """Return what the code shows: it opens a wallet, with the address encoded twice."""
    twice = quote(quote(answer_to, safe=""), safe="")
    return f"{DEEP_LINK}?action=requestAuth&url={twice}"


def request_message(
    hub: Backend, session: DidSession, claims: list[dict[str, Any]], prefix: str
) -> dict[str, str]:
    """Return what a wallet is asked for in the step at hand."""
    identity = identity_of(hub)
    body = {
        "action": "responseAuth",
        "challenge": challenge_of(hub, session),
        "appInfo": app_info(hub, identity),
        "chainInfo": {"id": "none", "host": "none", "type": "arcblock"},
        "requestedClaims": claims,
        "url": answer_url(hub, session, prefix),
    }
    return _signed(hub, identity, body)


def final_message(hub: Backend, *, error: str = "", success: str = "") -> dict[str, str]:
    """Return the last word to a wallet: that all is well, or what is wrong."""
    identity = identity_of(hub)
    body = {
        "appInfo": app_info(hub, identity),
        "status": "error" if error else "ok",
        "errorMessage": error,
        "successMessage": success,
        "cookies": {},
        "storages": {},
        "response": {},
    }
    return _signed(hub, identity, body)


def host_of(hub: Backend) -> str:
    return urlsplit(hub.public_url()).netloc


def _signed(hub: Backend, identity: Identity, body: dict[str, Any]) -> dict[str, str]:
    issuer = parse(identity.did)
    token = arcblock_jwt.sign(issuer, identity.secret_key, body, hub.clock.now_us())
    return {"appPk": multibase.encode(identity.public_key), "authInfo": token}
