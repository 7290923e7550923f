"""What wallets are asked for, and whether they gave it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aigne_hub.crypto import did_signature, multibase
from aigne_hub.crypto.credential import InvalidCredential, Required, verify_presentation
from aigne_hub.crypto.did import Did, HashType, KeyType, hash_of
from aigne_hub.domain.admission import Terms
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.storage.did_sessions import DidSession
from aigne_hub.web.backend import Backend
from aigne_hub.web.did.messages import challenge_of, host_of

AUTH_PRINCIPAL: Final = "authPrincipal"
PROFILE: Final = "profile"
SIGNATURE: Final = "signature"
AGREEMENT: Final = "agreement"
CREDENTIAL: Final = "verifiableCredential"

CLAIMS_MAX: Final = 16
NAME_CHARS_MAX: Final = 100
EMAIL_CHARS_MAX: Final = 254

_STANDARD: Final[dict[str, Any]] = {"meta": {}, "mfaCode": []}


@dataclass(frozen=True, slots=True)
class Profile:
    """What a wallet says of its person. Nobody has checked the e-mail."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The wallet that answers a step, and its claims by their types."""

    did: Did
    public_key: bytes
    claims: Mapping[str, Mapping[str, Any]]

    @property
    def profile(self) -> Profile:
        said = self.claims.get(PROFILE, {})
        return Profile(
            _shown(said.get("fullName"), NAME_CHARS_MAX), _shown(said.get("email"), EMAIL_CHARS_MAX)
        )


def kinds_of(session: DidSession) -> list[str]:
    """Return the types of the claims that the step at hand asks for."""
    kinds: list[str] = json.loads(session.asked)
    return kinds


def kinds_after(hub: Backend, session: DidSession, *, known: bool) -> list[str]:
    """Return what is asked for once the wallet has said who it is; nothing ends the session."""
    match session.wanted.action:
        case "login" if known:
            return [PROFILE]
        case "login":
            admission = hub.admission
            agreement = [AGREEMENT] if admission.terms else []
            credential = [CREDENTIAL] if admission.credential_type else []
            return [PROFILE, *agreement, *credential]
        case "bind":
            return [SIGNATURE]
        case _:
            return []


def requested(hub: Backend, session: DidSession) -> list[dict[str, Any]]:
    """Return the claims of the step at hand as a wallet reads them."""
    return [_request(hub, session, kind) for kind in kinds_of(session)]


def require_given(hub: Backend, session: DidSession, answer: Answer) -> None:
    """Check that every claim that was asked for was given. Raises InvalidRequest."""
    for kind in kinds_of(session):
        claim = answer.claims.get(kind)
        if kind == AUTH_PRINCIPAL:
            continue  # the token itself is the claim
        if claim is None:
            raise InvalidRequest(f"The wallet sent no claim {kind}.")
        match kind:
            case "signature":
                _check_signature(hub, session, answer, claim)
            case "agreement":
                _check_agreement(hub, claim)
            case "verifiableCredential":
                _check_credential(hub, session, answer, claim)


def claims_in(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the claims of a wallet's token by their types. Raises InvalidRequest."""
    sent = body.get("requestedClaims", [])
    if not isinstance(sent, list) or len(sent) > CLAIMS_MAX:
        raise InvalidRequest(f"requestedClaims is not a list of at most {CLAIMS_MAX} claims.")
    claims: dict[str, Mapping[str, Any]] = {}
    for claim in sent:
        kind = claim.get("type") if isinstance(claim, dict) else None
        if not isinstance(kind, str) or kind in claims:
            raise InvalidRequest("Each claim is an object with a type of its own.")
        claims[kind] = claim
    return claims


def _request(hub: Backend, session: DidSession, kind: str) -> dict[str, Any]:
    host, address = host_of(hub), session.wanted.address
    match kind:
        case "authPrincipal":
            words = {"login": "Sign in to", "bind": "Use this DID at", "switch": "Switch user at"}
            return {
                **_STANDARD,
                "type": AUTH_PRINCIPAL,
                # Who was sent somebody else's code can only notice it here.
                "description": f"{words[session.wanted.action]} {host}, asked from {address}. "
                "Decline it if that was not you.",
                "target": "",
                "supervised": False,
            }
        case "profile":
            return {
                **_STANDARD,
                "type": PROFILE,
                "description": f"Your profile for {host}",
                "items": ["fullName", "email"],
            }
        case "signature":
            return {
                **_STANDARD,
                "type": SIGNATURE,
                "description": f"Sign that this DID is to be your account's at {host}",
                "typeUrl": "mime:text/plain",
                "origin": multibase.encode(_to_sign(hub, session)),
                "method": "sha3",
                "digest": "",
                "display": "",
                "nonce": "",
            }
        case "agreement":
            terms = hub.admission.terms
            return {
                **_STANDARD,
                "type": AGREEMENT,
                "description": f"The terms of {host}",
                "uri": terms.url if terms else "",
                "method": "sha2",
                "digest": _digest_of(terms),
            }
        case "verifiableCredential":
            admission = hub.admission
            return {
                **_STANDARD,
                "type": CREDENTIAL,
                "description": f"A credential that {host} takes new users for",
                "optional": False,
                "item": [admission.credential_type],
                "trustedIssuers": sorted(admission.issuers),
                "tag": "",
                "ownerDid": [],
            }
        case _:
            raise AssertionError(kind)


def _to_sign(hub: Backend, session: DidSession) -> bytes:
    """Return the text that takes a DID to an account: it names both ends and is for once."""
    return (
        f"At {hub.public_url()} this DID becomes that of the account {session.wanted.for_user_id}. "
        f"{challenge_of(hub, session)}"
    ).encode()


def _check_signature(
    hub: Backend, session: DidSession, answer: Answer, claim: Mapping[str, Any]
) -> None:
    key = answer.did.type.key
    text, signature = _to_sign(hub, session), _bytes_of(claim.get("sig"))
    if key is KeyType.PASSKEY:
        # Its token is the assertion of an authenticator already, over the same challenge.
        return
    # Wallets hash as their DID's type says, whatever was asked for.
    hashes = {answer.did.type.hash, HashType.SHA3}
    if not any(
        did_signature.verify(key, answer.public_key, hash_of(kind, text), signature)
        for kind in hashes
    ) and not (
        key is KeyType.ETHEREUM
        and did_signature.verify_personal(answer.public_key, text, signature)
    ):
        raise InvalidRequest("The wallet's signature is not one of the text it was shown.")


def _check_agreement(hub: Backend, claim: Mapping[str, Any]) -> None:
    terms = hub.admission.terms
    if claim.get("agreed") is not True:
        raise InvalidRequest("The terms were not agreed to.")
    said = claim.get("digest") or ""
    if terms is None or (said and said != _digest_of(terms)):
        raise InvalidRequest("Other terms were agreed to than those that were shown.")


def _digest_of(terms: Terms | None) -> str:
    return multibase.encode(bytes.fromhex(terms.sha256)) if terms and terms.sha256 else ""


def _check_credential(
    hub: Backend, session: DidSession, answer: Answer, claim: Mapping[str, Any]
) -> None:
    admission = hub.admission
    presentation = claim.get("presentation")
    if not isinstance(presentation, str) or admission.credential_type is None:
        raise InvalidRequest("The wallet presented no credential.")
    required = Required(admission.credential_type, admission.issuers)
    challenge, now = challenge_of(hub, session), hub.clock.now_us()
    try:
        verify_presentation(presentation, answer.did, challenge, required, now)
    except InvalidCredential as error:
        raise InvalidRequest(f"The credential proves nothing: {error}.") from None


def _bytes_of(value: object) -> bytes:
    """Return the bytes of a member; none for what is not written as bytes are."""
    try:
        return multibase.decode(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _shown(value: object, chars_max: int) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(char for char in value if char.isprintable()).strip()[:chars_max]
