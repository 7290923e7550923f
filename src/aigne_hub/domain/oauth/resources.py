"""Resource indicators (RFC 8707): for whom an access token is."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aigne_hub.domain.oauth.errors import OAuthError, Refusal

_CHARS_MAX: Final = 2_000
_VISIBLE: Final = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")


def requested(values: Sequence[str], default: str) -> str:
    """Return the one audience of a token: the resource asked for, else `default`, the hub.

    A token for two resources could be replayed by one at the other, so one is asked at a time.
    Raises OAuthError.
    """
    named = [value for value in values if value]
    if not named:
        return default
    if len(set(named)) > 1:
        raise OAuthError(Refusal.INVALID_TARGET, "ask for one resource at a time")
    resource = named[0]
    if len(resource) > _CHARS_MAX or not _VISIBLE.fullmatch(resource) or "#" in resource:
        raise OAuthError(Refusal.INVALID_TARGET, "resource must be an absolute URI, no fragment")
    try:
        parts = urlsplit(resource)
    except ValueError:
        raise OAuthError(Refusal.INVALID_TARGET, "resource must be an absolute URI") from None
    if parts.scheme not in {"https", "http"} or not parts.netloc or "@" in parts.netloc:
        raise OAuthError(Refusal.INVALID_TARGET, "resource must be an http or https URI")
    # The hub under its own name, with the slash that URLs of an origin gain.
    return default if resource.rstrip("/") == default else resource


def is_within(resource: str, granted: str) -> bool:
    """Tell whether a token for `resource` may come from a grant for `granted`."""
    return resource == granted
