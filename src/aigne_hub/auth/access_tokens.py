"""Checking the hub's own access tokens: form, key, signature, claims, in this order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aigne_hub.crypto.jose import compact, keys
from aigne_hub.domain.oauth.access_token import (
    AccessToken,
    Refused,
    require_claims,
    require_header,
)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs, for whom: `audience` None accepts a token for anybody.

    `published` has the public keys that verify now, by their ids, with their algorithms.
    """

    name: str
    audience: str | None
    published: Mapping[str, tuple[str, Mapping[str, Any]]]


def checked(token: str, issuer: Issuer, now_us: int) -> AccessToken:
    """Return what a token says, once it is proved that the hub said so. Raises Refused."""
    try:
        parts = compact.parts_of(token)
    except compact.Malformed as error:
        raise Refused(str(error)) from None
    algorithms = {key_id: algorithm for key_id, (algorithm, _) in issuer.published.items()}
    key_id = require_header(parts.header, algorithms)
    algorithm, public = issuer.published[key_id]
    try:
        keys.require_signed(token, dict(public), algorithm)
    except keys.BadSignature:
        raise Refused("the signature is wrong") from None
    return require_claims(parts.claims, issuer=issuer.name, audience=issuer.audience, now_us=now_us)
