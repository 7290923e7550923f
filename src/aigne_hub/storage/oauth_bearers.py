"""Access tokens checked against the keys and the grants of the database."""

from sqlalchemy import Connection

from aigne_hub.auth.access_tokens import Issuer, checked
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.limits import Subject
from aigne_hub.domain.oauth.access_token import AccessToken, Refused
from aigne_hub.domain.oauth.external import ExternalIdentity
from aigne_hub.storage import limits, oauth_tokens, roles, signing_keys, users


def issuer_of(connection: Connection, now_us: int, name: str, *, audience: str | None) -> Issuer:
    """Return the hub as an issuer, with the keys that verify now."""
    return Issuer(
        name,
        audience,
        {
            key.id: (key.algorithm.value, key.public)
            for key in signing_keys.listed(connection, now_us)
        },
    )


def access_token(
    connection: Connection, now_us: int, name: str, token: str, *, audience: str | None
) -> AccessToken | None:
    """Return a token of the issuer `name` that is sound; None for any other text."""
    try:
        return checked(token, issuer_of(connection, now_us, name, audience=audience), now_us)
    except Refused:
        return None


def principal_of(connection: Connection, now_us: int, name: str, token: str) -> Principal | None:
    """Return who calls the hub with a token; None when nobody may."""
    found = access_token(connection, now_us, name, token, audience=name)
    return None if found is None else oauth_tokens.principal(connection, found)


def of_identity(connection: Connection, identity: ExternalIdentity) -> Principal | None:
    """Return the user whom another issuer's token means; None for one unknown or disabled."""
    try:
        user = users.find(connection, identity.user)
    except NotFound:
        return None
    if user.disabled:
        return None
    return Principal(
        user_id=user.id,
        user_did=user.did,
        key_id=f"issuer:{user.id}",
        app_did=user.did,
        role=user.role,
        scopes=identity.issuer.scopes,
        expires_us=identity.expires_us,
        limits=limits.of(connection, (Subject.USER, user.id)),
        permissions=roles.permissions_of(connection, user.role),
    )
