"""What an OAuth endpoint refuses, in the words of RFC 6749, section 5.2, and its followers.

Descriptions say what is wrong with the request, never whether a client, a user or a token
exists.
"""

from enum import StrEnum


class Refusal(StrEnum):
    """Error codes: RFC 6749 (4.1.2.1, 5.2), 8628 (3.5), 8707 (2), 7591 (3.2.2), 6750 (3.1)."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    ACCESS_DENIED = "access_denied"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    AUTHORIZATION_PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - an error's name
    INVALID_REDIRECT_URI = "invalid_redirect_uri"
    INVALID_CLIENT_METADATA = "invalid_client_metadata"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - an error's name
    INSUFFICIENT_SCOPE = "insufficient_scope"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


_STATUS = {
    Refusal.INVALID_CLIENT: 401,
    Refusal.INVALID_TOKEN: 401,
    Refusal.INSUFFICIENT_SCOPE: 403,
    Refusal.TEMPORARILY_UNAVAILABLE: 429,
}


class OAuthError(Exception):
    """A refusal. `description` is plain ASCII without quotes or backslashes (RFC 6749, 5.2)."""

    def __init__(self, error: Refusal, description: str, *, retry_after_s: int = 0) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """Return the status of an answer to the client itself."""
        return _STATUS.get(self.error, 400)
