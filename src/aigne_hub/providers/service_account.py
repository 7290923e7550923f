"""Google's service accounts: a signed assertion out, an access token in, without I/O.

RFC 7523, section 2.1, as https://developers.google.com/identity/protocols/oauth2/service-account
describes it; looked up in a stored copy in November 2026.
"""

import json
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from urllib.parse import urlencode

from aigne_hub.crypto.jwt import signed_rs256
from aigne_hub.domain.faults import Fault

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME_S = 3_600  # the longest that is granted
TOKEN_MAX = 8_192
_PASSING = frozenset({408, 429})
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class NoToken(ValueError):
    """No token was given. `fault` is what that says of the account, or of who gives tokens."""

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault


class AccessToken(NamedTuple):
    """A token and when it ends, in seconds since 1970."""

    text: str
    ends_s: int


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    email: str
    key_id: str
    token_uri: str
    private_key: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the file that Google gives out. Raises ValueError, which shows nothing of it."""
        try:
            value = json.loads(text)
        except ValueError:
            raise ValueError("is not the JSON of a service account") from None
        if not isinstance(value, dict) or value.get("type") != "service_account":
            raise ValueError("is not the JSON of a service account: its type is another")
        found = {
            name: value.get(name, "") for name in ("client_email", "private_key", "private_key_id")
        }
        missing = [name for name, one in found.items() if not isinstance(one, str) or not one]
        if missing:
            raise ValueError(f"is the JSON of a service account without {missing[0]}")
        uri = value.get("token_uri", _TOKEN_URI)
        return cls(found["client_email"], found["private_key_id"], str(uri), found["private_key"])

    def request(self, now_s: int) -> bytes:
        """Return the form that asks for a token. Raises ValueError for a key that is none."""
        claims = {
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
        }
        assertion = signed_rs256(claims, self.key_id, self.private_key)
        return urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()


def token_in(status: int, body: bytes, now_s: int) -> AccessToken:
    """Return the token of an answer. Raises NoToken, which shows no secret.

    What is refused with 4xx is the account: RFC 6749, section 5.2, has `invalid_grant` for one
    that is deleted, disabled or whose key is revoked.
    """
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    answer = value if isinstance(value, dict) else {}
    if status != 200:
        # What Google says of it is a word: invalid_grant, invalid_scope.
        code = answer.get("error")
        said = f": {code[:64]}" if isinstance(code, str) and code.isidentifier() else ""
        raise NoToken(f"the token endpoint answered {status}{said}", _fault_of(status))
    text, lasts = answer.get("access_token"), answer.get("expires_in")
    usable = isinstance(text, str) and 0 < len(text) <= TOKEN_MAX and text.isascii()
    if not usable or not str(text).isprintable() or not isinstance(lasts, int) or lasts <= 0:
        raise NoToken("the token endpoint answered without a token", Fault.BROKEN)
    return AccessToken(str(text), now_s + min(lasts, LIFETIME_S))


def _fault_of(status: int) -> Fault:
    if status in _PASSING:
        return Fault.THROTTLED if status == 429 else Fault.TIMED_OUT
    return Fault.REFUSED if 400 <= status < 500 else Fault.BROKEN
