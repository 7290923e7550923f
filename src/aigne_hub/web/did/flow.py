"""How a wallet's answers move a session on: from who it is, to what it is asked, to a user."""

import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from aigne_hub.crypto import arcblock_jwt, multibase, sealed_box
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import DID_TEXT_MAX
from aigne_hub.domain.errors import Conflict, Forbidden, HubError, InvalidRequest
from aigne_hub.storage import did_sessions, identities, keys, profiles, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.did_sessions import DidSession
from aigne_hub.storage.users import User
from aigne_hub.web.backend import Backend
from aigne_hub.web.did import claims
from aigne_hub.web.did.claims import Answer
from aigne_hub.web.did.messages import challenge_of, final_message, identity_of, request_message

# How long a program that signed in by a wallet may call.
LOGIN_TOKEN_US: Final = 24 * 3600 * 1_000_000
KEY_NAME: Final = "DID wallet"

_DECLINED = "You have declined the request."
_BUSY = "The wallet is busy with another request."
_MISMATCH = "Another wallet began this. Start again, with one wallet."
_STALE = "Challenge mismatch: this answers another request, or one that was answered already."
_NOBODY = "This hub takes no new users by wallet. Ask its operator for an account."
_DISABLED = "This user has been disabled."
_UNKNOWN = "There is no user with this DID here. Sign out, and sign in with it."
_SAME = "This is the user who is signed in already."
_TAKEN = "This DID is another user's here. Sign in with it instead."


def answered(
    hub: Backend,
    session: DidSession,
    sent: Mapping[str, Any],
    prefix: str,
    refused: Callable[[HubError], None],
) -> dict[str, str]:
    """Return what a wallet is told for its answer. Every refusal is told in a signed message."""
    try:
        return _answered(hub, session, sent, prefix)
    except HubError as error:
        refused(error)
        return final_message(hub, error=error.message)


def _answered(
    hub: Backend, session: DidSession, sent: Mapping[str, Any], prefix: str
) -> dict[str, str]:
    answer, body = _verified(hub, sent)
    said = body.get("challenge")
    if not isinstance(said, str) or not _equal(said, challenge_of(hub, session)):
        raise InvalidRequest(_STALE)
    if not session.is_open:
        raise Conflict(_STALE)
    if hub.public_url() != session.wanted.origin:
        raise InvalidRequest("The hub has moved since. Start again.")
    if session.did is not None and answer.did.address != session.did:
        _end(hub, session, "forbidden", _MISMATCH)
        raise Forbidden(_MISMATCH)
    match body.get("action", "responseAuth"):
        case "responseAuth":
            return _moved_on(hub, session, answer, prefix)
        case "declineAuth":
            _end(hub, session, "error", _DECLINED)
            raise Forbidden(_DECLINED)
        case "busy":
            _end(hub, session, "busy", _BUSY)
            raise Conflict(_BUSY)
        case _:
            raise InvalidRequest("The wallet's action is none of responseAuth, declineAuth, busy.")


def _verified(hub: Backend, sent: Mapping[str, Any]) -> tuple[Answer, Mapping[str, Any]]:
    key, token = sent.get("userPk"), sent.get("userInfo")
    if not isinstance(key, str) or not isinstance(token, str):
        raise InvalidRequest("userPk and userInfo are needed.")
    try:
        verified = arcblock_jwt.verify(token, _public_key(key), hub.clock.now_us())
    except arcblock_jwt.InvalidToken as error:
        raise InvalidRequest(f"userInfo is not a valid token: {error.cause}.") from None
    audience = verified.body.get("aud")
    if audience is not None and audience not in (hub.public_url(), identity_of(hub).did):
        raise InvalidRequest("userInfo is for another audience.")
    claimed = claims.claims_in(verified.body)
    return Answer(verified.issuer, _public_key(key), claimed), verified.body


def _public_key(text: str) -> bytes:
    try:
        return multibase.decode(text)
    except ValueError:
        raise InvalidRequest("userPk is a public key in base58 or hex.") from None


def _moved_on(hub: Backend, session: DidSession, answer: Answer, prefix: str) -> dict[str, str]:
    if session.step == 0:
        with hub.reading() as view:
            user = users.of_did(view, f"did:abt:{answer.did.address}")
        problem = _problem(hub, session, user)
        if problem:
            _end(hub, session, "error", problem)
            raise Forbidden(problem)
        asked = claims.kinds_after(hub, session, known=user is not None)
        if asked:
            with hub.posting() as view:
                did_sessions.advance(
                    view, session, answer.did.address, answer.public_key, json.dumps(asked)
                )
                moved = did_sessions.find(view, hub.clock.now_us(), session.token)
            if moved is None:
                raise Conflict(_STALE)
            return request_message(hub, moved, claims.requested(hub, moved), prefix)
    claims.require_given(hub, session, answer)
    try:
        with hub.changing(f"wallet:{answer.did.address[:DID_TEXT_MAX]}") as change:
            _finish(hub, change, session, answer)
    except HubError as error:
        _end(hub, session, "error", error.message)
        raise
    return final_message(hub, success="Done. You can go on where you began.")


def _problem(hub: Backend, session: DidSession, user: User | None) -> str:
    """Return why a wallet gets no further, in words for its person; empty when it does."""
    if user is not None and user.disabled:
        return _DISABLED
    match session.wanted.action:
        case "login" if user is None and not hub.admission.new_users:
            return _NOBODY
        case "switch" if user is None:
            return _UNKNOWN
        case "switch" if user is not None and user.id == session.wanted.for_user_id:
            return _SAME
        case "bind" if user is not None and user.id != session.wanted.for_user_id:
            return _TAKEN
    return ""


def _finish(hub: Backend, change: Changes, session: DidSession, answer: Answer) -> None:
    """Make the wallet's person the user that the session was for."""
    did = f"did:abt:{answer.did.address}"
    user = users.of_did(change.connection, did)
    # Asked again: the world may have changed since the first step.
    problem = _problem(hub, session, user)
    if problem:
        raise Forbidden(problem)
    if session.wanted.action == "bind":
        assert session.wanted.for_user_id is not None
        user = users.set_did(change, users.find(change.connection, session.wanted.for_user_id), did)
    elif user is None:
        role = hub.admission.role
        user = users.create(change, hub.keyring, hub.randbytes, email=None, role=role, did=did)
    identities.keep_wallet(change, did, answer.public_key, user.id)
    if claims.PROFILE in answer.claims:
        profiles.put(change, user.id, answer.profile.name, answer.profile.email)
    did_sessions.succeed(
        change.connection,
        session,
        hub.clock.now_us(),
        user_id=user.id,
        did=answer.did.address,
        public_key=answer.public_key,
        login_token=_login_token(hub, change, session, user),
    )
    change.audit(f"wallet.{session.wanted.action}", user.id, {"did": did})


def _login_token(hub: Backend, change: Changes, session: DidSession, user: User) -> bytes | None:
    """Make what a program signs in with; a browser has a cookie, and this if it gave a key."""
    wanted = session.wanted
    if wanted.action == "bind" or (wanted.browser and not wanted.encryption_key):
        return None
    made = keys.create(
        change,
        hub.keyring,
        hub.randbytes,
        hub.pepper,
        user=user,
        name=KEY_NAME,
        expires_us=hub.clock.now_us() + LOGIN_TOKEN_US,
    )
    text = made.text
    if wanted.encryption_key is not None:
        box = sealed_box.seal(canonical(text), wanted.encryption_key, hub.randbytes)
        text = b64encode(box).decode()
    return hub.keyring.seal(text.encode(), **place_of(session))


def place_of(session: DidSession) -> dict[str, str]:
    return {"table": "did_session", "row": session.digest.hex(), "column": "login_token"}


def _end(hub: Backend, session: DidSession, status: did_sessions.Over, error: str) -> None:
    with hub.posting() as view:
        did_sessions.fail(view, session, hub.clock.now_us(), status, error)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
