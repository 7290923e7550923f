"""Parameters of OAuth requests, read as strictly as RFC 6749, section 3, asks.

A parameter that stands twice is refused, one without a value counts as left out, and unknown
ones are ignored. `resource` alone may be repeated (RFC 8707).
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request

from aigne_hub.domain.oauth.errors import OAuthError, Refusal

BYTES_MAX: Final = 16_384
FIELDS_MAX: Final = 32
RESOURCE: Final = "resource"
_FORM: Final = "application/x-www-form-urlencoded"


class Parameters:
    """What a request says."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self.repeated: set[str] = set()
        self.resources: list[str] = []
        for name, value in pairs:
            if name == RESOURCE:
                self.resources.append(value)
            elif name in self._values:
                self.repeated.add(name)
            elif value:
                self._values[name] = value

    def get(self, name: str) -> str | None:
        """Return a value, None when it is left out."""
        return self._values.get(name)

    def require(self, name: str) -> str:
        """Return a value. Raises OAuthError when it is left out."""
        value = self._values.get(name)
        if value is None:
            raise OAuthError(Refusal.INVALID_REQUEST, f"{name} is missing")
        return value

    def require_single(self) -> None:
        """Raise OAuthError when a parameter stands twice."""
        if self.repeated:
            raise OAuthError(Refusal.INVALID_REQUEST, "a parameter stands twice")


def of_query(request: Request) -> Parameters:
    """Return the parameters of an address; repeated ones are for the caller to refuse."""
    return _parsed(request.scope["query_string"].decode("latin-1"))


async def of_form(request: Request) -> Parameters:
    """Return the parameters of a form, each once. Raises OAuthError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise OAuthError(Refusal.INVALID_REQUEST, f"the content type must be {_FORM}")
    if request.scope["query_string"]:
        raise OAuthError(Refusal.INVALID_REQUEST, "parameters stand in the body, none in the URL")
    found = _parsed((await limited(request)).decode("utf-8", "replace"))
    found.require_single()
    return found


async def limited(request: Request) -> bytes:
    """Return a body of at most BYTES_MAX. Raises OAuthError."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BYTES_MAX:
            raise OAuthError(Refusal.INVALID_REQUEST, f"the body has more than {BYTES_MAX} bytes")
    return body


def _parsed(text: str) -> Parameters:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise OAuthError(Refusal.INVALID_REQUEST, "there are too many parameters") from None
    return Parameters(pairs)
