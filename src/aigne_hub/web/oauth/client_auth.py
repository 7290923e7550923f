"""Who a client is that calls an endpoint (RFC 6749, section 2.3).

It proves itself in one way, the one that it registered: a secret in a header, a secret in the
body, or, for a public client, its id alone. Every failure is the same answer.
"""

import base64
import binascii
from typing import Final
from urllib.parse import unquote_plus

from fastapi import Request

from aigne_hub.domain.oauth.clients import Authentication, Client
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.storage import oauth_clients
from aigne_hub.storage.engine import View
from aigne_hub.web.backend import Backend
from aigne_hub.web.oauth.parameters import Parameters

_BASIC: Final = "basic "
_FAILED: Final = "the client is not known, or did not prove that it is"


def client_of(
    request: Request, hub: Backend, view: View, parameters: Parameters, *, public: bool = True
) -> Client:
    """Return the client that calls; with `public` also one that cannot prove it.

    Raises OAuthError.
    """
    client_id, secret, method = _presented(request, parameters)
    client = oauth_clients.authenticated(view, hub.pepper, client_id, secret, method)
    if client is None or (client.is_public and not public):
        raise OAuthError(Refusal.INVALID_CLIENT, _FAILED)
    return client


def _presented(request: Request, parameters: Parameters) -> tuple[str, str | None, Authentication]:
    header = request.headers.get("authorization")
    secret = parameters.get("client_secret")
    client_id = parameters.get("client_id")
    if parameters.get("client_assertion") or parameters.get("client_assertion_type"):
        raise OAuthError(Refusal.INVALID_CLIENT, "client assertions are not served")
    if header is not None:
        if secret is not None:
            raise OAuthError(Refusal.INVALID_REQUEST, "the client authenticates in two ways")
        named, secret = _basic(header)
        if client_id is not None and client_id != named:
            raise OAuthError(Refusal.INVALID_REQUEST, "client_id is not the one that authenticates")
        return named, secret, Authentication.BASIC
    if client_id is None:
        raise OAuthError(Refusal.INVALID_CLIENT, _FAILED)
    if secret is not None:
        return client_id, secret, Authentication.POST
    return client_id, None, Authentication.NONE


def _basic(header: str) -> tuple[str, str]:
    """Return id and secret, each encoded as in a form before the two are joined (2.3.1)."""
    failed = OAuthError(Refusal.INVALID_CLIENT, _FAILED)
    if header[: len(_BASIC)].lower() != _BASIC:
        raise failed
    try:
        text = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise failed from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise failed
    return unquote_plus(client_id), unquote_plus(secret)
